"""Operations that kernels compute without a row per edge, and whose definitions know derivatives of any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Kernels(NamedTuple):
    """How an operation of some tensors, or ``None`` for those that are not there, is computed.

    Attributes:
        forward: The result of the inputs, and the tensors that the way back wants besides them.
        backward: The gradients of inputs, from the inputs, these tensors and the gradient of the result.
        definition: The result again, in operations that have derivatives of any order.
    """

    forward: Callable[..., tuple[Tensor, Sequence[Tensor]]]
    backward: Callable[[Sequence[Any], Sequence[Tensor], Tensor], Sequence[Tensor | None]]
    definition: Callable[..., Tensor]

    def __call__(self, *inputs: Tensor | None) -> Tensor:
        """The result, by kernels both ways unless somebody wants derivatives of derivatives."""
        return _Fused.apply(self, *inputs)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kernels: Kernels, *inputs: Tensor | None) -> Tensor:
        out, kept = kernels.forward(*inputs)
        ctx.kernels, ctx.count = kernels, len(inputs)
        ctx.save_for_backward(*inputs, *kept)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        inputs, kept = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        if not torch.is_grad_enabled():
            return None, *ctx.kernels.backward(inputs, kept, grad)
        inputs = [None if x is None else x.view_as(x) for x in inputs]  # one may be made of another
        needed = [x for x in inputs if x is not None and x.requires_grad]
        found = iter(torch.autograd.grad(ctx.kernels.definition(*inputs), needed, grad, create_graph=True))
        return None, *(next(found) if x is not None and x.requires_grad else None for x in inputs)
