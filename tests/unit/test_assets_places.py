"""Where pip's settings send the search for an archive."""

import hashlib
import http.server
import io
import os
import threading
import zipfile
from pathlib import Path

import pytest
import requests

from lmcore.assets import Archive, Asset, AssetError, Member, fetch, table
from lmcore.assets.package_index import PipSession, places
from lmcore.assets.pip_config import (
    DEFAULT_INDEX,
    PipSettings,
    config_files,
    read_pip_settings,
)

TEXT = b"Our revels now are ended.\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty cache and none of this machine's pip settings."""
    for name in list(os.environ):
        if name.upper().startswith("PIP_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("LMCORE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def wheel(home, monkeypatch):
    """The bytes of a wheel that the table knows as the asset ``toy``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("toy/a.txt", TEXT)
    data = buffer.getvalue()
    member = Member("a.txt", "toy/a.txt", len(TEXT), hashlib.sha256(TEXT).hexdigest())
    pinned = hashlib.sha256(data).hexdigest()
    found = Archive("Toy_Pack", "Toy_Pack-1-py3-none-any.whl", len(data), pinned)
    asset = Asset("toy", "a test", "MIT", (member,), found)
    monkeypatch.setitem(table.ASSETS, "toy", asset)
    return data


def file_index(folder, data):
    """An index in files, as ``file:`` indexes are laid out; returns its simple/."""
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "Toy_Pack-1-py3-none-any.whl").write_bytes(data)
    page = folder / "simple" / "toy-pack" / "index.html"
    page.parent.mkdir(parents=True)
    name = "Toy_Pack-1-py3-none-any.whl"
    page.write_text(f'<a href="../../files/{name}#sha256=00">{name}</a>')
    return folder / "simple"


@pytest.mark.parametrize("folder", ["plain", "with blank + ä"])
def test_a_file_index(wheel, tmp_path, monkeypatch, folder):
    simple = file_index(tmp_path / folder, wheel)
    monkeypatch.setenv("PIP_INDEX_URL", simple.as_uri())
    assert fetch("toy").read_bytes() == TEXT


def test_a_file_index_as_the_extra_one_is_asked_first(wheel, tmp_path, monkeypatch):
    simple = file_index(tmp_path / "mirror", wheel)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"http://127.0.0.1:9/b {simple.as_uri()}")
    assert fetch("toy").read_bytes() == TEXT
    order = [place for place, _ in places(read_pip_settings())]
    assert order[0] == simple.as_uri() and len(order) == 3


@pytest.mark.parametrize("as_uri", [True, False])
def test_a_folder_of_archives(wheel, tmp_path, monkeypatch, as_uri):
    folder = tmp_path / "stick"
    folder.mkdir()
    (folder / "Toy_Pack-1-py3-none-any.whl").write_bytes(wheel)
    monkeypatch.setenv("PIP_NO_INDEX", "true")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri() if as_uri else str(folder))
    assert fetch("toy").read_bytes() == TEXT
    assert (folder / "Toy_Pack-1-py3-none-any.whl").exists()  # not ours to delete


def test_a_spoilt_local_archive_is_passed_over(wheel, home, tmp_path, monkeypatch):
    folder = tmp_path / "stick"
    folder.mkdir()
    (folder / "Toy_Pack-1-py3-none-any.whl").write_bytes(wheel[:-1] + b"?")
    good = file_index(tmp_path / "mirror", wheel)
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_INDEX_URL", good.as_uri())
    assert fetch("toy").read_bytes() == TEXT
    fetch("toy").unlink()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(AssetError, match="has another SHA-256 than the pinned"):
        fetch("toy")


def test_no_place_at_all(wheel, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "yes")
    with pytest.raises(AssetError, match="no place to look"):
        fetch("toy")


class Proxy(http.server.BaseHTTPRequestHandler):
    """Answers for every host, as a proxy does; notes what it was asked."""

    asked: list[str]
    data: bytes

    def do_GET(self):
        self.asked.append(self.path)
        name = "Toy_Pack-1-py3-none-any.whl"
        page = f'<a href="http://files.invalid/{name}">{name}</a>'.encode()
        body = self.data if self.path.endswith(".whl") else page
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def proxy(wheel):
    handler = type("Noted", (Proxy,), {"asked": [], "data": wheel})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler.asked
    server.shutdown()
    server.server_close()


def test_pips_proxy_wins_over_the_environments(proxy, monkeypatch):
    address, asked = proxy
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_PROXY", address)
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.invalid/simple/")
    assert fetch("toy").read_bytes() == TEXT
    assert asked == [
        "http://index.invalid/simple/toy-pack/",
        "http://files.invalid/Toy_Pack-1-py3-none-any.whl",
    ]


def test_a_web_page_of_links(proxy, monkeypatch):
    address, asked = proxy
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_PROXY", address)
    monkeypatch.setenv("PIP_FIND_LINKS", "http://links.invalid/page.html")
    assert fetch("toy").read_bytes() == TEXT
    assert asked[0] == "http://links.invalid/page.html"


class Noted(requests.adapters.BaseAdapter):
    """Notes how a request's certificate would be checked, and answers 200."""

    def __init__(self):
        self.verify = []

    def send(self, request, verify=None, **options):
        self.verify.append(verify)
        response = requests.Response()
        response.status_code, response.url = 200, request.url
        response.raw = io.BytesIO()
        response.request = request
        return response

    def close(self):
        pass


def test_certificates_and_trusted_hosts(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "environment.pem")
    settings = PipSettings(cert="own.pem", trusted_hosts=("school.invalid:8443", "lan"))
    noted = Noted()
    with PipSession(settings) as session:
        session.mount("https://", noted)
        for host in ("pypi.invalid", "lan", "school.invalid:8443", "school.invalid"):
            session.get(f"https://{host}/simple/")
    assert noted.verify == ["own.pem", False, False, "own.pem"]


def test_settings_without_any_file_are_pips_defaults(home):
    assert read_pip_settings() == PipSettings()
    assert read_pip_settings().index_urls == (DEFAULT_INDEX,)


def test_files_and_variables_in_pips_order(home, tmp_path, monkeypatch):
    path = tmp_path / "pip.conf"
    path.write_text(
        "[global]\n"
        "index-url = http://global.invalid/simple\n"
        "timeout = 60\n"
        "cert = a.pem\n"
        "extra_index_url =\n    http://one.invalid\n    http://two.invalid\n"
        "[install]\n"
        "cert = b.pem\n"
        "trusted-host = lan wan\n"
        "[list]\nformat = columns\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(path))
    assert config_files()[-1] == path
    monkeypatch.setenv("PIP_INDEX_URL", "http://environment.invalid/simple")
    settings = read_pip_settings()
    assert settings == PipSettings(
        index_urls=(
            "http://environment.invalid/simple",
            "http://one.invalid",
            "http://two.invalid",
        ),
        cert="b.pem",
        timeout=60.0,
        trusted_hosts=("lan", "wan"),
    )
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "7.5")
    monkeypatch.delenv("PIP_CONFIG_FILE")
    assert path not in config_files()


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_a_users_file_beats_the_machines(home, tmp_path, monkeypatch, platform):
    monkeypatch.delenv("PIP_CONFIG_FILE")
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "etc"))
    monkeypatch.setenv("PROGRAMDATA", str(tmp_path / "etc"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "roaming"))
    files = config_files()
    own = [i for i, f in enumerate(files) if f.is_relative_to(tmp_path)]
    assert len(own) >= 2 and own == sorted(own)
    user = files[own[-1]]
    assert user.name == ("pip.ini" if platform == "win32" else "pip.conf")
    user.parent.mkdir(parents=True)
    user.write_text("[global]\nindex-url = http://mine.invalid/simple\n")
    assert read_pip_settings().index_urls[0] == "http://mine.invalid/simple"


def test_what_pip_would_refuse_is_named(wheel, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_TIMEOUT", "soon")
    with pytest.raises(AssetError, match="pip's timeout='soon': must be a number"):
        fetch("toy")
    monkeypatch.delenv("PIP_TIMEOUT")
    path = tmp_path / "pip.conf"
    path.write_text("index-url = outside of any section\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(path))
    with pytest.raises(AssetError, match=r"pip's configuration .*pip\.conf"):
        fetch("toy")
