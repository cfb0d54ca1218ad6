"""A graph in memory-mapped files, of which is read what subgraphs need."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.data import DataEdgeAttr
from torch_geometric.data.graph_store import EdgeAttr, EdgeLayout

from graphkit.core.caching import Caching
from graphkit.core.hashing import hash_tensors

STRUCTURE = ("rowptr", "col")
_PROBES = 1024  # rows of a file that its digest reads


class Structure(Caching):
    """The edges of a mapped graph in CSR form, whose rows are targets."""

    def __init__(self, rowptr: Tensor, col: Tensor) -> None:
        self.rowptr, self.col = rowptr, col


class MappedGraph(Data):
    r"""A graph larger than memory: a folder of numpy's files, mapped, of which samplers read what they draw.

    ``rowptr.npy`` ``[num_nodes + 1]`` and ``col.npy`` ``[num_edges]`` are the edges in CSR form: the sources of the
    edges that enter node ``v``, in ascending order, are ``col[rowptr[v]:rowptr[v + 1]]``. Every other ``NAME.npy`` is
    an attribute of that name with a row per node (``x``, ``y``, ``train_mask``, ...), of any dtype; features of 16 bits
    become float32 in each subgraph. :func:`graphkit.datasets.map_files` and :func:`graphkit.datasets.map_graph` write
    such folders, and check what they write; what is opened is not read through.

    As PyG's ``FeatureStore`` and ``GraphStore`` it gives its loaders, ``NeighborLoader((graph, graph), ...)``, rows of
    mapped attributes and the mapped structure; those of 16 bits stay so there.

    Edges have no attributes. What reads all edges at once (models of the whole graph, ``evaluate="whole"``,
    transforms before sampling, ``inductive=True``, tasks of links) needs :meth:`in_memory`, or says so.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: If ``rowptr.npy`` or ``col.npy`` is missing.
        ValueError: If files do not fit each other.

    Example:
        >>> import tempfile; import graphkit as gk
        >>> edges, nodes = np.array([[0, 1, 2], [1, 2, 3]]), {"x": np.eye(4, dtype="f2"), "y": np.array([0, 1, 0, 1])}
        >>> graph = gk.datasets.map_graph(tempfile.mkdtemp() + "/path", [edges], [nodes])
        >>> batch = next(gk.samplers.NeighborSampler([2]).batches(graph, torch.tensor([1]), batch_size=1))
        >>> batch.n_id.tolist(), batch.x.dtype
        ([1, 0, 2], torch.float32)
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        folder = Path(folder).expanduser()
        for name in STRUCTURE:
            if not (folder / f"{name}.npy").is_file():
                raise FileNotFoundError(
                    f"MappedGraph: {folder / name}.npy is missing; `graphkit map SOURCE FOLDER` makes such a folder"
                )
        # private pages: whoever writes into a tensor changes no file
        mapped = {path.stem: torch.from_numpy(np.load(path, mmap_mode="c")) for path in sorted(folder.glob("*.npy"))}
        rowptr, col = (mapped.pop(name) for name in STRUCTURE)
        self.__dict__["_structure"] = Structure(rowptr, col)
        if rowptr.dim() != 1 or rowptr.numel() == 0 or int(rowptr[-1]) != col.numel():
            raise ValueError(f"MappedGraph: {folder}: rowptr.npy must end with {col.numel()}, the length of col.npy")
        self.num_nodes = rowptr.numel() - 1
        for name, value in mapped.items():
            if value.dim() == 0 or value.size(0) != self.num_nodes:
                raise ValueError(
                    f"MappedGraph: {folder / name}.npy has the shape {list(value.shape)}, must have a row for each of "
                    f"the {self.num_nodes} nodes"
                )
            self[name] = value

    @property
    def structure(self) -> Structure:
        """``rowptr`` and ``col``, mapped."""
        return self.__dict__["_structure"]

    @property
    def num_edges(self) -> int:
        """The number of edges."""
        return self.structure.col.numel()

    @property
    def edge_index(self) -> NoReturn:
        self._refuse("edge_index")

    @edge_index.setter
    def edge_index(self, value: object) -> NoReturn:
        self._refuse("new edges")

    def clone(self, *arguments: str) -> NoReturn:
        """Refused: a clone is in memory."""
        self._refuse("a clone")

    def _refuse(self, what: str) -> NoReturn:
        raise TypeError(
            f"MappedGraph: {what} would be in memory as a whole, but the graph lies in files; train on subgraphs, "
            'task.sampled(sampler) with evaluate="sampled", and transform after that, or use graph.in_memory()'
        )

    def in_memory(self) -> Data:
        """The graph as ordinary tensors, features of 16 bits as float32."""
        target, source = torch._convert_indices_from_csr_to_coo(self.structure.rowptr, self.structure.col).long()
        plain = Data(edge_index=torch.stack([source, target]), num_nodes=self.num_nodes)
        for key, value in self.to_dict().items():
            plain[key] = widened(value).clone() if isinstance(value, Tensor) else value
        return plain

    def digest(self) -> str:
        """A digest of sizes, and of 1024 rows of each file: large files are not read through."""
        parts = {name: getattr(self.structure, name) for name in STRUCTURE} | self.to_dict()
        tensors = [parts[key] for key in sorted(parts) if isinstance(parts[key], Tensor)]
        sizes = torch.tensor([part.size(0) for part in tensors])
        return hash_tensors(sizes, *(part[:: 1 + part.size(0) // _PROBES] for part in tensors))

    def get_all_edge_attrs(self) -> list[EdgeAttr]:
        """What PyG's ``GraphStore`` has of edges: the structure, sorted by target."""
        return [DataEdgeAttr("csc", is_sorted=True, size=(self.num_nodes, self.num_nodes))]

    def _get_edge_index(self, edge_attr: EdgeAttr) -> tuple[Tensor, Tensor] | None:
        return (self.structure.col, self.structure.rowptr) if edge_attr.layout == EdgeLayout.CSC else None


def widened(value: Tensor) -> Tensor:
    """Numbers of 16 bits as float32, which models compute with."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
