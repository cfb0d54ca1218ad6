"""The symmetrised GRU cell on many pairs, with projections that both orders share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from graphkit.ops import backend

_BLOCK = 2**19  # numbers of a block of pairs: two megabytes, which stay in the cache
_KEEP = 2**26  # numbers stored for the backward pass at most; of larger inputs they are computed again


def symmetric_gru(a: Tensor, b: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
    r""":math:`\frac12 (\mathrm{GRU}(a, b) + \mathrm{GRU}(b, a))` for the rows of two matrices ``[n, channels]``.

    The gates of both orders come from the same two products, of the sum and of the difference of the operands:

    .. math::
        W_i a + W_h b = P + Q, \quad W_i b + W_h a = P - Q, \qquad
        P = \tfrac12 (W_i + W_h)(a + b), \quad Q = \tfrac12 (W_i - W_h)(a - b)

    Pairs are worked on in blocks that stay in the processor's cache. Can be differentiated twice.

    Args:
        a: One operand of each pair.
        b: The other one.
        w_ih: The weights of the input, of reset gate, update gate and candidate ``[3 * channels, channels]``.
        w_hh: Those of the state.
        b_ih: The biases of the input ``[3 * channels]``.
        b_hh: Those of the state.
    """
    return _SymmetricGRU.apply(a, b, w_ih, w_hh, b_ih, b_hh)


def _composite(a: Tensor, b: Tensor, *parameters: Tensor) -> Tensor:
    """The same from torch's own operations."""
    return 0.5 * (torch.gru_cell(a, b, *parameters) + torch.gru_cell(b, a, *parameters))


class _Weights(NamedTuple):
    """The cell's weights as they are used: those of both gates for sum and difference of the operands, and the rest."""

    plus: Tensor  # both: [2, channels, channels], reset gate and update gate
    minus: Tensor
    candidate_i: Tensor
    candidate_h: Tensor
    bias: Tensor  # [2, 1, channels]
    bias_i: Tensor
    bias_h: Tensor

    @classmethod
    def pack(cls, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> _Weights:
        width = w_ih.size(1)
        gates = slice(0, 2 * width), slice(2 * width, None)
        plus, minus = 0.5 * (w_ih + w_hh)[gates[0]], 0.5 * (w_ih - w_hh)[gates[0]]
        bias = (b_ih + b_hh)[gates[0]]
        return cls(
            plus.view(2, width, width),
            minus.view(2, width, width),
            w_ih[gates[1]],
            w_hh[gates[1]],
            bias.view(2, 1, width),
            b_ih[gates[1]],
            b_hh[gates[1]],
        )

    def unpack(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The gradients of the cell's parameters, if these tensors hold gradients."""
        plus, minus = 0.5 * self.plus.flatten(0, 1), 0.5 * self.minus.flatten(0, 1)
        w_ih, w_hh = torch.cat([plus + minus, self.candidate_i]), torch.cat([plus - minus, self.candidate_h])
        bias = self.bias.flatten()
        return w_ih, w_hh, torch.cat([bias, self.bias_i]), torch.cat([bias, self.bias_h])


class _Cell(NamedTuple):
    """What a block of pairs leaves behind, ``[2, pairs, channels]`` each: order 0 is GRU(a, b), 1 is GRU(b, a)."""

    gates: Tensor  # [2, 2, pairs, channels]: order, then reset and update
    of_state: Tensor
    candidate: Tensor

    @property
    def reset(self) -> Tensor:
        return self.gates[:, 0]

    @property
    def update(self) -> Tensor:
        return self.gates[:, 1]

    @classmethod
    def compute(cls, a: Tensor, b: Tensor, weights: _Weights) -> _Cell:
        gates, of_state, candidate = (a.new_empty(2, *shape, *a.shape) for shape in ((2,), (), ()))
        even = torch.baddbmm(weights.bias, _twice(a + b), weights.plus.mT)
        odd = torch.bmm(_twice(a - b), weights.minus.mT)
        torch.add(even, odd, out=gates[0])
        torch.sub(even, odd, out=gates[1])
        gates.sigmoid_()
        for order, (of, state) in enumerate(((a, b), (b, a))):
            torch.addmm(weights.bias_i, of, weights.candidate_i.t(), beta=-2, alpha=-2, out=candidate[order])
            torch.addmm(weights.bias_h, state, weights.candidate_h.t(), out=of_state[order])
        candidate.addcmul_(gates[:, 0], of_state, value=-2).sigmoid_()
        # tanh(x) = 1 - 2 sigmoid(-2x), in a fifth of the time of torch's
        torch.sub(a.new_ones(()), candidate, alpha=2, out=candidate)
        return cls(gates, of_state, candidate)


class _SymmetricGRU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(a, b, *parameters)
        weights = _Weights.pack(*parameters)
        out = torch.empty_like(a)
        keep = 8 * a.numel() <= _KEEP and any(ctx.needs_input_grad)
        ctx.cells = [] if keep else None
        for rows in _blocks(a):
            cell = _Cell.compute(a[rows], b[rows], weights)
            first = torch.lerp(cell.candidate[0], b[rows], cell.update[0])
            second = torch.lerp(cell.candidate[1], a[rows], cell.update[1])
            torch.mul(first.add_(second), 0.5, out=out[rows])  # unlike lerp symmetric in both
            if keep:
                ctx.cells.append(cell)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        a, b, *parameters = inputs = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants second derivatives
            return _differentiable_backward(ctx.needs_input_grad, inputs, grad)
        weights = _Weights.pack(*parameters)
        grads = _Weights(*(torch.zeros_like(weight) for weight in weights))
        grad_a, grad_b = torch.empty_like(a), torch.empty_like(b)
        for number, rows in enumerate(_blocks(a)):
            cell = ctx.cells[number] if ctx.cells is not None else _Cell.compute(a[rows], b[rows], weights)
            _block_backward(cell, (a[rows], b[rows]), grad[rows], weights, grads, (grad_a[rows], grad_b[rows]))
        return grad_a, grad_b, *grads.unpack()


def _block_backward(
    cell: _Cell,
    pair: tuple[Tensor, Tensor],
    grad: Tensor,
    weights: _Weights,
    grads: _Weights,
    out: tuple[Tensor, Tensor],
) -> None:
    """Write the gradients of a block's operands to ``out``, add those of the weights to ``grads``."""
    a, b = pair
    half = 0.5 * grad
    straight = half * cell.update
    d_candidate = half - straight
    torch.ops.aten.tanh_backward.grad_input(d_candidate, cell.candidate, grad_input=d_candidate)
    d_state = d_candidate * cell.reset
    d_gates = torch.empty_like(cell.gates)
    torch.mul(d_candidate, cell.of_state, out=d_gates[:, 0])
    for order, state in enumerate((b, a)):
        torch.sub(state, cell.candidate[order], out=d_gates[order, 1])
    d_gates[:, 1].mul_(half)
    torch.ops.aten.sigmoid_backward.grad_input(d_gates, cell.gates, grad_input=d_gates)
    first, second = d_gates
    even, odd = first + second, first.sub_(second)

    grads.plus.baddbmm_(even.mT, _twice(a + b))
    grads.minus.baddbmm_(odd.mT, _twice(a - b))
    grads.bias.add_(even.sum(1, keepdim=True))
    grads.bias_i.add_(d_candidate.sum((0, 1)))
    grads.bias_h.add_(d_state.sum((0, 1)))
    of_sum = torch.mm(even[0], weights.plus[0]).addmm_(even[1], weights.plus[1])
    of_difference = torch.mm(odd[0], weights.minus[0]).addmm_(odd[1], weights.minus[1])
    torch.add(of_sum, of_difference, out=out[0])
    torch.sub(of_sum, of_difference, out=out[1])
    for order, (of, state) in enumerate(((a, b), (b, a))):
        grads.candidate_i.addmm_(d_candidate[order].t(), of)
        grads.candidate_h.addmm_(d_state[order].t(), state)
        out[order].addmm_(d_candidate[order], weights.candidate_i).add_(straight[1 - order])
        out[1 - order].addmm_(d_state[order], weights.candidate_h)


def _twice(x: Tensor) -> Tensor:
    """The same matrix for both gates."""
    return x.expand(2, *x.shape)


def _differentiable_backward(needed: tuple[bool, ...], inputs: tuple[Tensor, ...], grad: Tensor) -> tuple[Any, ...]:
    wanted = [tensor for tensor, flag in zip(inputs, needed) if flag]
    gradients = iter(torch.autograd.grad(_composite(*inputs), wanted, grad, create_graph=True))
    return tuple(next(gradients) if flag else None for flag in needed)


def _blocks(a: Tensor) -> Iterator[slice]:
    """Runs of rows, long ones on a GPU, whose kernels want many."""
    step = max(64, (backend.DEVICE_BLOCK if a.is_cuda else _BLOCK) // (8 * a.size(1)))
    return (slice(start, start + step) for start in range(0, a.size(0), step))
