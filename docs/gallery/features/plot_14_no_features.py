"""
No features at all
==================

Half of all graphs come as a list of edges. What can stand in for features? Groups that overlap, a node's labels being
the groups that it is in, and four answers: FastRP, DeepWalk, LINE, and eigenvectors of the Laplacian.
"""

# %%
# Logistic regression on each, by the protocol of these papers: half of the nodes are labelled, and of the others the
# number of labels is known. Then the same columns as features of a network, which is scored without knowing it.
import matplotlib.pyplot as plt

import graphkit as gk
from graphkit.diagnostics import probe

task = gk.load("communities", num_nodes=600, num_labels=8)
ways = {
    "FastRP": gk.features.FastRP(dim=32),
    "DeepWalk": gk.features.DeepWalk(dim=32),
    "LINE": gk.features.LINE(dim=32),
    "eigenvectors": gk.features.LaplacianPE(32),
}
scores = {}
for name, features in ways.items():
    given = task.transform(features)
    alone = probe(given.data.x, given.data.y, shares=[0.5], repeats=2)[0]
    model = gk.models.GCN.from_task(given, hidden_channels=32, dropout=0.5)
    network = gk.Trainer(max_epochs=100, lr=0.01, progress=False).fit(model, given)
    scores[name] = sum(alone.micro) / 2, network.test
    print(f"{name:<14}logistic regression {scores[name][0]:.3f}, GCN {scores[name][1]:.3f}")

# %%
# What has been learned of walks and edges tells groups to a linear model, more than what nothing was learned for. The
# network, which has to tell how many groups a node is in, too, is behind it everywhere: the columns have seen the edges
# already. Eigenvectors, whose entries are small, it hardly begins to use in so few epochs.
figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
for shift, (label, column) in enumerate((("logistic regression", 0), ("GCN", 1))):
    places = [place + 0.4 * shift for place in range(len(scores))]
    axis.bar(places, [pair[column] for pair in scores.values()], width=0.35, label=label)
axis.set(ylabel="micro F1", xticks=[place + 0.2 for place in range(len(scores))], xticklabels=list(scores))
axis.legend()
plt.show()
