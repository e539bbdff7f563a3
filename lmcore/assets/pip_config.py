"""Where pip would look for a package on this machine, without asking pip.

A classroom behind a mirror, or with the packages on a USB stick, tells pip so in a
configuration file or in ``PIP_*`` variables. The assets come from the same package
index, so they follow the same settings. The files are read here because an
environment made by another tool may have no pip to ask.

Reference: pip documentation, "Configuration" (files, their order, environment).
"""

import configparser
import os
import sys
from dataclasses import dataclass
from pathlib import Path

DEFAULT_INDEX = "https://pypi.org/simple/"
DEFAULT_TIMEOUT = 15.0  # seconds, as pip's own


@dataclass(frozen=True)
class PipSettings:
    """The settings of pip that decide where an archive is looked for.

    Attributes:
        index_urls: Package indexes (Simple API), ``index-url`` first.
        find_links: Folders, ``file:`` URLs or web pages that list archives.
        cert: File of the certificates to trust, or None for the default ones.
        proxy: Proxy for every request, or None for the environment's.
        timeout: Seconds to wait for a server's next bytes.
        trusted_hosts: Hosts whose certificate is not checked.
    """

    index_urls: tuple[str, ...] = (DEFAULT_INDEX,)
    find_links: tuple[str, ...] = ()
    cert: str | None = None
    proxy: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    trusted_hosts: tuple[str, ...] = ()


def config_files() -> list[Path]:
    """pip's configuration files on this platform, the weakest first."""
    chosen = os.environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    home, name = Path.home(), "pip.ini" if sys.platform == "win32" else "pip.conf"
    if sys.platform == "win32":
        shared = [Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "pip" / name]
        roaming = Path(os.environ.get("APPDATA", home / "AppData" / "Roaming"))
        own = [home / "pip" / name, roaming / "pip" / name]
    elif sys.platform == "darwin":
        support = Path("Library/Application Support/pip")
        shared = ["/" / support / name]
        modern = home / support
        if not modern.is_dir():
            modern = home / ".config" / "pip"
        own = [home / ".pip" / name, modern / name]
    else:
        folders = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        shared = [Path(d) / "pip" / name for d in folders.split(os.pathsep) if d]
        shared.append(Path("/etc") / name)
        config_home = os.environ.get("XDG_CONFIG_HOME") or home / ".config"
        own = [home / ".pip" / name, Path(config_home) / "pip" / name]
    site = [Path(sys.prefix) / name]
    if chosen and Path(chosen).exists():  # then pip leaves the user's own files out
        return [*shared, *site, Path(chosen)]
    return [*shared, *own, *site]


def read_options() -> dict[str, str]:
    """All of pip's options for an install: files first, ``PIP_*`` variables last.

    Raises:
        ValueError: If a configuration file cannot be read; names the file.
    """
    by_section: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for path in config_files():
        if not path.is_file():
            continue
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise ValueError(f"pip's configuration {path}: {error}") from error
        for section, options in by_section.items():
            if parser.has_section(section):
                for key, value in parser.items(section):
                    options[key.replace("_", "-")] = value
    environment = {
        key[len("PIP_") :].lower().replace("_", "-"): value
        for key, value in os.environ.items()
        if key.startswith("PIP_") and value
    }
    return by_section["global"] | by_section["install"] | environment


def read_pip_settings() -> PipSettings:
    """The settings in force now; read on every call, never at import.

    Raises:
        ValueError: If an option has a value that pip would refuse.
    """
    options = read_options()
    index_urls = [options.get("index-url") or DEFAULT_INDEX]
    index_urls += options.get("extra-index-url", "").split()
    no_index = options.get("no-index", "").strip().lower()
    if no_index in ("1", "true", "yes", "on", "t", "y"):
        index_urls = []
    # pip takes --timeout under this second name too
    given = options.get("timeout") or options.get("default-timeout")
    try:
        timeout = float(given) if given else DEFAULT_TIMEOUT
    except ValueError:
        raise ValueError(f"pip's timeout={given!r}: must be a number") from None
    return PipSettings(
        index_urls=tuple(index_urls),
        find_links=tuple(options.get("find-links", "").split()),
        cert=options.get("cert") or None,
        proxy=options.get("proxy") or None,
        timeout=timeout,
        trusted_hosts=tuple(options.get("trusted-host", "").split()),
    )
