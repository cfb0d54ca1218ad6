"""Which kernels are chosen where."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from graphkit.ops import backend


@pytest.mark.parametrize("device", [True, False])
@pytest.mark.parametrize("installed", [True, False])
def test_triton_is_chosen_on_a_device_where_it_is_installed(monkeypatch, device, installed):
    monkeypatch.setattr(backend, "_installed", lambda name: installed)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device)
    on_device = SimpleNamespace(is_cuda=True, is_floating_point=lambda: True)
    assert backend.fused(on_device) == (device and installed)
    assert not backend.fused(torch.ones(1))
    with backend.use_backend("torch"):
        assert not backend.fused(on_device)


def test_a_backend_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr(backend, "_installed", lambda name: False)
    with pytest.raises(ImportError, match="pip install triton"), backend.use_backend("triton"):
        pass
