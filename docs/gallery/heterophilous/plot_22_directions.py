"""
Edges have a direction
======================

Who follows whom, who cites whom: is a direction worth keeping, or does a network better read both ways alike? The graph
tells before anything is trained.
"""

# %%
# Members of five groups, in a circle: most follow members of the next group. What is known of a member alone is noise,
# mostly.
import matplotlib.pyplot as plt
import torch
from torch_geometric.data import Data

import graphkit as gk
from graphkit import models

generator = torch.Generator().manual_seed(0)
group = torch.randint(5, (1000,), generator=generator)
follower = torch.arange(1000).repeat_interleave(4)
wanted = (group[follower] + 1) % 5
anyone = torch.rand(4000, generator=generator) < 0.3
wanted[anyone] = torch.randint(5, (int(anyone.sum()),), generator=generator)
members = [(group == number).nonzero().flatten() for number in range(5)]
followed = torch.stack([members[g][torch.randint(len(members[g]), (), generator=generator)] for g in wanted.tolist()])
x = torch.eye(5)[group] + 1.5 * torch.randn(1000, 5, generator=generator)
data = Data(x, torch.stack([follower, followed]), y=group)
task = gk.NodeTask("who follows whom", data, gk.Split.random(1000, 0.25, 0.25))

# %%
# How much one end's group says of the other's, along edges (``a``), against them (``at``), along two, and without
# directions (``u``), as a share of what there is to know:
report = gk.diagnostics.directed_patterns(task)
print(report)

# %%
# So directions should be kept. A GCN on the undirected graph averages the group before and the group behind, one on the
# directed graph reads only who follows a member. DirGNN and ADPA have weights for each direction.
both_ways = task.transform(gk.transforms.Undirected())
contestants = {
    "MLP": (models.MLP, task),
    "GCN, undirected": (models.GCN, both_ways),
    "GCN": (models.GCN, task),
    "ADPA": (models.ADPA, task),
    "DirGNN": (models.DirGNN, task),
}
trainer, scores = gk.Trainer(max_epochs=150, lr=0.01, patience=30, progress=False), {}
for name, (cls, given) in contestants.items():
    scores[name] = trainer.fit(cls.from_task(given, hidden_channels=32, dropout=0.5), given).test
    print(f"{name:<16}accuracy {scores[name]:.3f}")

figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.barh(list(scores), list(scores.values()))
axis.axvline(0.2, color="grey", linestyle=":")
axis.set(xlabel="accuracy on test nodes (dotted: chance)", xlim=(0, 1))
plt.show()
