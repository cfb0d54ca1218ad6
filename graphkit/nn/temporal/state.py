"""State whose size the events decide."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from graphkit.core.checks import Checks


class GrowingState(nn.Module):
    """A module some buffers of which grow: a saved state may have other sizes than it, and is loaded all the same.

    Example:
        >>> saved, module = GrowingState(), GrowingState()
        >>> saved.register_buffer("seen", torch.arange(3))
        >>> module.register_buffer("seen", torch.arange(0))
        >>> module.load_state_dict(saved.state_dict())
        <All keys matched successfully>
        >>> module.seen
        tensor([0, 1, 2])
    """

    checks = Checks(skip="it reads no graph")

    def __init__(self) -> None:
        super().__init__()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name, buffer in self._buffers.items():
            saved = state_dict.get(prefix + name)
            if isinstance(saved, Tensor) and isinstance(buffer, Tensor):
                self._buffers[name] = torch.empty_like(saved, device=buffer.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)
