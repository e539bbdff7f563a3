"""JupyterLab as the course starts it; ``python run.py lab`` runs this file.

Two modes. ``reader`` lays copies into ``work/`` and opens the contents page there;
``author`` opens the repository itself, with jupytext pairing each source and notebook.

Both keep JupyterLab's own files (settings, open tabs, history) in a hidden folder of
``work/``, so that a personal configuration elsewhere on the machine changes nothing:
neither the kernel that a chapter runs in nor the token that guards the server.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from lmcore.course.desk import CONTENTS, lay_desk

SETTINGS = {
    "@jupyterlab/docmanager-extension:plugin": {
        "defaultViewers": {"markdown": "Markdown Preview"}
    },
    "@jupyterlab/apputils-extension:notification": {
        "checkForUpdates": False,
        "fetchNews": "false",
    },
}
# Would bring in other people's kernels, configuration and settings.
FOREIGN = (
    "JUPYTER_PATH",
    "JUPYTER_CONFIG_PATH",
    "JUPYTERLAB_DIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "JUPYTER_RUNTIME_DIR",
    "MPLBACKEND",
)


def prepare_private_folder(folder: Path, pair_with_jupytext: bool) -> dict[str, str]:
    """Write JupyterLab's configuration into a folder of its own.

    Args:
        folder: Where it is kept; made if it is not there.
        pair_with_jupytext: Whether saving a notebook may write a source beside it.

    Returns:
        The environment variables that make Jupyter look there.
    """
    config = folder / "config"
    settings = folder / "settings"
    for path in (config, settings):
        path.mkdir(parents=True, exist_ok=True)
    server = {"ServerApp": {"jpserver_extensions": {"jupytext": pair_with_jupytext}}}
    (config / "jupyter_server_config.json").write_text(json.dumps(server))
    (settings / "overrides.json").write_text(json.dumps(SETTINGS))
    return {
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(folder / "ipython"),
    }


def server_arguments(opened: Path, settings: Path, page: str) -> list[str]:
    """JupyterLab's command line.

    Args:
        opened: The folder that is served; nothing outside it can be opened.
        settings: The folder of ``overrides.json``.
        page: What is shown first, as a path below ``opened``; "" for the launcher.
    """
    arguments = [
        f"--ServerApp.root_dir={opened}",
        f"--LabApp.app_settings_dir={settings}",
        f"--LabApp.default_url=/lab/tree/{page}"
        if page
        else "--LabApp.default_url=/lab",
        "--LabApp.extension_manager=readonly",  # the other one asks the network
        "--log-level=WARN",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")  # else Jupyter refuses root; the token stays
    if not has_display():
        arguments.append("--no-browser")
    return arguments


def has_display() -> bool:
    """Whether a browser window can be opened here."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def main() -> None:
    """Lay the desk if a reader asks, and serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="lmcore.course.server", allow_abbrev=False)
    parser.add_argument("mode", choices=["reader", "author"])
    parser.add_argument("--root", type=Path, required=True, help="the repository")
    parser.add_argument("--work", type=Path, help="the reader's folder (ROOT/work)")
    options, rest = parser.parse_known_args()
    work = options.work or options.root / "work"
    reads = options.mode == "reader"
    if reads:
        for message in lay_desk(options.root, work):
            print(message)
    private = work / f".{options.mode}"
    for name in FOREIGN:
        os.environ.pop(name, None)
    os.environ.update(prepare_private_folder(private, pair_with_jupytext=not reads))
    opened, page = (work, CONTENTS) if reads else (options.root, "")
    print("Starting JupyterLab; Ctrl-C stops it.", flush=True)

    from jupyterlab.labapp import LabApp  # reads the environment set above

    arguments = server_arguments(opened.resolve(), private / "settings", page)
    LabApp.launch_instance([*arguments, *rest])


if __name__ == "__main__":
    main()
