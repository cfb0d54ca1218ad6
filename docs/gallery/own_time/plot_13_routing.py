"""
Routing, learned on one graph
=============================

A packet is at a node of a sensor network. Who gets it next? *Greedy forwarding* asks which neighbour is closest to the
destination. A rule that also looks at how far a neighbour is off the straight line finds shorter ways, and it can be
learned on a single small graph ("Learning from A Single Graph is All You Need for Near-Shortest Path Routing").
"""

# %%
# The graph: fifty nodes in a square, joined where they are at most 1 apart. One packet, three ways.
import matplotlib.pyplot as plt
import torch

import graphkit as gk
from graphkit.algorithms import greedy_forwarding, greedy_tensile, route

(seen,) = gk.datasets.load_graphs("geometric", seed=2)
for name, policy in {"greedy forwarding": greedy_forwarding, "greedy tensile": greedy_tensile}.items():
    routes = route(seen.edge_index, seen.pos, policy)
    print(f"{name:<20}{routes.delivery:.3f} delivered, {routes.near_shortest():.3f} near the shortest way")

# %%
# To learn a policy: a row for each neighbour of a node that has a packet, with four numbers (the distance to the
# destination and the stretch factor, of the node and of the neighbour), and as label minus the length of the shortest
# way over that neighbour.
task = gk.load("routing", num_pairs=150, seed=2)
model = gk.models.MLP.from_task(task, hidden_channels=32, num_layers=3)
print(gk.Trainer(max_epochs=600, lr=0.02, weight_decay=0.0, seed=2, progress=False).fit(model, task).test)

# %%
# A model is a policy. Larger graphs, none of which it saw: the same rule works there, as it only looks at geometry; and
# where distances get much larger than any that it met, less well.
sizes, policies = (50, 100, 200, 400), {"greedy forwarding": greedy_forwarding, "learned": model.eval()}
figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, policy in policies.items():
    shares = []
    for size in sizes:
        (graph,) = gk.datasets.load_graphs("geometric", num_nodes=size, seed=size)
        origin = torch.arange(500) % size
        pairs = torch.stack([origin, (origin + 1 + torch.arange(500) * 7 % (size - 1)) % size])
        shares.append(route(graph.edge_index, graph.pos, policy, pairs).near_shortest())
    axis.plot(sizes, shares, marker="o", label=name)
    print(f"{name:<20}", [f"{share:.3f}" for share in shares])
axis.set(xlabel="nodes", ylabel="ways near the shortest", xscale="log", xticks=sizes, xticklabels=sizes)
axis.legend()
plt.show()
