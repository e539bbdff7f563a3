"""What holds for every test: shapes are checked, the CPU computes, on one thread.

jaxtyping's import hook makes beartype check the shapes in lmcore's signatures whenever
a test calls them. It has to be in place before lmcore is imported, so it stands here.
Other types are left to lmcore itself, which refuses bad input in its own words. Where
it refuses shapes itself too, its test asks for the fixture ``unchecked_shapes``.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import jaxtyping
import pytest
import torch
from beartype import beartype
from hypothesis import settings
from jaxtyping import AbstractArray, install_import_hook

os.environ["LMCORE_DEVICE"] = "cpu"
torch.set_num_threads(1)  # two test processes, two cores
settings.register_profile("course", deadline=None)  # speed is no test's business
settings.load_profile("course")


def has_shape(hint: object) -> bool:
    """Whether a type hint is, or contains, a shape such as ``Float[Tensor, "B T"]``."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(has_shape(part) for part in get_args(hint))


def check_shapes(function: Callable) -> Callable:
    """Let beartype check those arguments and results that have a shape."""
    hints = getattr(function, "__annotations__", {})
    for name in [name for name, hint in hints.items() if not has_shape(hint)]:
        del hints[name]
    return beartype(function) if hints else function


sys.modules["lmcore_tests"] = sys.modules[__name__]  # the hook imports it by this name
install_import_hook("lmcore", "lmcore_tests.check_shapes")

from lmcore.assets import AssetError, fetch  # noqa: E402 - after the hook


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """Shapes go unchecked, for a test of a function that refuses them itself."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def real_asset() -> Callable[[str], Path]:
    """Fetches an asset by name; without a network, a test that asks for it is skipped.

    ``.ci/run`` sets LMCORE_ALL_ASSETS: there, a file that cannot be had is a failure,
    and tests of the large files run too.
    """

    def fetch_or_skip(name: str) -> Path:
        try:
            return fetch(name)
        except AssetError as error:
            if os.environ.get("LMCORE_ALL_ASSETS"):
                raise
            pytest.skip(str(error))

    return fetch_or_skip
