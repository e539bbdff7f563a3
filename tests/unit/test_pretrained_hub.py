"""The hub's manners on 127.0.0.1: redirects, announced hashes, broken connections.

The hub itself cannot be reached from here; what it answers to HEAD and GET is taken
from its documentation (``X-Linked-Etag``, ``X-Linked-Size``, a redirect to storage).
"""

import hashlib
import http.server
import json
import os
import socket
import threading
import time

import pytest

from lmcore.assets import AssetError
from lmcore.pretrained.hub import fetch_checkpoint

WEIGHTS = os.urandom(300_000)
CONFIG = json.dumps({"model_type": "gpt2"}).encode()


class Hub:
    """A hub whose manners a test can change."""

    def __init__(self):
        self.requests = []
        self.sha256 = hashlib.sha256(WEIGHTS).hexdigest()
        self.config = CONFIG
        self.cut_after = None  # bytes after which the next answer breaks off
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                hub.answer(self)

            def do_GET(self):
                hub.answer(self)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        serve = self.server.serve_forever
        threading.Thread(target=serve, args=(0.02,), daemon=True).start()

    def answer(self, handler):
        self.requests.append((handler.command, handler.path))
        if handler.path.startswith("/old/name/"):
            new = handler.path.replace("/old/name/", "/owner/model/")
            self.send(handler, 307, {"Location": new})
        elif handler.path.endswith("/resolve/main/model.safetensors"):
            headers = {"Location": f"{self.url}/storage/blob"}
            if self.sha256:
                headers["X-Linked-Etag"] = f'"{self.sha256}"'
                headers["X-Linked-Size"] = str(len(WEIGHTS))
            self.send(handler, 302, headers)
        elif handler.path.endswith("/resolve/main/config.json"):
            self.send(handler, 200, {}, self.config)
        elif handler.path == "/storage/blob":
            start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
            headers = {"Content-Range": f"bytes {start}-{len(WEIGHTS) - 1}/x"}
            self.send(handler, 206 if start else 200, headers, WEIGHTS[start:])
        else:
            self.send(handler, 404, {})

    def send(self, handler, code, headers, body=b""):
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.path == "/storage/blob" and self.cut_after:
            body, self.cut_after = body[: self.cut_after], None
        if handler.command == "GET":
            handler.wfile.write(body)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    for name in list(os.environ):
        if name.upper().startswith("PIP_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("LMCORE_HOME", str(tmp_path / "home"))
    made = Hub()
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_both_files_arrive_and_are_kept(hub):
    folder = fetch_checkpoint("owner/model")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert (folder / "config.json").read_bytes() == CONFIG
    assert sorted(p.name for p in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    hub.requests.clear()
    assert fetch_checkpoint("owner/model") == folder
    assert hub.requests == [], "the second time, nobody is asked"


def test_a_model_that_was_renamed_is_found(hub):
    folder = fetch_checkpoint("old/name")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_broken_connection_is_continued(hub):
    hub.cut_after = 200_000
    folder = fetch_checkpoint("owner/model")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_other_bytes_than_announced_are_refused(hub):
    hub.sha256 = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(AssetError, match="another SHA-256"):
        fetch_checkpoint("owner/model")
    hub.sha256 = None
    with pytest.raises(AssetError, match="does not announce a SHA-256"):
        fetch_checkpoint("owner/model")


def test_a_login_page_is_no_config(hub):
    hub.config = b"<html>please log in</html>"
    with pytest.raises(AssetError, match="must be JSON"):
        fetch_checkpoint("owner/model")
    hub.config = CONFIG
    assert (fetch_checkpoint("owner/model") / "config.json").read_bytes() == CONFIG


def test_a_model_that_is_not_there(hub):
    with pytest.raises(AssetError, match="404"):
        fetch_checkpoint("owner/model", revision="v2")


def test_without_a_connection_it_says_so_soon(hub, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    start = time.monotonic()
    with pytest.raises(AssetError) as caught:
        fetch_checkpoint("openai-community/gpt2")
    assert time.monotonic() - start < 10
    assert "openai-community/gpt2" in str(caught.value)
    assert "A folder with its config.json" in str(caught.value)


@pytest.mark.parametrize("name", ["gpt2", "a/b/c", "../x", "a/..", "a b/c", ""])
def test_names_of_another_form_are_refused(name):
    with pytest.raises(ValueError, match="owner/model"):
        fetch_checkpoint(name)


def test_a_revision_is_no_path():
    with pytest.raises(ValueError, match="revision"):
        fetch_checkpoint("owner/model", revision="../../x")
