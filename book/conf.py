"""Sphinx's configuration of the web edition; ``build.py`` says what it is run on."""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
SETTINGS = tomllib.loads((HERE / "settings.toml").read_text(encoding="utf-8"))

project = html_title = SETTINGS["title"]
author = "the course's authors"
copyright = "the course's authors. Prose and figures: CC BY 4.0. Code: Apache-2.0"
language = "en"
extensions = [
    "myst_nb",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
    "sphinx-mathjax-offline",  # MathJax in the site itself
    "hooks",  # ours: numbers, index entries, descriptions
]

# Notebooks are shown with the outputs that were committed.
nb_execution_mode = "off"
nb_merge_streams = True
nb_number_source_lines = False
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
mathjax3_config = {"chtml": {"displayAlign": "left", "displayIndent": "1em"}}

bibtex_bibfiles: list[str] = []  # set in hooks.py
bibtex_default_style = "alpha"
suppress_warnings: list[str] = []

html_theme = "sphinx_book_theme"
html_static_path = ["static"]
html_favicon = "static/favicon.svg"
html_css_files = ["book.css"]
html_copy_source = True
html_sourcelink_suffix = ""  # so that the download of a notebook is named .ipynb
html_last_updated_fmt = None
html_show_sphinx = False
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_theme_options = {
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "navigation_with_keys": False,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
if SETTINGS["repository"]:
    html_theme_options |= {
        "repository_url": SETTINGS["repository"],
        "repository_branch": SETTINGS["branch"],
        "use_repository_button": True,
    }
