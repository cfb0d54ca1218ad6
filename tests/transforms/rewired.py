"""What tests of rewirings share."""

from __future__ import annotations

import networkx as nx
import numpy as np
import torch
from torch_geometric.data import Data


def as_data(graph, n=None):
    edges = torch.tensor(list(graph.edges), dtype=torch.long).view(-1, 2).t()
    n = n or graph.number_of_nodes()
    both = torch.cat([edges, edges.flip(0)], dim=1)
    return Data(x=torch.arange(1.0, n + 1).view(-1, 1), edge_index=both, num_nodes=n)


def pairs_of(out):
    return {tuple(sorted(edge)) for edge in out.edge_index.t().tolist() if edge[0] != edge[1]}


def total(graph):
    """The total resistance by eigenvalues, component by component."""
    out = 0.0
    for nodes in nx.connected_components(graph):
        values = np.linalg.eigvalsh(nx.laplacian_matrix(graph.subgraph(nodes)).toarray().astype(float))
        out += len(nodes) * (1 / np.sort(values)[1:]).sum()
    return out
