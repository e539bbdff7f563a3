"""Checkpoints from the Hugging Face hub, for readers with a connection to it.

    folder = fetch_checkpoint("openai-community/gpt2")

Two files come: ``config.json`` and ``model.safetensors``. The hub says the SHA-256 of
large files before it sends them, and what arrives is compared with that. So a transfer
cannot go wrong unseen; what the publisher put there is taken on trust, unlike our own
assets, whose SHA-256 stands in this repository. A second call reads the cache and needs
no connection. ``HF_ENDPOINT`` names another server, as in Hugging Face's own tools.

The machines that this course is tested on cannot reach the hub: the tests run against
a server on 127.0.0.1 that answers as the hub does.
"""

import os
import re
from pathlib import Path
from urllib.parse import urljoin

import requests

from lmcore.assets import AssetError, cache_folder
from lmcore.assets.cache import CacheError, SourceError, check_free_space, make_folder
from lmcore.assets.download import download
from lmcore.assets.package_index import PipSession
from lmcore.assets.pip_config import read_pip_settings
from lmcore.config import require
from lmcore.pretrained.checkpoint_files import read_json

NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
WEIGHTS = "model.safetensors"
CONNECT_SECONDS = 5.0  # without a network, say so soon
MAX_REDIRECTS = 5


def fetch_checkpoint(name: str, revision: str = "main") -> Path:
    """The folder of a checkpoint, downloaded if it is not in the cache.

    Args:
        name: Owner and model, such as ``"openai-community/gpt2"``.
        revision: A branch, a tag or a commit. Only a commit never changes.

    Raises:
        ValueError: If ``name`` or ``revision`` has another form.
        AssetError: If the hub cannot be reached or does not have the files.
    """
    usable = NAME.fullmatch(name) and ".." not in name
    require(bool(usable), "name", name, "be 'owner/model'")
    usable = re.fullmatch(r"[\w-][\w.-]*", revision, re.ASCII)
    require(bool(usable), "revision", revision, "be a branch, a tag or a commit")
    folder = cache_folder() / "hub" / name.replace("/", "--") / revision
    if (folder / "config.json").exists() and (folder / WEIGHTS).exists():
        return folder
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    address = f"{endpoint.rstrip('/')}/{name}/resolve/{revision}/"
    try:
        make_folder(folder)
        with PipSession(read_pip_settings()) as session:
            fetch_weights(session, address + WEIGHTS, folder / WEIGHTS)
            fetch_config(session, address + "config.json", folder / "config.json")
    except (SourceError, CacheError, requests.RequestException) as error:
        raise AssetError(
            f"could not get the checkpoint {name!r} ({revision}) from {endpoint}\n"
            f"  {error}\n"
            "A folder with its config.json and model.safetensors, copied from a "
            "machine with a connection, works in place of the name."
        ) from error
    return folder


def fetch_weights(session: requests.Session, url: str, path: Path) -> None:
    """Download the weights and compare them with what the hub announced.

    Raises:
        SourceError: If the file is not there or arrives damaged.
        CacheError: If the disk is full.
        requests.RequestException: If there is no connection, or an error page.
    """
    url, headers = announced(session, url)
    sha256 = headers.get("X-Linked-Etag", "").strip('W/"')
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise SourceError(f"{url}: the server does not announce a SHA-256")
    size = int(headers["X-Linked-Size"])
    part = path.with_name(f"{path.name}.part")
    check_free_space(size)
    download(session, url, part, size, sha256, read_pip_settings().timeout)
    part.replace(path)


def announced(
    session: requests.Session, url: str
) -> tuple[str, requests.structures.CaseInsensitiveDict]:
    """What the hub says of a file before it sends it, and where it says so.

    The answer to HEAD is a redirect to the storage, and the SHA-256 stands beside it.
    A redirect without one leads to the model's new name.

    Raises:
        SourceError: If it redirects for ever.
        requests.RequestException: If there is no connection, or an error page.
    """
    for _ in range(MAX_REDIRECTS):
        timeout = (CONNECT_SECONDS, read_pip_settings().timeout)
        response = session.head(url, allow_redirects=False, timeout=timeout)
        response.raise_for_status()
        if "X-Linked-Etag" in response.headers or not response.is_redirect:
            return url, response.headers
        url = urljoin(url, response.headers["Location"])
    raise SourceError(f"{url}: more than {MAX_REDIRECTS} redirects")


def fetch_config(session: requests.Session, url: str, path: Path) -> None:
    """Download the small file beside the weights, and see that it is JSON.

    Raises:
        SourceError: If it is no JSON object.
        requests.RequestException: If there is no connection, or an error page.
    """
    timeout = (CONNECT_SECONDS, read_pip_settings().timeout)
    response = session.get(url, timeout=timeout)
    response.raise_for_status()
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(response.content)
    try:
        read_json(part)
    except ValueError as error:
        raise SourceError(str(error)) from error
    part.replace(path)
