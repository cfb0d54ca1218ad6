"""
Networks that read networks
===========================

A neural network is a graph: its neurons are nodes, its parameters edges. With hidden neurons in another order it is the
same network, and the same graph. A graph network can read it: how good it is, without a single example; and in which
direction its weights should move (`"Graph Metanetworks for Processing Diverse Neural Architectures"
<https://github.com/cptq/graph_metanetworks>`_).
"""

# %%
# A network as a graph, and back.
import torch
from torch import nn

import graphkit as gk
from graphkit.metanetworks import graph_to_state_dict, module_to_graph

net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
graph = module_to_graph(net)
print(graph, sum(parameter.numel() for parameter in net.parameters()))
net.load_state_dict(graph_to_state_dict(graph, net))

# %%
# Hidden neurons in another order: other edges in the same places, and the same answer.
order = torch.tensor([2, 0, 3, 1])
other = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
other[0].weight.data, other[0].bias.data = net[0].weight.data[order], net[0].bias.data[order]
other[2].weight.data, other[2].bias.data = net[2].weight.data[:, order], net[2].bias.data
reader = gk.models.MetaNetwork(3, 16, out_channels=1, edge_dim=6, codes=True, readout="mean").eval()
print(reader(graph).item(), reader(module_to_graph(other)).item())

# %%
# A zoo: 200 small perceptrons, trained for longer or shorter on scikit-learn's digits. What is their accuracy on
# pictures that they never saw? R2 on networks that the reader never saw:
task = gk.load("digits-mlps")
reader = gk.models.MetaNetwork.from_task(task, hidden_channels=32, codes=True, norm="batch_norm")
result = gk.Trainer(max_epochs=40, lr=0.005, batch_size=20, seed=0, progress=False).fit(reader, task)
print(f"R2 {result.test:.2f}")

# %%
# What the reader says has a gradient by the weights that it reads. One step in this direction edits a network, and the
# reader thinks better of it. Is it better?
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

digits = load_digits()
pictures = nn.functional.avg_pool2d(torch.from_numpy(digits.images).float()[:, None] / 16, 2)
label = torch.from_numpy(digits.target)
like = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 10))


def accuracy(graph):
    like.load_state_dict(graph_to_state_dict(graph, like))
    return (like(pictures).argmax(1) == label).float().mean().item()


reader.eval()
figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for axis, judge in zip(axes, (lambda graph: reader(graph).item(), accuracy)):
    before, after = [], []
    for number in task.split.test.tolist():
        graph = task.graphs[number].clone()
        before.append(judge(graph))
        graph.edge_attr.requires_grad_()
        (gradient,) = torch.autograd.grad(reader(graph).sum(), graph.edge_attr)
        with torch.no_grad():
            graph.edge_attr[:, 0] += 0.3 * gradient[:, 0] / gradient[:, 0].norm()
        after.append(judge(graph.detach()))
    axis.scatter(before, after)
    axis.plot([0, 1], [0, 1], color="grey")
    print(f"in the mean {sum(before) / len(before):.3f}, then {sum(after) / len(after):.3f}")
for axis, title in zip(axes, ("what the reader says", "accuracy")):
    axis.set(title=title, xlabel="before", ylabel="after one step")
plt.show()

# %%
# It is not: the reader has learned to judge networks that came out of training, and the step leaves these. To edit
# networks, one trains a reader on what edits do, with an output per edge (``readout="edges"``).

# %%
# What a network computes is a graph, too, of operations. Of it another network predicts parameters, for networks that
# nobody has trained (`"Parameter Prediction for Unseen Deep Architectures"
# <https://github.com/facebookresearch/ppuda>`_). How good predicted ones are, beside random ones, stands on the page
# :doc:`/results`; these come out of a predictor without training.
from graphkit.metanetworks import OPERATIONS, GraphHyperNetwork, computational_graph

graph = computational_graph(like)
print([OPERATIONS[code] for code in graph.x[:, 0].tolist()])
parameters = GraphHyperNetwork()(graph, like)
print(torch.func.functional_call(like, parameters, pictures).shape)
