"""lmcore.assets against a package index that runs on this machine.

The archives are made here, the servers answer on 127.0.0.1, and every failure is a
real one: a connection that breaks, a disk that is full, a file that is a link.
"""

import hashlib
import http.server
import io
import os
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from lmcore import assets
from lmcore.assets import Archive, Asset, AssetError, Member, fetch, table
from lmcore.assets import cache as cache_module

TEXT = b"To be, or not to be\n" * 5000
BIG = os.urandom(3_000_000)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def make_zip(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def make_tar(files, links=()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return buffer.getvalue()


class Index:
    """A package index on 127.0.0.1, whose manners a test can change."""

    def __init__(self):
        self.files = {}  # filename -> bytes
        self.requests = []  # (path, Range header)
        self.cut_after = []  # bytes after which the next answers break off
        self.ranges = True
        self.pages = True
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                index.answer(self)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        serve = self.server.serve_forever
        threading.Thread(target=serve, args=(0.02,), daemon=True).start()

    def answer(self, handler):
        path = re.sub(r"^http://[^/]+", "", handler.path)  # asked as a proxy
        self.requests.append((handler.path, handler.headers.get("Range")))
        name = path.rsplit("/", 1)[-1]
        if path.startswith("/simple/") and self.pages:
            links = "".join(f'<a href="../../files/{n}">{n}</a>' for n in self.files)
            self.send(handler, 200, f"<html>{links}</html>".encode(), "text/html")
        elif path.startswith("/files/") and name in self.files:
            data, wanted = self.files[name], handler.headers.get("Range")
            if wanted and self.ranges:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(data):
                    self.send(handler, 416, b"")
                    return
                self.send(handler, 206, data[start:], total=len(data), start=start)
            else:
                self.send(handler, 200, data)
        else:
            self.send(handler, 404, b"no such page")

    def send(self, handler, code, body, kind="", total=None, start=0):
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Content-Type", kind or "application/octet-stream")
        if code == 206:
            handler.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        handler.end_headers()
        if not kind and self.cut_after:
            body = body[: self.cut_after.pop(0)]
        handler.wfile.write(body)

    def downloads(self):
        return [r for r in self.requests if "/files/" in r[0]]


def continued_at(index):
    """The byte at which each download began."""
    wanted = [r[1] or "bytes=0-" for r in index.downloads()]
    return [int(text.removeprefix("bytes=").rstrip("-")) for text in wanted]


@pytest.fixture
def index():
    made = Index()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty cache, and none of this machine's pip settings."""
    for name in list(os.environ):
        if name.upper().startswith("PIP_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("LMCORE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def files_in(folder):
    """Every file below a folder but the locks, as relative names."""
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(n for n in found if "assets/locks/" not in n)


@pytest.fixture
def add_asset(monkeypatch):
    """Put an asset into the table, for one test."""

    def add(name, filename, archive, members, **fields):
        asset = Asset(
            name=name,
            what="a test",
            licence="MIT",
            members=tuple(
                Member(file, member, len(data), digest(data))
                for file, member, data in members
            ),
            archive=Archive("Toy_Pack.age", filename, len(archive), digest(archive)),
            **fields,
        )
        monkeypatch.setitem(table.ASSETS, name, asset)
        return asset

    return add


@pytest.fixture
def toy(index, home, add_asset, monkeypatch):
    """An asset of one file in a wheel, on the index that pip is configured with."""
    data = make_zip({"toy/a.txt": TEXT, "toy/big.bin": BIG, "toy/__init__.py": b"1/0"})
    index.files["toy-1.whl"] = data
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple/")
    return add_asset("toy", "toy-1.whl", data, [("a.txt", "toy/a.txt", TEXT)])


def test_fetch_takes_only_the_named_file(toy, home, index):
    path = fetch("toy")
    assert path.read_bytes() == TEXT
    assert files_in(home) == ["assets/toy/a.txt"]
    assert index.requests[0][0] == "/simple/toy-pack-age/"  # PEP 503's spelling
    assert fetch("toy") == path
    assert len(index.requests) == 2  # the second time came from the cache
    assert assets.is_cached("toy")


def test_a_corrupted_cached_file_is_fetched_again(toy, home):
    path = fetch("toy")
    path.write_bytes(TEXT[:-1] + b"?")
    assert not assets.is_cached("toy")
    assert fetch("toy").read_bytes() == TEXT
    assert files_in(home) == ["assets/toy/a.txt"]


def test_one_archive_is_downloaded_once_for_all_its_assets(toy, home, index, add_asset):
    members = [("sub/big.bin", "toy/big.bin", BIG), ("a.txt", "toy/a.txt", TEXT)]
    add_asset("whole", "toy-1.whl", index.files["toy-1.whl"], members)
    folder = fetch("whole")
    assert (folder / "sub" / "big.bin").read_bytes() == BIG
    assert fetch("toy").read_bytes() == TEXT
    assert len(index.downloads()) == 1


def test_another_sha256_is_refused(toy, home, index):
    index.files["toy-1.whl"] = index.files["toy-1.whl"][:-1] + b"?"
    with pytest.raises(AssetError, match="has another SHA-256 than the pinned") as info:
        fetch("toy")
    assert "lmcore fetch toy" in str(info.value) and "3.0 MB" in str(info.value)
    assert files_in(home) == []


def test_a_shorter_file_is_refused(toy, home, index):
    index.files["toy-1.whl"] = index.files["toy-1.whl"][:2_000_000]
    with pytest.raises(AssetError, match=r"2000000 of \d+ bytes arrived"):
        fetch("toy")
    assert not (home / "assets" / "toy").exists()


def test_a_longer_file_is_cut_off(toy, home, index):
    index.files["toy-1.whl"] += b"x" * 10_000_000
    with pytest.raises(AssetError, match="longer than the pinned"):
        fetch("toy")


def test_a_member_that_differs_is_refused(home, index, add_asset, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple/")
    data = make_zip({"a": b"other", "b": b"too long", "c": b"s"})
    index.files["toy-1.whl"] = data
    for member, problem in [
        ("a", "another SHA-256"),
        ("b", "is longer than 5 bytes"),
        ("c", "ends 4 bytes too early"),
        ("d", "holds no d"),
    ]:
        add_asset("toy", "toy-1.whl", data, [("file", member, b"right")])
        with pytest.raises(AssetError, match=problem):
            fetch("toy")
        assert files_in(home) == []


def test_a_broken_connection_is_continued_at_once(toy, home, index):
    index.cut_after = [1_000_000]
    assert fetch("toy").read_bytes() == TEXT
    assert continued_at(index) == [0, 15 * 65_536]  # a broken piece is lost


def test_a_truncated_download_is_continued_by_the_next_run(toy, home, index):
    index.cut_after = [500_000, 500_000, 500_000]
    with pytest.raises(AssetError, match="IncompleteRead"):
        fetch("toy")
    assert files_in(home) == ["assets/downloads/toy-1.whl.part"]
    assert fetch("toy").read_bytes() == TEXT
    starts = continued_at(index)
    assert len(starts) == 4 and starts == sorted(set(starts)) and starts[3] > 1_300_000
    assert files_in(home) == ["assets/toy/a.txt"]


def test_a_server_without_ranges_sends_it_all_again(toy, home, index):
    index.ranges = False
    index.cut_after = [1_000_000]
    assert fetch("toy").read_bytes() == TEXT
    assert len(index.downloads()) == 2
    assert files_in(home) == ["assets/toy/a.txt"]


@pytest.mark.parametrize("length", [700_000, 50_000_000])
def test_a_spoilt_part_of_an_older_run_is_thrown_away(toy, home, index, length):
    part = home / "assets" / "downloads" / "toy-1.whl.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * length)
    assert fetch("toy").read_bytes() == TEXT
    assert files_in(home) == ["assets/toy/a.txt"]


class FullDisk(io.FileIO):
    """A file on a disk with room for 100 kB."""

    room = 100_000

    def write(self, data):
        if self.tell() + len(data) > self.room:
            raise OSError(28, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("pattern", ["toy-1.whl.part", "a.txt.part"])
def test_a_full_disk_leaves_nothing(toy, home, monkeypatch, pattern):
    real_open = Path.open

    def full_disk_open(path, mode="r", *args, **kwargs):
        if path.name == pattern and ("w" in mode or "a" in mode):
            return FullDisk(path, mode.replace("b", ""))
        return real_open(path, mode, *args, **kwargs)

    monkeypatch.setattr(FullDisk, "room", 50_000)
    monkeypatch.setattr(Path, "open", full_disk_open)
    with pytest.raises(AssetError, match="No space left on device") as info:
        fetch("toy")
    assert "LMCORE_HOME" in str(info.value)
    assert files_in(home) == []
    monkeypatch.undo()


def test_too_little_space_is_seen_before_the_download(toy, home, index, monkeypatch):
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda _: Usage(10))
    with pytest.raises(AssetError, match=r"needs 3\.1 MB in .*, which has 0\.0 MB"):
        fetch("toy")
    assert index.downloads() == []


class Usage:
    def __init__(self, free):
        self.free = free


def test_a_cache_that_is_no_folder(toy, home, monkeypatch):
    home.write_text("a file")
    with pytest.raises(AssetError, match="cache: cannot create"):
        fetch("toy")


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such mode")
def test_a_read_only_cache(toy, home):
    (home / "assets").mkdir(parents=True)
    # root may write anywhere, so the child becomes another user when all is imported
    code = (
        "import os; from lmcore.assets import fetch\n"
        "os.getuid() or os.setuid(65534)\n"
        "fetch('cmudict')"
    )
    os.chmod(home / "assets", 0o555)
    for folder in (home, home.parent, home.parent.parent, home.parent.parent.parent):
        os.chmod(folder, os.stat(folder).st_mode | 0o055)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    os.chmod(home / "assets", 0o755)
    assert done.returncode == 1
    assert "could not get 'cmudict'" in done.stderr
    assert "cannot create" in done.stderr and "Permission denied" in done.stderr
    assert files_in(home) == []


def test_a_read_only_cache_that_is_full_is_enough(toy, home):
    path = fetch("toy")
    for folder in (path.parent, path.parent.parent):
        os.chmod(folder, 0o555)
    try:
        assert fetch("toy").read_bytes() == TEXT
    finally:
        for folder in (path.parent.parent, path.parent):
            os.chmod(folder, 0o755)


RACER = """
import sys
from lmcore.assets import table, Archive, Asset, Member, fetch
size, sha, text_size, text_sha = sys.argv[1:]
table.ASSETS["toy"] = Asset(
    "toy", "a test", "MIT", (Member("a.txt", "toy/a.txt", int(text_size), text_sha),),
    Archive("toy-pack-age", "toy-1.whl", int(size), sha))
print(fetch("toy"))
"""


def test_two_processes_download_once(toy, home, index):
    data = index.files["toy-1.whl"]
    arguments = [str(len(data)), digest(data), str(len(TEXT)), digest(TEXT)]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    ended = [racer.communicate(timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0], ended
    assert len({out for out, _ in ended}) == 1
    assert len(index.downloads()) == 1
    assert files_in(home) == ["assets/toy/a.txt"]


def test_no_network_says_what_to_run_later(toy, home, index, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@127.0.0.1:9/simple/")
    with pytest.raises(AssetError) as info:
        fetch("toy")
    message = str(info.value)
    assert "could not get 'toy' (a test; 3.0 MB to download)" in message
    assert "Installed package: Toy_Pack.age is not installed" in message
    assert "Package index: http://****@127.0.0.1:9/simple/" in message
    assert "Web address: it has none" in message
    assert message.endswith("lmcore fetch toy")
    assert "secret" not in message
    assert files_in(home) == []


def test_an_index_without_the_project_or_the_file(toy, home, index):
    index.files["other-1.whl"] = index.files.pop("toy-1.whl")
    with pytest.raises(AssetError, match=r"has no toy-1\.whl"):
        fetch("toy")
    index.pages = False
    with pytest.raises(AssetError, match=r"has no toy-1\.whl"):
        fetch("toy")


def test_a_second_index_is_asked_when_the_first_fails(toy, index, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{index.url}/simple")
    assert fetch("toy").read_bytes() == TEXT


def test_the_web_address_is_the_last_source(home, index, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    members = (Member("a.txt", "", len(TEXT), digest(TEXT)),)
    asset = Asset("hub", "a test", "MIT", members, url=f"{index.url}/files/")
    monkeypatch.setitem(table.ASSETS, "hub", asset)
    index.files["a.txt"] = TEXT
    index.cut_after = [10]
    assert fetch("hub").read_bytes() == TEXT
    assert files_in(home) == ["assets/hub/a.txt"]
    monkeypatch.setitem(table.ASSETS, "hub", replace(asset, url=f"{index.url}/none"))
    (home / "assets" / "hub" / "a.txt").unlink()
    with pytest.raises(AssetError, match="Web address: 404 Client Error"):
        fetch("hub")


def test_names_inside_an_archive_never_become_paths(
    home, index, add_asset, monkeypatch
):
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple/")
    hostile = {
        "../../evil.txt": b"evil",
        "/tmp/lmcore-evil.txt": b"evil",
        "C:\\evil.txt": b"evil",
        "good.txt": TEXT,
    }
    for filename, data in [
        ("toy-1.whl", make_zip(hostile)),
        ("toy-1.tar.gz", make_tar(hostile, [("link", "/etc/passwd")])),
    ]:
        index.files[filename] = data
        asset = add_asset("toy", filename, data, [("good.txt", "good.txt", TEXT)])
        assert fetch("toy").read_bytes() == TEXT
        # even a hostile name that is asked for lands under our own name
        add_asset("toy", filename, data, [("safe.txt", "../../evil.txt", b"evil")])
        assert fetch("toy").name == "safe.txt"
        assert files_in(home.parent) == [
            "home/assets/toy/good.txt",
            "home/assets/toy/safe.txt",
        ]
        for path in (home / "assets" / asset.name).iterdir():
            path.unlink()
    assert not Path("/tmp/lmcore-evil.txt").exists()


def test_a_link_inside_an_archive_is_refused(home, index, add_asset, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple/")
    data = make_tar({}, [("pack/a.txt", "/etc/passwd")])
    index.files["toy-1.tar.gz"] = data
    add_asset("toy", "toy-1.tar.gz", data, [("a.txt", "pack/a.txt", TEXT)])
    with pytest.raises(AssetError, match="is no plain file"):
        fetch("toy")
    assert files_in(home) == []


def test_an_archive_inside_an_archive(home, index, add_asset, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple/")
    inner = make_tar({"in/x.txt": TEXT, "in/y.txt": b"y", "../z": b"z"})
    data = make_tar({"pack/inner.tar.gz": inner, "pack/plain.txt": b"plain"})
    index.files["toy-1.tar.gz"] = data
    members = [
        ("y.txt", "pack/inner.tar.gz!/in/y.txt", b"y"),
        ("x.txt", "pack/inner.tar.gz!/in/x.txt", TEXT),
        ("plain.txt", "pack/plain.txt", b"plain"),
    ]
    add_asset("toy", "toy-1.tar.gz", data, members)
    assert (fetch("toy") / "x.txt").read_bytes() == TEXT
    assert files_in(home) == [f"assets/toy/{n}.txt" for n in ("plain", "x", "y")]


def test_an_installed_package_is_read_without_being_imported(
    toy, home, index, tmp_path, monkeypatch
):
    site = tmp_path / "site"
    (site / "toy").mkdir(parents=True)
    (site / "toy" / "a.txt").write_bytes(TEXT)
    (site / "toy" / "__init__.py").write_text("raise SystemExit('imported')")
    info = site / "Toy_Pack.age-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Toy_Pack.age\n")
    (info / "RECORD").write_text("toy/a.txt,,\ntoy/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(site))
    assert fetch("toy").read_bytes() == TEXT
    assert index.requests == []
    assert fetch("toy").is_relative_to(home)

    (home / "assets" / "toy" / "a.txt").unlink()
    (site / "toy" / "a.txt").write_bytes(b"another version")
    assert fetch("toy").read_bytes() == TEXT  # ignored, and taken from the index
    assert len(index.downloads()) == 1
    assert "toy" not in sys.modules


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(
        ValueError, match=r"name='shakespere'.*did you mean shakespeare"
    ):
        fetch("shakespere")
    with pytest.raises(ValueError, match="must be one of the assets"):
        fetch("")
