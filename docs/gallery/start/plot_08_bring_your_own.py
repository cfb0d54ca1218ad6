"""
Bring your own layer, transform and strategy
============================================

Everything that graphkit has can be replaced by a class of yours, and is trained, rewired and compared like the rest.
"""

# %%
# **Any PyG model, any module.** The trainer takes them as they are.
import torch
from torch_geometric.nn import GATConv
from torch_geometric.nn.models import GraphSAGE

import graphkit as gk

task = gk.load("karate")
sage = GraphSAGE(task.num_features, 16, num_layers=2, out_channels=task.num_outputs)
print(gk.Trainer(max_epochs=30, seed=0, progress=False).fit(sage, task))

# %%
# **A layer of your own** in a graphkit model gets dropout, norms, residuals, readouts, layer-wise strategies and depth
# diagnostics with it. A stack needs two methods: how a layer is made, and how it reads the batch.
from graphkit.models.stack import LayerStack


class GAT(LayerStack):
    """Graph attention, two heads."""

    def make_layer(self, in_channels, out_channels):
        return GATConv(in_channels, out_channels, heads=2, concat=False)

    def propagate(self, layer, h, batch):
        return layer(h, batch.edge_index)


gat = GAT.from_task(task, hidden_channels=16, num_layers=3, dropout=0.2)
for strategy in (gk.strategies.Backprop(), gk.strategies.SingleForward()):
    result = gk.Trainer(strategy=strategy, max_epochs=30, seed=0, progress=False).fit(gat, task)
    print(f"{type(strategy).__name__:<16}test {100 * result.test:.1f} %")

# %%
# **A transform of your own** is a PyG transform. It may stand before any model.
from torch_geometric.transforms import BaseTransform


class TwoHops(BaseTransform):
    """Joins nodes that share a neighbour."""

    def forward(self, data):
        adjacency = torch.zeros(data.num_nodes, data.num_nodes)
        adjacency[data.edge_index[0], data.edge_index[1]] = 1
        joined = (adjacency + adjacency @ adjacency).fill_diagonal_(0)
        data.edge_index = joined.nonzero().t().contiguous()
        return data


rewired = task.transform(TwoHops())
print(task.graphs[0].num_edges, "->", rewired.graphs[0].num_edges, "edges")
model = gk.models.GCN.from_task(rewired, hidden_channels=16)
print(f"test {100 * gk.Trainer(max_epochs=30, seed=0, progress=False).fit(model, rewired).test:.1f} %")

# %%
# **A strategy of your own** says what happens to a batch. This one adds noise to the features while training; it
# inherits all the rest from :class:`~graphkit.training.strategies.Backprop`.


class NoisyBackprop(gk.strategies.Backprop):
    """Backpropagation on features with Gaussian noise."""

    def train_step(self, batch, phase):
        noisy = batch.clone()
        noisy.x = batch.x + 0.1 * torch.randn_like(batch.x)
        return super().train_step(noisy, phase)


model = gk.models.MLP.from_task(task, hidden_channels=16)
print(gk.Trainer(strategy=NoisyBackprop(), max_epochs=30, seed=0, progress=False).fit(model, task))

# %%
# ``graphkit.testing`` holds the checks that graphkit's own classes pass: permutation equivariance, batches, precision,
# devices, empty graphs. They say what is wrong, or nothing:
gk.testing.check_model(lambda: GAT(5, 8, readout="mean"))
