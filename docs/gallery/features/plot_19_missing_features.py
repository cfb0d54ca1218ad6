"""
Features that are missing
=========================

Most tables have holes. What should a network read where a value is not known: zero, what neighbours have, or nothing at
all?
"""

# %%
# Words of texts as features, of which half, nine in ten or 99 in 100 are hidden. Feature propagation (Rossi et al.,
# 2022) fills holes by diffusion along edges from what is known; to GRAFENNE features are nodes, and a hole is an edge
# that is not there.
import matplotlib.pyplot as plt

import graphkit as gk
from graphkit.transforms import MissingFeatures

task = gk.load("texts").transform(gk.features.TextEmbedding("text", encoder="hashing", dim=256))
trainer = gk.Trainer(max_epochs=100, lr=0.01, patience=50, progress=False)
fills = {"zeros": "zero", "feature propagation": "propagation", "GRAFENNE": "entries"}
rates, scores = [0.5, 0.9, 0.99], {name: [] for name in fills}
for rate in rates:
    for name, fill in fills.items():
        given = task.transform(MissingFeatures(rate=rate, fill=fill, zeros=False))
        if name == "GRAFENNE":
            model = gk.models.GRAFENNE.from_task(given, hidden_channels=32, conv="GAT")
        else:
            model = gk.models.GCN.from_task(given, hidden_channels=32, dropout=0.5)
        result = trainer.fit(model, given)
        scores[name].append(result.test)
        print(f"{rate:.0%} hidden, {name:<20}accuracy {result.test:.3f} after {result.seconds:.1f} s")

# %%
# As long as half is known, a network does without help. The less there is, the more it matters that neighbours are
# asked for what they have before training: they tell more than a network of two layers can fetch. GRAFENNE is behind
# both here, and takes longer; what it alone can is to read a graph whose features are other ones than those it was
# trained on, see :doc:`/guide/data`.
figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, marker in zip(fills, "osD", strict=True):
    axis.plot([f"{rate:.0%}" for rate in rates], scores[name], marker=marker, label=name)
axis.set(xlabel="entries hidden", ylabel="accuracy on test nodes")
axis.legend()
plt.show()
