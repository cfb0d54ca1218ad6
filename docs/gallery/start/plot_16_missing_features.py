"""
Features with gaps
==================

Sensors fail, people skip questions: most tables have gaps, and a network wants numbers. Put zeros there, let neighbours
fill them, or use a network for which a missing feature is nothing but a missing edge (GRAFENNE).
"""

# %%
# Texts that refer to one another, each turned into sixteen numbers, of which more and more are taken away.
import matplotlib.pyplot as plt

import graphkit as gk
from graphkit.transforms import MissingFeatures

task = gk.load("texts", num_nodes=400).transform(gk.features.TextEmbedding(dim=16))
shares = (0.0, 0.5, 0.9)
ways = {
    "zeros": (gk.models.GCN.from_task(task, hidden_channels=32), "zero"),
    "neighbours fill them": (gk.models.GCN.from_task(task, hidden_channels=32), "propagation"),
    "GRAFENNE": (gk.models.GRAFENNE.from_task(task, hidden_channels=32, heads=2, feature_channels=16), "entries"),
}
trainer = gk.Trainer(max_epochs=60, patience=20, lr=0.01, seed=0, progress=False)
scores = {
    name: [trainer.fit(model, task.transform(MissingFeatures(share, fill))).test for share in shares]
    for name, (model, fill) in ways.items()
}
for name, row in scores.items():
    print(f"{name:22}", *(f"{score:.0%}" for score in row))

# %%
# What is right depends on the graph: neighbours here are of the same topic, so that what they know stands in well.
# Where they are not, or a feature is new, nothing can be filled in, and only a network that takes gaps as gaps goes on:
# the trained GRAFENNE reads a graph with fewer features as it is.
figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
for name, row in scores.items():
    axis.plot(shares, row, marker="o", label=name)
axis.set(xlabel="share of the features that is missing", ylabel="accuracy")
axis.legend()

# %%
graph = task.transform(MissingFeatures()).data
graph.x = graph.x.to_dense()[:, :12].to_sparse()
print(trainer.predict(graph).shape, "from twelve of the sixteen features")
