"""The symmetrised GRU cell on many pairs, with projections that both orders share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

_BLOCK = 2**19  # numbers kept for a block of pairs: two megabytes, which stay in the cache
_KEEP = 2**26  # numbers kept for the backward pass at most; of larger inputs they are computed again


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
    """The cell's weights as they are used: for sum and difference of the operands, and for the candidates."""

    plus: Tensor
    minus: Tensor
    candidate_i: Tensor
    candidate_h: Tensor
    bias: Tensor
    bias_i: Tensor
    bias_h: Tensor

    @classmethod
    def pack(cls, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> _Weights:
        gates = 2 * w_ih.size(1)
        plus, minus = 0.5 * (w_ih + w_hh)[:gates], 0.5 * (w_ih - w_hh)[:gates]
        bias = (b_ih + b_hh)[:gates, None]
        return cls(plus, minus, w_ih[gates:], w_hh[gates:], bias, b_ih[gates:, None], b_hh[gates:, None])

    def unpack(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The gradients of the cell's parameters, if these tensors hold gradients."""
        plus, minus = 0.5 * self.plus, 0.5 * self.minus
        w_ih, w_hh = torch.cat([plus + minus, self.candidate_i]), torch.cat([plus - minus, self.candidate_h])
        return w_ih, w_hh, torch.cat([self.bias, self.bias_i])[:, 0], torch.cat([self.bias, self.bias_h])[:, 0]


class _Cell(NamedTuple):
    """What a block of pairs leaves behind, ``[2, channels, pairs]`` each: order 0 is GRU(a, b), order 1 is GRU(b, a).

    Channels are rows, so that each gate is a contiguous piece of memory.
    """

    states: Tensor
    gates: Tensor  # both: [2, 2 * channels, pairs]
    of_state: Tensor
    candidate: Tensor

    @property
    def reset(self) -> Tensor:
        return self.gates[:, : self.states.size(1)]

    @property
    def update(self) -> Tensor:
        return self.gates[:, self.states.size(1) :]

    @classmethod
    def compute(cls, a: Tensor, b: Tensor, weights: _Weights) -> _Cell:
        pairs, width = a.shape
        states, gates = a.new_empty(2, width, pairs), a.new_empty(2, 2 * width, pairs)
        of_state, candidate = a.new_empty(2, width, pairs), a.new_empty(2, width, pairs)
        for order, (of, state) in enumerate(((a, b), (b, a))):
            states[order] = state.t()
            torch.mm(weights.candidate_i, of.t(), out=candidate[order])
            torch.mm(weights.candidate_h, state.t(), out=of_state[order])
        even, odd = torch.mm(weights.plus, (a + b).t()).add_(weights.bias), torch.mm(weights.minus, (a - b).t())
        torch.add(even, odd, out=gates[0])
        torch.sub(even, odd, out=gates[1])
        cell = cls(states, gates.sigmoid_(), of_state.add_(weights.bias_h), candidate)
        candidate.add_(weights.bias_i).addcmul_(cell.reset, of_state).tanh_()
        return cell


class _SymmetricGRU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(a, b, *parameters)
        weights = _Weights.pack(*parameters)
        out = torch.empty_like(a)
        keep = 10 * a.numel() <= _KEEP and any(ctx.needs_input_grad)
        ctx.cells = [] if keep else None
        for rows in _blocks(a):
            cell = _Cell.compute(a[rows], b[rows], weights)
            first, second = torch.lerp(cell.candidate, cell.states, cell.update)
            torch.mul(first.add_(second).t(), 0.5, out=out[rows])
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
            grad_a[rows], grad_b[rows] = _block_backward(cell, a[rows], b[rows], grad[rows], weights, grads)
        return grad_a, grad_b, *grads.unpack()


def _block_backward(
    cell: _Cell, a: Tensor, b: Tensor, grad: Tensor, weights: _Weights, grads: _Weights
) -> tuple[Tensor, Tensor]:
    """The gradients of a block's operands; those of the weights are added to ``grads``."""
    width = a.size(1)
    half = a.new_empty(width, a.size(0)).copy_(grad.t()).mul_(0.5)
    straight = half * cell.update
    d_candidate = torch.ops.aten.tanh_backward(half - straight, cell.candidate)
    d_gates = torch.empty_like(cell.gates)
    torch.mul(d_candidate, cell.of_state, out=d_gates[:, :width])
    torch.sub(cell.states, cell.candidate, out=d_gates[:, width:]).mul_(half)
    d_gates = torch.ops.aten.sigmoid_backward(d_gates, cell.gates)
    d_state = d_candidate * cell.reset
    even, odd = d_gates[0] + d_gates[1], d_gates[0] - d_gates[1]

    grads.plus.addmm_(even, a + b)
    grads.minus.addmm_(odd, a - b)
    for order, (of, state) in enumerate(((a, b), (b, a))):
        grads.candidate_i.addmm_(d_candidate[order], of)
        grads.candidate_h.addmm_(d_state[order], state)
    grads.bias.add_(even.sum(1, keepdim=True))
    grads.bias_i.add_(d_candidate.sum((0, 2)).unsqueeze(1))
    grads.bias_h.add_(d_state.sum((0, 2)).unsqueeze(1))

    of_sum, of_difference = even.t() @ weights.plus, odd.t() @ weights.minus
    operands = []
    for order, share in enumerate((of_sum + of_difference, of_sum - of_difference)):
        share.addmm_(d_candidate[order].t(), weights.candidate_i).addmm_(d_state[1 - order].t(), weights.candidate_h)
        operands.append(share.add_(straight[1 - order].t()))
    return operands[0], operands[1]


def _differentiable_backward(needed: tuple[bool, ...], inputs: tuple[Tensor, ...], grad: Tensor) -> tuple[Any, ...]:
    wanted = [tensor for tensor, flag in zip(inputs, needed) if flag]
    found = iter(torch.autograd.grad(_composite(*inputs), wanted, grad, create_graph=True))
    return tuple(next(found) if flag else None for flag in needed)


def _blocks(a: Tensor) -> Iterator[slice]:
    """Runs of rows; a single one on a GPU, whose kernels want many."""
    step = a.size(0) if a.is_cuda else max(64, _BLOCK // (10 * a.size(1)))
    return (slice(start, start + step) for start in range(0, a.size(0), max(step, 1)))
