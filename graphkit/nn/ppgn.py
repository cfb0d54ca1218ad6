"""The block of PPGN++: matrix products of states of pairs of nodes."""

from __future__ import annotations

from functools import cached_property, partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from graphkit.core.caching import of_tensor
from graphkit.core.checks import Checks
from graphkit.core.constraints import Checked, Count
from graphkit.core.devices import read
from graphkit.nn.linear import Linear
from graphkit.ops.fused import Kernels
from graphkit.ops.groups import Groups
from graphkit.ops.indices import ragged, starts
from graphkit.ops.traced import tracing

_SMALL = 48  # nodes of a graph whose states stay in the cache, so that padding costs more than blocks save
_SINGLE, _DOUBLE = {torch.float32}, {torch.float64}


def pair_counts(ptr: Tensor) -> list[int]:
    """The numbers of nodes and of pairs, and the size of the largest graph."""

    def sizes_of() -> list[int]:
        sizes = F.pad(ptr.diff(), (0, 1))
        return read(sizes.sum(), sizes.square().sum(), sizes.max())

    return of_tensor(ptr, "pairs", sizes_of)


class Pairs:
    """All ordered pairs of nodes of the same graph in a batch, sorted by row and column.

    A state has one row per pair; nothing is padded but the operands of products where graphs are large or not on the
    CPU.

    Args:
        ptr: Where each graph's nodes start, ``[num_graphs + 1]``.

    Attributes:
        row: The first node of each pair.
        column: The second.
        graph: Its graph.
        sizes: The number of nodes of each graph.
        ptr: As given.

    Example:
        >>> pairs = Pairs(torch.tensor([0, 2, 3]))
        >>> pairs.row.tolist(), pairs.column.tolist()
        ([0, 0, 1, 1, 2], [0, 1, 0, 1, 2])
        >>> pairs.diagonal.tolist()
        [0, 3, 4]
    """

    def __init__(self, ptr: Tensor) -> None:
        self.ptr = ptr
        self.sizes = ptr.diff()
        num_nodes, self.num_pairs, self._size = pair_counts(ptr)
        nodes = torch.arange(num_nodes, device=ptr.device)
        self._graph_of = torch.repeat_interleave(self.sizes, output_size=num_nodes)
        self._first, of_node = ptr[self._graph_of], self.sizes[self._graph_of]
        self._rows = starts(of_node)
        self.row = torch.repeat_interleave(nodes, of_node, output_size=self.num_pairs)
        self.column = ragged(self._first, of_node, self.num_pairs)
        self.graph = self._graph_of[self.row]

    def number(self, row: Tensor, column: Tensor) -> Tensor:
        """The number of each pair; both nodes must be of the same graph."""
        return self._rows[row] + column - self._first[row]

    @cached_property
    def of_graphs(self) -> Groups:
        """The pairs by graph."""
        ptr = self._rows.index_select(0, self.ptr)
        return Groups(self.sizes.numel(), self.graph, ptr)

    @cached_property
    def diagonal(self) -> Tensor:
        """The number of the pair of each node with itself."""
        return self._rows[:-1] + torch.arange(self._first.numel(), device=self._first.device) - self._first

    @cached_property
    def identity(self) -> Tensor:
        """1 for a node with itself, 0 for others: a column."""
        return (self.row == self.column).unsqueeze(1)

    @cached_property
    def transposed(self) -> Tensor:
        """The number of each pair with its nodes exchanged."""
        return self.number(self.column, self.row)

    @cached_property
    def _slot(self) -> Tensor:
        """The place of each pair among matrices of the size of the largest graph."""
        size = self._size
        first = self._first[self.row]
        return (self.graph * size + self.row - first) * size + self.column - first

    def matmul(self, left: Tensor, right: Tensor) -> Tensor:
        """The matrix product of each graph and channel, ``[num_pairs, channels]`` like the operands."""
        dtypes = {left.dtype, right.dtype}
        if self._size > _SMALL or tracing() or left.device.type != "cpu" or dtypes not in (_SINGLE, _DOUBLE):
            return self._padded_product(left, right)
        from graphkit.ops import pair_kernels as kernels

        forward = partial(kernels.product, self._rows, self._first)
        backward = partial(kernels.product_backward, self._rows, self._first)
        return Kernels(forward, backward, self._padded_product)(left, right)

    def _padded_product(self, left: Tensor, right: Tensor) -> Tensor:
        size, count = self._size, self.sizes.numel()
        dense = []
        for x in (left, right):
            padded = x.new_zeros(count * size * size, x.size(1)).index_copy(0, self._slot, x)
            dense.append(padded.view(count, size, size, -1).permute(0, 3, 1, 2))
        out = (dense[0] @ dense[1]).permute(0, 2, 3, 1)
        return out.reshape(count * size * size, -1).index_select(0, self._slot)


class PPGNBlock(Checked, nn.Module):
    r"""One block of PPGN++, on states of pairs of nodes.

    From `"Equivariant Polynomials for Graph Neural Networks" <https://arxiv.org/abs/2302.11556>`_ (Puny, Lim, Kiani,
    Maron, Lipman, ICML 2023), after `"Provably Powerful Graph Networks" <https://arxiv.org/abs/1905.11136>`_ (Maron et
    al., NeurIPS 2019).

    .. math::
        Z = [X, I], \qquad X' = W \, [Z, \; m_1([Z, Z^\top]) \cdot m_2(Z)] + b

    with the identity matrix :math:`I` as a further channel, matrix products per channel and two perceptrons
    :math:`m_1, m_2` on each pair, of two linear maps with ReLU after both. The official code computes on padded
    matrices; here rows are pairs, which is the same and less work. Products of graphs of up to 48 nodes run on the CPU
    in compiled kernels, without padding either; their results do not depend on the number of threads.

    Args:
        in_channels: Size of each input row.
        out_channels: Size of each output row, and of the perceptrons.

    Shapes:
        - **input:** ``x`` ``[num_pairs, in_channels]``; the :class:`Pairs` of the batch
        - **output:** ``[num_pairs, out_channels]``

    Example:
        >>> PPGNBlock(3, 4)(torch.ones(5, 3), Pairs(torch.tensor([0, 2, 3]))).shape
        torch.Size([5, 4])
    """

    checks = Checks(skip="it reads states of pairs of nodes; checked with PPGNpp")

    def __init__(self, in_channels: Count, out_channels: Count) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.mlp1 = _perceptron(2 * (in_channels + 1), out_channels)
        self.mlp2 = _perceptron(in_channels + 1, out_channels)
        self.skip = Linear(in_channels + 1 + out_channels, out_channels)

    def reset_parameters(self) -> None:
        """Draw new weights: Glorot uniform, zeros for biases."""
        for module in (*self.mlp1, *self.mlp2, self.skip):
            if isinstance(module, Linear):
                module.reset_parameters()

    def forward(self, x: Tensor, pairs: Pairs) -> Tensor:
        """The new states; see the class for shapes."""
        z = torch.cat([x, pairs.identity.to(x.dtype)], dim=1)
        left, right = self.mlp1(torch.cat([z, z.index_select(0, pairs.transposed)], dim=1)), self.mlp2(z)
        return self.skip(torch.cat([z, pairs.matmul(left, right)], dim=1))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels})"


def _perceptron(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(Linear(in_channels, channels), nn.ReLU(), Linear(channels, channels), nn.ReLU())
