"""Embeddings of nodes by the graph alone as features."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from torch import Tensor
from torch_geometric.data import Data

from graphkit import algorithms
from graphkit.core.checks import Checks
from graphkit.core.constraints import Count, Seed
from graphkit.core.data_folder import results_folder
from graphkit.core.docstrings import arguments_of
from graphkit.core.hashing import hash_data
from graphkit.core.reads import Reads
from graphkit.core.signatures import takes_arguments_of
from graphkit.transforms.features.base import NodeFeatures

_GRAPH = ("edge_index", "edge_weight", "num_nodes")
_BY_NUMBER = {"permutation": "random numbers belong to the numbers of nodes"}


class _Embedding(NodeFeatures):
    """Features from edges and their weights alone.

    Usual arguments:
        cat: Whether the columns are appended to ``x``; otherwise they replace it (default: ``True``).
    """

    reads = Reads(x=False, edge_weight=True)

    def _graph(self, data: Data) -> tuple[Tensor, Tensor | None, int]:
        return data.edge_index, data.get("edge_weight"), int(data.num_nodes or 0)

    def _keep(self, **arguments: Any) -> None:
        self.__dict__.update(arguments)

    def _options(self) -> dict[str, Any]:
        """The arguments of the transform, which are those of the algorithm by the same names."""
        return {name: value for name, value in self.config().items() if name != "cat"}


@arguments_of(algorithms.fastrp)
class FastRP(_Embedding):
    r"""Adds FastRP: powers of the transition matrix, applied to a random projection.

    From `"Fast and Accurate Network Embeddings via Very Sparse Random Projection" <https://arxiv.org/abs/1908.11512>`_
    (Chen, Sultan, Tian, Chen, Skiena, CIKM 2019); the maths is told at :func:`~graphkit.algorithms.fastrp`. There is
    nothing to train, and a graph of a million nodes takes seconds.

    Args:
        ids: The attribute that holds a whole number per node, e.g. ``"n_id"``, by which rows of the projection are
            drawn; so a node keeps its row in subgraphs and in graphs that grow (default: the numbers of nodes).

    Shapes:
        ``x``: ``[num_nodes, F]`` becomes ``[num_nodes, F + dim]``, or ``F + weights * dim`` if powers are concatenated.

    Raises:
        ValueError: If an argument is out of range or a weight is negative.

    Example:
        >>> import torch
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> FastRP(dim=8)(path).x.shape
        torch.Size([3, 8])
    """

    checks = Checks([{"dim": 4}, {"dim": 2, "weights": 3, "normalization": "adj", "sparsity": 0}], {}, None, _BY_NUMBER)

    @takes_arguments_of(algorithms.fastrp, without=(*_GRAPH, "projection"))
    def __init__(
        self,
        dim: Count = 128,
        *,
        ids: str | None = None,
        seed: Seed = 0,
        cat: bool = True,
        **of_algorithm: Any,
    ) -> None:
        self._keep(dim=dim, ids=ids, seed=seed, cat=cat, **of_algorithm)

    def columns(self, data: Data) -> Tensor:
        """The embedding of each node."""
        if self.ids is not None and self.ids not in data:
            raise ValueError(f"FastRP: ids={self.ids!r}, but the graph has no such attribute")
        ids = {"ids": None if self.ids is None else data[self.ids]}
        return algorithms.fastrp(*self._graph(data), **self._options() | ids)


@arguments_of(algorithms.node2vec)
class Node2Vec(_Embedding):
    r"""Adds node2vec: embeddings that predict which nodes are near one another on biased random walks.

    From `"node2vec: Scalable Feature Learning for Networks" <https://arxiv.org/abs/1607.00653>`_ (Grover, Leskovec, KDD
    2016); the maths is told at :func:`~graphkit.algorithms.node2vec`. An interrupted call goes on where it was when it
    is repeated, up to a minute before. PyG's ``Node2Vec`` is a model to train, whose windows have one direction and
    whose negative samples are uniform; here ``window`` is the distance to either side.

    Shapes:
        ``x``: ``[num_nodes, F]`` becomes ``[num_nodes, F + dim]``.

    Raises:
        ValueError: If an argument is out of range or a weight is negative.

    Example:
        >>> import torch
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> Node2Vec(dim=8, walk_length=5, q=0.5)(path).x.shape
        torch.Size([3, 8])
    """

    checks = Checks([{"dim": 4, "walk_length": 5, "p": 0.5, "q": 2.0}], {}, None, _BY_NUMBER)
    own_space = True

    @takes_arguments_of(algorithms.node2vec, without=(*_GRAPH, "threads", "checkpoint", "progress"))
    def __init__(
        self,
        dim: Count = 128,
        *,
        cat: bool = True,
        **of_algorithm: Any,
    ) -> None:
        self._keep(dim=dim, cat=cat, **of_algorithm)

    def columns(self, data: Data) -> Tensor:
        """The embedding of each node."""
        options = self._options() | {"p": self.p, "q": self.q}
        return algorithms.node2vec(*self._graph(data), **options, checkpoint=self._checkpoint(data))

    def _checkpoint(self, data: Data) -> Path | None:
        folder = results_folder("transforms")
        name = f"unfinished-{self.cache_key()}-{hash_data(data, 24)}.pt"
        return folder / name if os.access(folder, os.W_OK) else None


@arguments_of(algorithms.node2vec)
class DeepWalk(Node2Vec):
    r"""Adds DeepWalk: embeddings that predict which nodes are near one another on random walks.

    From `"DeepWalk: Online Learning of Social Representations" <https://arxiv.org/abs/1403.6652>`_ (Perozzi, Al-Rfou,
    Skiena, KDD 2014), with negative samples in place of the hierarchical softmax; it is :class:`Node2Vec` with
    ``p = q = 1``.

    Shapes:
        ``x``: ``[num_nodes, F]`` becomes ``[num_nodes, F + dim]``.

    Example:
        >>> import torch
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> DeepWalk(dim=8, walk_length=5)(path).x.shape
        torch.Size([3, 8])
    """

    checks = Checks([{"dim": 4, "walk_length": 5}], {}, None, _BY_NUMBER)

    @takes_arguments_of(Node2Vec, without=("p", "q"))
    def __init__(self, dim: Count = 128, **of_algorithm: Any) -> None:
        super().__init__(dim, p=1.0, q=1.0, **of_algorithm)


@arguments_of(algorithms.line)
class LINE(_Embedding):
    r"""Adds LINE: embeddings that predict the ends of edges.

    From `"LINE: Large-scale Information Network Embedding" <https://arxiv.org/abs/1503.03578>`_ (Tang, Qu, Wang, Zhang,
    Yan, Mei, WWW 2015); the maths is told at :func:`~graphkit.algorithms.line`.

    Shapes:
        ``x``: ``[num_nodes, F]`` becomes ``[num_nodes, F + dim]``.

    Raises:
        ValueError: If an argument is out of range, a weight is negative or ``dim`` cannot be halved for two orders.

    Example:
        >>> import torch
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> LINE(dim=8)(path).x.shape
        torch.Size([3, 8])
    """

    checks = Checks([{"dim": 4, "num_samples": 100}], {}, None, _BY_NUMBER)
    own_space = True

    @takes_arguments_of(algorithms.line, without=(*_GRAPH, "progress"))
    def __init__(
        self,
        dim: Count = 128,
        order: Literal["first", "second", "both"] = "both",
        *,
        cat: bool = True,
        **of_algorithm: Any,
    ) -> None:
        if order == "both" and dim % 2:
            raise ValueError(f'LINE: dim={dim}, must be even with order="both", whose two parts are of one width')
        self._keep(dim=dim, order=order, cat=cat, **of_algorithm)

    def columns(self, data: Data) -> Tensor:
        """The embedding of each node."""
        return algorithms.line(*self._graph(data), **self._options())


@arguments_of(algorithms.netmf)
class NetMF(_Embedding):
    r"""Adds NetMF: singular vectors of the matrix that DeepWalk factorises.

    From `"Network Embedding as Matrix Factorization: Unifying DeepWalk, LINE, PTE, and node2vec"
    <https://arxiv.org/abs/1710.02971>`_ (Qiu, Dong, Ma, Li, Wang, Tang, WSDM 2018); the maths is told at
    :func:`~graphkit.algorithms.netmf`.

    Shapes:
        ``x``: ``[num_nodes, F]`` becomes ``[num_nodes, F + dim]``.

    Raises:
        ValueError: If a graph has more than 20,000 nodes.

    Example:
        >>> import torch
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> NetMF(dim=2, window=2)(path).x.shape
        torch.Size([3, 2])
    """

    checks = Checks(
        [{"dim": 3}],
        expected_failures={"permutation": "where singular values repeat, directions of vectors depend on node numbers"},
    )
    reads = Reads(x=False, direction=False, edge_weight=True)
    own_space = True

    @takes_arguments_of(algorithms.netmf, without=_GRAPH)
    def __init__(
        self,
        dim: Count = 128,
        *,
        cat: bool = True,
        **of_algorithm: Any,
    ) -> None:
        self._keep(dim=dim, cat=cat, **of_algorithm)

    def columns(self, data: Data) -> Tensor:
        """The embedding of each node."""
        return algorithms.netmf(*self._graph(data), **self._options())
