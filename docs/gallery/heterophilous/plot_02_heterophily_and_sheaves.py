"""
Heterophily, depth and sheaves
==============================

Averaging over neighbours makes neighbours equal. That is good where neighbours have equal labels, and bad where they do
not. Sheaf diffusion takes away a learned share of the differences instead, and a sheaf lets every edge say *how* its
two ends should agree.
"""

# %%
# Two classes on a ring with shortcuts, where most edges join **different** classes:
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

import graphkit as gk

generator = torch.Generator().manual_seed(0)
n = 400
y = torch.arange(n) % 2
ring = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n])
jumps = torch.randint(n, (2, 800), generator=generator)
jumps = jumps[:, (y[jumps[0]] != y[jumps[1]]) | (torch.rand(800, generator=generator) < 0.1)]
edge_index = to_undirected(torch.cat([ring, jumps], dim=1))
x = torch.randn(n, 8, generator=generator)
x[:, 0] += 0.8 * (2 * y - 1)  # one noisy hint of the class
order = torch.randperm(n, generator=generator)
split = gk.Split("random", order[:100], order[100:200], order[200:])
task = gk.NodeTask("two classes", Data(x=x, edge_index=edge_index, y=y), split)

# %%
# ``gk.diagnostics`` measures how equal neighbours are. Adjusted homophily is 1 if all neighbours share their label, 0
# for labels drawn at random, and negative here; label informativeness says that the neighbours still tell a lot.
from graphkit.diagnostics import adjusted_homophily, edge_homophily, label_informativeness

for measure in (edge_homophily, adjusted_homophily, label_informativeness):
    print(f"{measure.__name__:<24}{measure(edge_index, y):6.2f}")

# %%
# The **Dirichlet energy** measures how much states differ along edges. In a deep GCN it decays layer by layer until all
# nodes look the same. Sheaf diffusion has no such fate. Here it is measured in three trained networks of eight layers.
from graphkit.diagnostics import energies, plot_energies


def trained(model):
    trainer = gk.Trainer(max_epochs=60, lr=0.01, weight_decay=5e-4, seed=0, progress=False)
    result = trainer.fit(model, task)
    (batch,) = task.batches("test")
    return result, energies(model, batch)


models = {
    "GCN": gk.models.GCN.from_task(task, hidden_channels=16, num_layers=8),
    "sheaf, identity maps": gk.models.SheafDiffusion.from_task(
        task, hidden_channels=8, num_layers=8, stalk_dim=2, maps="identity"
    ),
    "sheaf, learned maps": gk.models.SheafDiffusion.from_task(
        task, hidden_channels=8, num_layers=8, stalk_dim=2, maps="diag"
    ),
}
curves = {}
for name, model in models.items():
    result, curves[name] = trained(model)
    print(f"{name:<24}test accuracy {100 * result.test:.1f} %")

# %%
figure = plot_energies(curves)

# %%
# The deep GCN guesses; both sheaf networks keep neighbours apart. With **identity maps** the sheaf Laplacian is the
# graph Laplacian: the same network without what learned maps add, and on this graph, where all edges mean the same,
# that is enough. Whether learned maps pay on *your* graph is one argument away, and every sheaf recipe of graphkit
# reports the identity sheaf beside the learned one (:doc:`/results`).

# %%
# What eight layers leave of the nodes: the two main directions of the states before the last layer, one point per node,
# coloured by class.
import matplotlib.pyplot as plt

(batch,) = task.batches("test")
figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for axis, (name, model) in zip(axes, models.items(), strict=True):
    with torch.no_grad():
        history = [model.eval().encode(batch)]
        for i in range(7):
            history.append(model.step(i, history, batch))
    state = history[-1].flatten(1)
    _, _, directions = torch.pca_lowrank(state, q=2)
    points = (state - state.mean(0)) @ directions
    axis.scatter(points[:, 0], points[:, 1], c=y, s=6, cmap="coolwarm")
    axis.set_title(f"{name}\nspread {float(points.std(0)[0]):.1e}")
    axis.set(xticks=[], yticks=[])

# %%
# Where edges have **directions**, nodes may be alike that point to the same nodes, or that the same nodes point to. In
# this graph 570 nodes point to ten of 30 that stand for their class, and those point to anything.
# ``directed_patterns`` measures label informativeness along each directed pattern of first and second order, beside
# what shuffled labels would tell, and says whether the graph can do without its directions.
y = torch.arange(600) % 3
source = torch.arange(30, 600).repeat_interleave(4)
there = torch.stack([source, 10 * y[source] + torch.randint(10, source.shape, generator=generator)])
back = torch.stack([torch.arange(30).repeat_interleave(60), torch.randint(30, 600, (1800,), generator=generator)])
y[:30] = torch.randint(3, (30,), generator=generator)  # what is pointed to has any class
x = torch.randn(600, 8, generator=generator)
x[:, 0] += 0.5 * (y - 1)
data = Data(x=x, edge_index=torch.cat([there, back], dim=1).unique(dim=1), y=y)
task = gk.NodeTask("three classes", data, gk.Split.random(600, seed=0))
gk.diagnostics.directed_patterns(task)

# %%
# The pattern :math:`A A^\top` joins nodes that point to a common one. ADPA propagates along all six patterns once,
# without forming their products, and learns which of them to read; DirGNN reads both directions of edges in two layers.
for cls in (gk.models.MLP, gk.models.GCN, gk.models.DirGNN, gk.models.ADPA):
    result = gk.Trainer(max_epochs=60, lr=0.01, progress=False).fit(cls.from_task(task, hidden_channels=16), task)
    print(f"{cls.__name__:<8}test accuracy {100 * result.test:.1f} %")
