"""
Who needs neighbours?
=====================

Some nodes say themselves what they are, others are known by their company. A mixture of a *weak* expert, which sees no
edge, and a *strong* one asks for each node how sure the weak one is, and looks at the graph where it is not.
"""

# %%
# Two classes. Half of the nodes have features that tell and neighbours at random; the other half have features that
# tell nothing, and hear of four of the first half, all of their own class.
import matplotlib.pyplot as plt
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

import graphkit as gk

generator = torch.Generator().manual_seed(0)
n = 1000
y, clear = torch.arange(n) % 2, torch.arange(n) < n // 2
x = torch.randn(n, 8, generator=generator)
x[:, 0] += torch.where(clear, 2.5 * (2 * y - 1), 0.0)
at_random = torch.randint(n // 2, (2, 5 * n), generator=generator)
known = 2 * torch.randint(n // 4, (4, n // 2), generator=generator) + y[~clear]  # node i has class i % 2
heard = torch.stack([known, torch.arange(n // 2, n).expand(4, -1)]).flatten(1)
data = Data(x=x, edge_index=torch.cat([to_undirected(at_random), heard], dim=1), y=y)
task = gk.NodeTask("two kinds", data, gk.Split.random(n, seed=0, stratify=y))

# %%
# Each expert alone, and both. They take turns: each is trained where the other leaves something to do.
mixture = gk.models.Mowst.from_task(task, weak="MLP", strong="GCN")
trainer = gk.Trainer(max_epochs=60, patience=20, lr=0.01, progress=False)
turns = gk.Trainer(strategy=gk.strategies.ExpertTurns(rounds=3), max_epochs=60, patience=20, lr=0.01, progress=False)
scores = {cls.__name__: trainer.fit(cls.from_task(task), task).test for cls in (gk.models.MLP, gk.models.GCN)}
scores["Mowst"] = turns.fit(mixture, task).test
print({name: f"{score:.1%}" for name, score in scores.items()})

# %%
# How far the weak expert is trusted, without ever having been told which nodes are which. The trust is never far from
# one half, as the gate is free to say little; what counts is that most nodes stand on their own side.
with torch.no_grad():
    trusted = mixture.eval().trusted(task.data)[1].view(-1)
figure, axis = plt.subplots(figsize=(5.5, 3), layout="constrained")
axis.hist([trusted[clear].numpy(), trusted[~clear].numpy()], 20, label=["features tell", "neighbours tell"])
axis.set(xlabel="trust in the expert without edges", ylabel="nodes")
axis.legend()
