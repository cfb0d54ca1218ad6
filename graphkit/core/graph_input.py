"""The gate for a user's graphs: what converts without loss is converted, all else is refused with the remedy."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, Dataset, HeteroData
from torch_geometric.utils import to_edge_index

from graphkit.core.mapped_graph import MappedGraph, widened
from graphkit.core.validate import all_finite, check_edge_index

# What stands under these names is read as a tensor, so lists and tables become one, too.
_TENSORS = {"x", "edge_index", "edge_weight", "edge_attr", "pos", "y", "readout_mask"}
_REMEDIES = {
    "networkx": "convert it by torch_geometric.utils.from_networkx",
    "scipy": "edge_index, edge_weight = torch_geometric.utils.from_scipy_sparse_matrix(matrix) make edges of it",
    "dgl": "convert it by torch_geometric.utils.from_dgl",
    "torch_sparse": "a sparse adjacency matrix belongs to data.adj_t, its rows being targets",
}


def as_graph(data: Any, where: str) -> Data:
    """The graph, or a shallow copy with tensors of the usual dtypes; values are not looked at.

    ==================================  ========================================================================
    given                               becomes
    ==================================  ========================================================================
    numpy arrays under any name         tensors, as lists, tables and such under PyG's names
    a sparse ``x`` of any layout        ``torch.sparse_csr``
    ids of another integer dtype        int64, and so are none at all of any dtype
    numbers of 16 bits                  float32; float64 stays, for a trainer to decide
    ``x`` of truth values               floats; whole numbers may be codes, of which floats would make amounts
    ``edge_weight`` of whole numbers    floats, and ``[num_edges, 1]`` becomes ``[num_edges]``
    :class:`MappedGraph`                itself, as it was checked when it was written
    ``adj_t``                           ``edge_index``, and ``edge_weight`` (or ``edge_attr``) of its values
    ==================================  ========================================================================

    Args:
        data: What the user gives for a graph.
        where: The place named in messages, e.g. ``"task 'cora'"``.

    Raises:
        TypeError: If it is no homogeneous PyG graph, or an attribute cannot become a tensor.
        ValueError: If the graph has ``adj_t`` beside ``edge_index``.

    Example:
        >>> as_graph(Data(x=np.eye(2), edge_index=[[0], [1]]), "here")
        Data(x=[2, 2], edge_index=[2, 1])
    """
    if isinstance(data, MappedGraph):
        return data
    if not isinstance(data, Data):
        remedy = _remedy(data, "see torch_geometric.data.Data")
        raise TypeError(f"{where}: the graph is a {type(data).__name__}, not a PyG Data; {remedy}")
    given, changed = data.to_dict(), {}
    for key, old in given.items():
        if not _is_usual(key, old) and (new := _usual(key, old, where)) is not old:
            changed[key] = new
    if given.get("adj_t") is not None:
        changed |= _from_adjacency(data, where)
    if not changed:
        return data
    data = copy.copy(data)
    for key, value in changed.items():
        data[key] = value
    if "adj_t" in changed:
        del data.adj_t
    return data


def check_edges(data: Data, where: str) -> None:
    """Check that edges join nodes of the graph and that what belongs to them has a row for each, of finite numbers.

    Raises:
        TypeError, ValueError, IndexError: See :func:`~graphkit.core.validate.check_edge_index`; and if ``edge_index``
            is missing, or ``edge_weight`` or ``edge_attr`` unfit.
    """
    given = data._store  # many graphs are small, so that looking attributes up in another way would cost most
    x, edge_index = given.get("x"), given.get("edge_index")
    if edge_index is None:
        raise ValueError(f"{where} has no edge_index; a graph without edges has torch.empty(2, 0, dtype=torch.long)")
    known = given.get("num_nodes") is None and x is not None
    num_nodes = x.size(0) if known else int(data.num_nodes or 0)
    check_edge_index(edge_index, num_nodes, where)
    num_edges = edge_index.size(1)
    for key in ("edge_weight", "edge_attr"):
        value = given.get(key)
        if value is None:
            continue
        if value.layout != torch.strided or value.is_complex():
            kind = value.dtype if value.is_complex() else value.layout
            raise TypeError(f"{where}: {key} is {kind}, expected real numbers in a dense tensor")
        if value.size(0) != num_edges:
            raise ValueError(f"{where}: {key} has {value.size(0)} rows for {num_edges} edges")
        if key == "edge_weight" and (value.dim() != 1 or not value.is_floating_point()):
            raise ValueError(
                f"{where}: edge_weight is {value.dtype} of shape {list(value.shape)}, expected one real number per "
                "edge; several numbers belong to edge_attr"
            )
        if value.is_floating_point() and not all_finite(value):
            edge = int((~torch.isfinite(value.reshape(value.size(0), -1))).any(1).nonzero()[0, 0])
            raise ValueError(f"{where}: {key} of edge {edge} is not finite")


def as_tensor(value: Any, what: str) -> Tensor:
    """A tensor of an array, a list or anything else that numpy takes.

    Args:
        value: What the user gives.
        what: What it is called in messages, e.g. ``"task 'cora': y"``.

    Raises:
        TypeError: If it holds no numbers; labels that are strings are to be mapped to ids.
    """
    if isinstance(value, Tensor):
        return value
    package = type(value).__module__.partition(".")[0]
    try:
        array = np.asarray(value) if package not in _REMEDIES else None
    except ValueError:  # rows of different lengths
        array = None
    if array is not None and array.dtype.kind in "biufc":
        tensor = torch.tensor(array.astype(array.dtype.newbyteorder("="), copy=False))
        of_numbers = hasattr(value, "dtype") or not tensor.is_floating_point()  # lists have no precision of their own
        return tensor if of_numbers else tensor.to(torch.get_default_dtype())
    if array is not None and array.dtype.kind in "USO" and array.size and isinstance(array.flat[0], str):
        raise TypeError(
            f"{what} holds strings, e.g. {str(array.flat[0])!r}; map them to ids, e.g. by "
            "names, ids = numpy.unique(labels, return_inverse=True)"
        )
    raise TypeError(f"{what} is a {type(value).__name__} that cannot become a tensor; {_remedy(value, 'give one')}")


def _is_usual(key: str, value: Any) -> bool:
    """Whether an attribute surely has its usual form: most have, and many graphs are small."""
    if type(value) is not Tensor or value.layout is not torch.strided or not value.dim() or key == "edge_weight":
        return False
    return value.dtype is torch.int64 or (value.dtype is torch.float32 and key != "edge_index")


def _usual(key: str, value: Any, where: str) -> Any:
    """The attribute in its usual form; the same object where it has it already."""
    if not isinstance(value, Tensor):
        arrays = key in _TENSORS and value is not None and not isinstance(value, bool | int | float)
        if key == "x" and hasattr(value, "tocsr"):
            csr = value.tocsr()
            indptr, indices, values = map(torch.tensor, (csr.indptr, csr.indices, csr.data))
            value = torch.sparse_csr_tensor(indptr, indices, values, csr.shape)
        elif not arrays and not (isinstance(value, np.ndarray) and value.dtype.kind in "biufc"):
            return value
        else:
            value = as_tensor(value, f"{where}: {key}")
    if value.dim() == 0 and key in ("x", "edge_index", "edge_weight", "edge_attr"):
        raise ValueError(
            f"{where}: {key} is a single number, expected a row for each {'node' if key == 'x' else 'edge'}"
        )
    value = widened(value) if key in ("x", "edge_weight", "edge_attr", "pos") else value
    if key == "x" and value.layout not in (torch.strided, torch.sparse_csr):
        value = value.to_sparse_csr()
    if key == "edge_index" and value.layout != torch.strided:
        raise TypeError(f"{where}: edge_index is a {value.layout} matrix; {_REMEDIES['torch_sparse']}")
    if key == "edge_index" and value.dtype != torch.int64 and (_is_whole(value) or not value.numel()):
        return value.long()
    if key == "edge_weight":
        value = value.view(-1) if value.dim() == 2 and value.size(1) == 1 else value
        return value.to(torch.get_default_dtype()) if value.dtype == torch.bool or _is_whole(value) else value
    if key == "x" and value.dtype == torch.bool:
        return value.to(torch.get_default_dtype())
    if key == "readout_mask" and value.dtype == torch.uint8:
        return value.bool()
    return value


def _is_whole(value: Tensor) -> bool:
    return not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)


def _from_adjacency(data: Data, where: str) -> dict[str, Any]:
    """What replaces ``adj_t``, whose rows are targets."""
    if data.edge_index is not None:
        raise ValueError(
            f"{where}: the graph has adj_t beside edge_index, and only one of them would be changed; del data.adj_t"
        )
    try:
        (target, source), values = to_edge_index(data.adj_t)
    except (AttributeError, ValueError) as error:
        raise TypeError(f"{where}: adj_t is no sparse matrix, but a {type(data.adj_t).__name__}") from error
    parts: dict[str, Any] = {"adj_t": None, "edge_index": torch.stack([source, target])}
    if values.dim() > 1 or bool((values != 1).any()):
        name = "edge_weight" if values.dim() == 1 else "edge_attr"
        if data.get(name) is not None:
            raise ValueError(f"{where}: the graph has {name} beside the values of adj_t; delete one of them")
        parts[name] = _usual(name, values, where)
    return parts


def _remedy(value: Any, otherwise: str) -> str:
    if isinstance(value, HeteroData):
        return "convert it by .to_homogeneous()"
    if otherwise != "give one" and isinstance(value, Sequence | Dataset):
        return "give one graph, such as dataset[0]"
    return _REMEDIES.get(type(value).__module__.partition(".")[0], otherwise)
