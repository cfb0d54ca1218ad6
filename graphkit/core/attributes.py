"""What each attribute of a graph belongs to: nodes, edges, pairs of nodes, or the graph as a whole.

Whatever changes nodes or edges (rewirings, samplers, splits) asks here, so that one rule says what goes along. A name
by PyG's conventions tells; for any other, the number of rows does, in all graphs of a list or batch. Where that leaves
a choice, the user declares it::

    data.attribute_kinds = {"time": "edge"}

The declaration is an ordinary attribute: copies, batches, files and hashes have it, too.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch_geometric.data import Data

KINDS = ("graph", "node", "edge", "pair")
DECLARED = "attribute_kinds"
_NAMES = {
    "node": "x pos z batch n_id hop node_weight full_degree laplacian_vectors laplacian_values",
    "edge": "e_id restriction_maps",
    "graph": "ptr batch_size num_components total_resistance spectral_gap feature_vectors",
}
_SUBJECTS = {"graph": "the graph", "node": "a node", "edge": "an edge"}
_KIND_OF_NAME = {name: kind for kind, names in _NAMES.items() for name in names.split()}


def attributes_of(kind: str, data: Data, where: str) -> list[str]:
    """The names of the tensors that belong to ``kind``, without ``edge_index``.

    Args:
        kind: ``"node"``, ``"edge"``, ``"pair"`` (pairs, paths and other sets of nodes, lists of ids) or ``"graph"``.
        data: The graph, or a batch of graphs.
        where: The place named in messages, e.g. ``"FoSR"``.

    Raises:
        ValueError: If an attribute may belong to ``kind`` or to another, or has other rows than its name says.

    Example:
        >>> data = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1], [1, 2]]), time=torch.ones(2))
        >>> attributes_of("node", data, "here"), attributes_of("edge", data, "here")
        (['x'], ['time'])
    """
    names = []
    for key in _tensors(data):
        options = _options(key, [data])
        if kind not in options:
            continue
        rows, nodes, edges = map(sum, zip(*_sizes(key, data), strict=True))
        remedy = f"say which: data.{DECLARED} = {{{key!r}: kind}} with a kind of {', '.join(map(repr, KINDS))}"
        if len(options) > 1:
            choice = " or ".join(_SUBJECTS[option] for option in options)
            raise ValueError(f"{where}: each of the {rows} rows of {key!r} may belong to {choice}; {remedy}")
        if rows != {"node": nodes, "edge": edges}.get(kind, rows):
            expected = nodes if kind == "node" else edges
            raise ValueError(
                f"{where}: {key!r} has {rows} rows, but belongs to the {expected} {kind}s; mend it, or if it does not, "
                f"{remedy}"
            )
        names.append(key)
    return names


def record_kinds(data: Data) -> None:
    """Declare what numbers of rows tell, before a change of nodes or edges lets them tell something else."""
    kinds = _told_by_rows([data])
    if kinds.get("y") == "node" or ("y" in kinds and data.y.size(0) == 1):
        del kinds["y"]  # labels of nodes and of a graph stay what they are
    _declare(data, kinds)


def with_kinds(graphs: Sequence[Data], **kinds: str) -> Sequence[Data]:
    """The graphs; shallow copies with a declaration where some graph alone tells other kinds."""
    odd = {
        key: kind
        for key, kind in kinds.items()
        if any(_options(key, [graph]) != [kind] for graph in _owners(key, graphs))
    }
    return [_declare(copy.copy(graph), odd) for graph in graphs] if odd else graphs


def with_shared_kinds(graphs: Sequence[Data]) -> Sequence[Data]:
    """The graphs, of which each tells what all of them together tell."""
    return with_kinds(graphs, **_told_by_rows(graphs))


def take(value: Tensor, rows: Tensor, key: str = "") -> Tensor:
    """Rows of an attribute; of -1, which is a new edge, it is 0, and 1 for ``edge_weight``.

    Example:
        >>> take(torch.tensor([5, 6]), torch.tensor([1, -1]))
        tensor([6, 0])
    """
    new = rows < 0
    if not bool(new.any()):
        return value[rows]
    out = value.new_full((rows.numel(), *value.shape[1:]), 1 if key == "edge_weight" else 0)
    out[~new] = value[rows[~new]]
    return out


def edge_subgraph(data: Data, edges: Tensor, where: str) -> Data:
    """A shallow copy with some of the edges, given by a mask or by ids, and their attributes."""
    out = copy.copy(data)
    record_kinds(out)
    for key in attributes_of("edge", data, where):
        out[key] = data[key][edges]
    out.edge_index = data.edge_index[:, edges]
    return out


def node_subgraph(data: Data, nodes: Tensor, where: str) -> Data:
    """A shallow copy with some nodes ``[n]``, in this order, and the edges between them."""
    of_nodes = attributes_of("node", data, where)
    number = nodes.new_full((data.num_nodes,), -1)
    number[nodes] = torch.arange(nodes.numel(), device=nodes.device)
    out = edge_subgraph(data, (number[data.edge_index] >= 0).all(0), where)
    out.edge_index = number[out.edge_index]
    out.num_nodes = nodes.numel()
    for key in of_nodes:
        out[key] = data[key].index_select(0, nodes)
    return out


def _declare(data: Data, kinds: dict[str, str]) -> Data:
    if kinds:
        data[DECLARED] = {**_declared(data), **kinds}
    return data


def _declared(data: Data) -> dict[str, str]:
    """The declaration; PyG's batches have a list with an entry per graph under each name."""
    kinds = {key: kind[0] if isinstance(kind, list) else kind for key, kind in data.get(DECLARED, {}).items()}
    for key, kind in kinds.items():
        if kind not in KINDS:
            raise ValueError(f"data.{DECLARED}[{key!r}] is {kind!r}, expected one of {', '.join(map(repr, KINDS))}")
    return kinds


def _tensors(data: Data) -> list[str]:
    return [key for key, value in data if isinstance(value, Tensor) and key != "edge_index"]


def _owners(key: str, graphs: Sequence[Data]) -> list[Data]:
    return [graph for graph in graphs if isinstance(graph.get(key), Tensor)]


def _told_by_rows(graphs: Sequence[Data]) -> dict[str, str]:
    """The kinds that neither names nor declarations tell, but the numbers of rows in all graphs."""
    keys = dict.fromkeys(key for graph in graphs for key in _tensors(graph) if _told(key, graph) is None)
    options = {key: _options(key, _owners(key, graphs)) for key in keys}
    return {key: kinds[0] for key, kinds in options.items() if len(kinds) == 1}


def _told(key: str, data: Data) -> str | None:
    """What the declaration or the name tells."""
    lists = tuple(name for name, value in data.to_dict().items() if "_index" in name and value is not None)
    return _declared(data).get(key) or _told_by_name(key, lists)


@lru_cache(1024)
def _told_by_name(key: str, lists: tuple[str, ...]) -> str | None:
    if key in _KIND_OF_NAME:
        return _KIND_OF_NAME[key]
    if key.startswith("node_") or (key.endswith("_mask") and not key.startswith("edge_")):
        return "node"
    families = [name.partition("_index")[0] for name in lists]
    of_pairs = any(f"{key}_".startswith(f"{family}_") for family in families if family != "edge")
    if "index" in key or key == "face" or of_pairs:
        return "pair"
    return "edge" if key.startswith("edge_") else None


def _options(key: str, graphs: Sequence[Data]) -> list[str]:
    """The kinds that an attribute may be of in all graphs."""
    told = _told(key, graphs[0])
    if told is not None:
        return [told]
    sizes = [size for graph in graphs for size in _sizes(key, graph)]
    fits = {
        "graph": all(rows == 1 for rows, _, _ in sizes),
        "node": all(rows == nodes for rows, nodes, _ in sizes),
        "edge": all(rows == edges for rows, _, edges in sizes),
    }
    options = [kind for kind, fit in fits.items() if fit] or ["graph"]
    named = [kind for kind in options if kind in key]  # as PyG breaks ties
    return named[:1] or (options[:1] if key == "y" else options)


def _sizes(key: str, data: Data) -> list[tuple[int, int, int]]:
    """The numbers of rows, nodes and edges: of each graph of a batch, else of the whole."""
    rows = data[key].size(0) if data[key].dim() > 0 else -1
    ends = getattr(data, "_slice_dict", {})
    if key in ends and "edge_index" in ends and "ptr" in data:
        parts = [part.diff() for part in (ends[key], data.ptr, ends["edge_index"])]
        if [int(part.sum()) for part in parts] == [rows, data.num_nodes, data.num_edges]:  # not changed since
            return list(zip(*(part.tolist() for part in parts), strict=True))
    return [(rows, int(data.num_nodes or 0), data.num_edges)]
