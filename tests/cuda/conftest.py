"""The device of these tests: a pretended GPU, and with ``pytest -m gpu`` a real one."""

import pytest
import torch

from graphkit.testing import device as pretended


@pytest.fixture(params=["pretended", pytest.param("real", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "real":
        yield torch.device("cuda", 0)
        return
    if not pretended.available():
        pytest.skip("no pretended GPU: torch is too old, or there is a real one (pytest -m gpu)")
    with pretended.pretend_gpu() as gpu:
        yield gpu.device


@pytest.fixture
def gpu():
    """The pretended GPU with its counts."""
    if not pretended.available():
        pytest.skip("no pretended GPU: torch is too old, or there is a real one (pytest -m gpu)")
    with pretended.pretend_gpu() as gpu:
        yield gpu
