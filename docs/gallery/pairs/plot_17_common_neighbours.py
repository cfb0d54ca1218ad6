"""
Friends of friends
==================

Two people with many friends in common soon know each other. Yet a graph network that makes a vector per person, and
scores a pair by both vectors, never counts whom they have in common. Models of pairs do.
"""

# %%
# Half of the pairs that are missing here close a triangle; nodes have no features but a random vector, so that nothing
# else tells anything.
import networkx as nx
import torch
from torch_geometric.utils import from_networkx

import graphkit as gk

data = from_networkx(nx.powerlaw_cluster_graph(500, 4, 0.9, seed=0))
data.x = torch.randn(data.num_nodes, 16, generator=torch.Generator().manual_seed(0))
split = gk.LinkSplit.random(data.edge_index, data.num_nodes, val=0.1, test=0.2, seed=0)
task = gk.LinkTask("clustered", data, split, metric="average_precision")

# %%
# The same encoder three times: scored by the dot product, with the vectors of common neighbours (NCN), and with those
# that probably are (NCNC).
encoder = {"class_path": "PureGCN", "init_args": {"hidden_channels": 32, "num_layers": 2}}
models = {
    "dot product": gk.models.PureGCN.from_task(task, hidden_channels=32, num_layers=2),
    "NCN": gk.models.NCN.from_task(task, encoder=encoder, hidden_channels=32),
    "NCNC": gk.models.NCNC.from_task(task, encoder=encoder, hidden_channels=32),
}
comparison = gk.compare(models, task, seeds=3, trainer=gk.Trainer(max_epochs=40, lr=0.01), progress=False)
print(comparison)

# %%
# Better, and dearer:
figure = comparison.plot("costs")
