"""
Which method for my graph?
==========================

Measure the graph before choosing a network: three graphs, three answers, and a check that the answer was right.
"""

# %%
# Three tasks with nothing to download: a social network, a grid of mines, and two crowded rooms with a corridor in
# between, where a node must name the class of the node that mirrors it in the other room.
import matplotlib.pyplot as plt
import networkx as nx
import torch
from torch_geometric.data import Data
from torch_geometric.utils import from_networkx

import graphkit as gk
from graphkit.algorithms import spectral_gap, total_resistance
from graphkit.diagnostics import adjusted_homophily, edge_homophily, label_informativeness

rooms = from_networkx(nx.barbell_graph(20, 2))
generator = torch.Generator().manual_seed(0)
secret = torch.randint(2, (42,), generator=generator)
rooms.x = torch.nn.functional.one_hot(torch.arange(42), 42).float() * (2.0 * secret - 1).unsqueeze(1)
rooms.y = secret.flip(0)
order = torch.randperm(42, generator=generator)
tasks = {
    "karate": gk.load("karate"),
    "minesweeper": gk.load("minesweeper"),
    "two rooms": gk.NodeTask("two rooms", rooms, gk.Split("random", order[:21], order[21:31], order[31:])),
}

# %%
# Do neighbours share labels? Do they tell anything about labels at all? Is there a bottleneck?


def measures(task):
    """Four numbers of a graph and its labels."""
    data, y = task.graphs[0], task.labels.long()
    n = data.num_nodes
    complete = n * (n - 1) / 2 * 2 / n  # the total resistance of the complete graph
    return {
        "edge homophily": edge_homophily(data.edge_index, y),
        "adjusted homophily": adjusted_homophily(data.edge_index, y),
        "label informativeness": label_informativeness(data.edge_index, y),
        "spectral gap": float(spectral_gap(data.edge_index, num_nodes=n)),
        "resistance / complete graph": float(total_resistance(data.edge_index, num_nodes=n)) / complete,
    }


found = {name: measures(task) for name, task in tasks.items()}
for name, values in found.items():
    print(f"{name}\n" + "\n".join(f"  {key:<28}{value:8.3f}" for key, value in values.items()))

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for axis, key in zip(axes, ("adjusted homophily", "spectral gap"), strict=True):
    axis.bar(list(found), [values[key] for values in found.values()])
    axis.set_title(key)
axes[1].set_yscale("log")

# %%
# A rule of thumb, and its reasons:
#
# - labels agree along edges: smoothing helps, and a GCN, or GRAND for more of it, is enough;
# - they do not agree: learn what edges mean, with sheaf maps, residual connections or separate weights for the node
#   itself;
# - a small spectral gap: what is far away is squeezed through few edges; rewire, or let DRew reach further.


def recommend(values):
    """The first thing to try."""
    if values["spectral gap"] < 0.02 and values["label informativeness"] < 0.05:
        return "rewire (EffectiveResistance), or DRew"
    if values["adjusted homophily"] < 0.2:
        return "a residual GCN or SheafDiffusion"
    return "GCN or GRAND"


for name, values in found.items():
    print(f"{name:<14}{recommend(values)}")

# %%
# Was it right? On each task the plain baseline and what was recommended, by validation score:
candidates = {
    "karate": {
        "GCN": lambda task: gk.models.GCN.from_task(task, hidden_channels=16),
        "GRAND": lambda task: gk.models.GRAND.from_task(task, hidden_channels=16),
    },
    "minesweeper": {
        "GCN": lambda task: gk.models.GCN.from_task(task, hidden_channels=32, num_layers=4),
        "residual GCN": lambda task: gk.models.GCN.from_task(
            task, hidden_channels=32, num_layers=4, norm="batch_norm", residual=True
        ),
    },
}
for name, models in candidates.items():
    for title, make in models.items():
        trainer = gk.Trainer(max_epochs=40, lr=0.01, seed=0, progress=False)
        result = trainer.fit(make(tasks[name]), tasks[name])
        print(f"{name:<14}{title:<16}validation {100 * result.val:.1f} %, test {100 * result.test:.1f} %")

# %%
# For the two rooms, what counts is whether the far room is heard at all. The mean influence between nodes of different
# rooms, before and after four edges that the resistance asked for:
from graphkit.diagnostics import sensitivity

cured = gk.rewiring.EffectiveResistance(num_edges=4)(rooms)
torch.manual_seed(0)
model = gk.models.GCN(42, 16, num_layers=4).double()
for title, graph in (("as it is", rooms), ("four more edges", cured)):
    graph = Data(x=graph.x.double(), edge_index=graph.edge_index)
    heard = sensitivity(model, graph, num_targets=42)
    across = heard.norm[heard.distance >= 3]
    print(f"{title:<18}mean influence at distance 3 and more: {float(across.mean()) if len(across) else 0:.2e}")
    print(f"{'':<18}largest distance: {int(heard.distance.max())}")
