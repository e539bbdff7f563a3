"""Download one file whose size and SHA-256 are known, and continue where it stopped.

The bytes go to a ``.part`` file. If the connection breaks, the file stays, and the
next attempt asks the server for the rest only (``Range: bytes=N-``, RFC 9110 section
14); a server that cannot do so answers with the whole file, and the download starts
again. What does not match the SHA-256 is deleted.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import requests
from tqdm import tqdm

from lmcore.assets.cache import SourceError, sha256_of, write_chunks

ATTEMPTS = 3
PIECE = 1 << 16  # bytes read at a time; a piece that breaks off is lost


class Interrupted(SourceError):
    """The connection broke; another attempt can continue."""


def progress_is_off() -> bool:
    """No bar where nobody watches: in CI, or with stderr sent to a file.

    A Jupyter kernel's stderr is no terminal, but its reader does see the bar.
    """
    in_notebook = type(sys.stderr).__module__ == "ipykernel.iostream"
    return bool(os.environ.get("CI")) or not (sys.stderr.isatty() or in_notebook)


def download(
    session: requests.Session,
    url: str,
    part: Path,
    size: int,
    sha256: str,
    timeout: float,
) -> None:
    """Bring ``part`` to exactly the pinned bytes.

    Args:
        session: Carries certificates and proxies.
        url: Where the file lies.
        part: File to write; what an earlier attempt left there is continued.
        size: Pinned size in bytes.
        sha256: Pinned SHA-256.
        timeout: Seconds to wait for the server's next bytes.

    Raises:
        SourceError: If the server has another file, or the connection breaks.
        CacheError: If the disk is full.
    """
    for attempt in range(1, ATTEMPTS + 1):
        have = part.stat().st_size if part.exists() else 0
        try:
            if have < size:
                receive(session, url, part, have, size, timeout)
        except Interrupted:
            if attempt == ATTEMPTS:
                raise
            continue
        except requests.RequestException as error:  # no connection, or an error page
            raise SourceError(str(error)) from error
        if sha256_of(part) == sha256:
            return
        part.unlink()
        if have == 0:  # nothing of an older attempt can be to blame
            raise SourceError(f"{url} has another SHA-256 than the pinned {sha256}")
    raise SourceError(f"{url}: {ATTEMPTS} attempts did not give the pinned bytes")


def receive(
    session: requests.Session,
    url: str,
    part: Path,
    have: int,
    size: int,
    timeout: float,
) -> None:
    """One request: append the bytes from ``have`` on, or write the file anew.

    Raises:
        SourceError: If more bytes come than the pinned size.
        Interrupted: If the connection breaks on the way.
        requests.RequestException: If there is no connection, or an error page.
    """
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
        if response.status_code == 416:  # this server will not continue our file
            part.unlink()
            raise Interrupted("the server refused to resume")
        response.raise_for_status()
        content_range = response.headers.get("Content-Range", "")
        resumed = response.status_code == 206
        if resumed and not content_range.startswith(f"bytes {have}-"):
            part.unlink()
            raise Interrupted(f"the server sent {content_range!r}")
        start = have if resumed else 0
        write_chunks(counted(response, part, start, size), part, append=resumed)
    arrived = part.stat().st_size
    if arrived < size:
        raise Interrupted(
            f"{arrived} of {size} bytes arrived; they are kept, and the next "
            "attempt continues there"
        )


def counted(
    response: requests.Response, part: Path, start: int, size: int
) -> Iterator[bytes]:
    """The response's bytes, with a progress bar, and no more than the pinned size."""
    name = part.name.removesuffix(".part")
    with tqdm(
        total=size,
        initial=start,
        desc=name,
        unit="B",
        unit_scale=True,
        disable=progress_is_off(),
    ) as bar:
        chunks = response.iter_content(PIECE)
        while True:
            try:
                chunk = next(chunks, b"")
            except requests.RequestException as error:
                raise Interrupted(str(error)) from error
            if not chunk:
                return
            start += len(chunk)
            if start > size:
                raise SourceError(f"{name} is longer than the pinned {size} bytes")
            bar.update(len(chunk))
            yield chunk
