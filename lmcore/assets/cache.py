"""The folder that assets are kept in, and how a file gets there whole or not at all.

A file is written under another name (``.part``), compared with the SHA-256 that our
table pins, and only then renamed. A rename is one step for the operating system, so
nobody ever sees half a file. A cached file is compared again each time it is asked
for: reading 100 MB costs about a tenth of a second.
"""

import hashlib
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedIOBase
from pathlib import Path

from platformdirs import user_cache_path

from lmcore.assets.records import Asset, Member

CHUNK = 1 << 20  # bytes read at a time
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError)


class SourceError(RuntimeError):
    """One source could not deliver; the next one may."""


class CacheError(RuntimeError):
    """The cache folder cannot be written to; no other source can help."""


def cache_folder() -> Path:
    """Where the assets lie: ``LMCORE_HOME``, else the platform's cache folder."""
    home = os.environ.get("LMCORE_HOME")
    base = Path(home).expanduser() if home else user_cache_path("lmcore", False)
    return base / "assets"


def asset_path(asset: Asset) -> Path:
    """Where the asset lies: its file, or its folder if it has several files."""
    folder = cache_folder() / asset.name
    return folder / asset.members[0].file if len(asset.members) == 1 else folder


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(path: Path, size: int, sha256: str) -> bool:
    """Whether the file is there with the pinned size and SHA-256."""
    try:
        return path.stat().st_size == size and sha256_of(path) == sha256
    except OSError:
        return False


def missing_members(asset: Asset) -> list[Member]:
    """The asset's files that are not in the cache, or not as they should be."""
    folder = cache_folder() / asset.name
    return [m for m in asset.members if not is_whole(folder / m.file, m.size, m.sha256)]


def make_folder(folder: Path) -> None:
    """Create a folder of the cache.

    Raises:
        CacheError: If the cache cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(f"cannot create {folder}: {error.strerror}") from error


def check_free_space(needed: int) -> None:
    """Refuse early if the disk cannot hold ``needed`` bytes more.

    Raises:
        CacheError: With what is needed and what is free.
    """
    free = shutil.disk_usage(cache_folder()).free
    if free < needed:
        raise CacheError(
            f"needs {needed / 1e6:.1f} MB in {cache_folder()}, "
            f"which has {free / 1e6:.1f} MB left"
        )


def write_chunks(chunks: Iterator[bytes], path: Path, append: bool = False) -> None:
    """Write the chunks to a file and to the disk below it.

    Args:
        chunks: The bytes; an error of theirs passes through and is no ``OSError``.
        path: The file to write.
        append: Write behind what is there, not over it.

    Raises:
        CacheError: If the disk is full or the file cannot be written; the file is
            then removed.
    """
    try:
        with path.open("ab" if append else "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise CacheError(f"cannot write {path}: {error.strerror}") from error


def store_member(asset: Asset, member: Member, source: BufferedIOBase) -> None:
    """Copy one file from ``source`` into the cache, checked, in one step.

    Raises:
        SourceError: If the bytes are not the pinned ones.
        CacheError: If the cache cannot be written to.
    """
    target = cache_folder() / asset.name / member.file
    part = target.with_name(target.name + ".part")
    digest = hashlib.sha256()

    def checked_chunks() -> Iterator[bytes]:
        left = member.size
        while True:
            try:
                chunk = source.read(min(CHUNK, left + 1))
            except BROKEN as error:
                raise SourceError(f"{member.file} cannot be read: {error}") from error
            if not chunk:
                break
            left -= len(chunk)
            if left < 0:
                raise SourceError(f"{member.file} is longer than {member.size} bytes")
            digest.update(chunk)
            yield chunk
        if left:
            raise SourceError(f"{member.file} ends {left} bytes too early")
        if digest.hexdigest() != member.sha256:
            raise SourceError(f"{member.file} has another SHA-256 than the pinned one")

    make_folder(target.parent)
    try:
        write_chunks(checked_chunks(), part)
        try:
            os.replace(part, target)
        except OSError as error:
            raise CacheError(f"cannot write {target}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
