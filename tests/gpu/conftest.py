"""Tests in this folder need a GPU that CUDA knows; elsewhere they are skipped."""

import pytest
import torch


@pytest.fixture(autouse=True)
def cuda():
    """The device, with float32 products at full precision."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device("cuda")
