"""Real files by name: corpora, vocabularies, weights, checked and cached.

    from lmcore.assets import fetch

    path = fetch("cmudict")

``lmcore assets`` lists the names; ``lmcore fetch`` gets what the chapters need.
"""

from lmcore.assets.cache import cache_folder
from lmcore.assets.fetch import AssetError, fetch, is_cached, needed_by_the_book
from lmcore.assets.records import Archive, Asset, Member
from lmcore.assets.table import ASSETS, find_asset

__all__ = [
    "ASSETS",
    "Archive",
    "Asset",
    "AssetError",
    "Member",
    "cache_folder",
    "fetch",
    "find_asset",
    "is_cached",
    "needed_by_the_book",
]
