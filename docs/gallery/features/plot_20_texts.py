"""
Texts on a graph
================

Papers cite papers, products are bought with products: each node has a title and a text. Does a graph help those who can
read?
"""

# %%
# Texts of made-up words, some of them of the topic that is to be told. Title and text are two views of the same
# nodes; each is embedded by latent semantic analysis, and read by a perceptron, which knows no edges, and by a GCN.
import matplotlib.pyplot as plt

import graphkit as gk
from graphkit import models

task = gk.load("texts")
views = {column: task.transform(gk.features.TextEmbedding(column, dim=64)) for column in ("title", "text")}
trainer = gk.Trainer(max_epochs=100, lr=0.01, patience=30, progress=False)
scores = {}
for cls in (models.MLP, models.GCN):
    ensemble = gk.ViewEnsemble(lambda view, cls=cls: cls.from_task(view, hidden_channels=32, dropout=0.5), trainer)
    scores[cls.__name__] = ensemble.fit(views).scores()
    print(cls.__name__, {name: round(score, 3) for name, score in scores[cls.__name__].items()})

# %%
# Of a title of few words neighbours make almost twice as much. Who has the whole text needs no neighbours, and here
# they blur what it says. An ensemble of views, TAPE's last step, helps where the views err on different nodes: the
# perceptrons. The networks' errors come from the same edges, and the mean is worse than the better one. Explanations
# by a language model would be one more column.
figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
for shift, (name, of_views) in enumerate(scores.items()):
    axis.bar([place + 0.4 * shift for place in range(3)], of_views.values(), width=0.35, label=name)
axis.set(ylabel="accuracy on test nodes", xticks=[place + 0.2 for place in range(3)], xticklabels=list(of_views))
axis.legend()
plt.show()
