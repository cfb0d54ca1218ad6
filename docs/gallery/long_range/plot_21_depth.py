"""
How deep may a network be?
==========================

Each layer reads one edge further, and a plain network of eight layers has forgotten what it read. Who wants to see far
needs layers that keep what they had, or no layers at all.
"""

# %%
# Texts that cite one another, known by a title of few words each, so that much has to be read from others. A GCN, its
# successor with residual connections of normalised layers (DeeperGCN), and DAGNN, which transforms once, averages up to
# :math:`K` edges away and learns how far each node should look.
import matplotlib.pyplot as plt

import graphkit as gk
from graphkit import models

task = gk.load("texts").transform(gk.features.TextEmbedding("title", dim=64))
trainer = gk.Trainer(max_epochs=150, lr=0.01, patience=30, progress=False)
makers = {
    "GCN": lambda depth: models.GCN.from_task(task, hidden_channels=32, num_layers=depth, dropout=0.5),
    "DeeperGCN": lambda depth: models.DeeperGCN.from_task(task, hidden_channels=32, num_layers=depth, dropout=0.5),
    "DAGNN": lambda depth: models.DAGNN.from_task(task, hidden_channels=32, K=depth, dropout=0.5),
}
depths, scores = [2, 4, 8, 16], {}
for name, make in makers.items():
    results = [trainer.fit(make(depth), task) for depth in depths]
    scores[name] = [result.test for result in results]
    told = ", ".join(f"{depth}: {result.test:.2f} in {result.seconds:.1f} s" for depth, result in zip(depths, results))
    print(f"{name:<10}{told}")

# %%
# The plain network falls to chance, one in five: what reaches its last layer is the same for all nodes, and so are the
# gradients. Both others keep what near nodes say. Neither gains much by looking further, as these texts say nothing of
# those far away; depth is worth what is there to be read.
figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
for (name, values), marker in zip(scores.items(), "osD", strict=True):
    axis.plot(depths, values, marker=marker, label=name)
axis.axhline(0.2, color="grey", linestyle=":", label="chance")
axis.set(xlabel="edges that a prediction reaches", ylabel="accuracy on test nodes", xscale="log")
axis.set_xticks(depths, [str(depth) for depth in depths])
axis.minorticks_off()
axis.legend()
plt.show()
