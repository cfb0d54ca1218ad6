"""
A table on a graph
==================

Many nodes come with a table: numbers of any size, categories, cells that are empty. Trees read such columns well and
know nothing of edges; a network knows edges and reads such columns badly. Stacking does both: what trees say of a node
goes along edges, and further trees read that beside the table.
"""

# %%
# Customers of a shop, of whom some leave, and who know others that do as they do. Who leaves paid either little or
# much, in the north the other way around; that holds for most of them. Every fourth region is not known.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

import graphkit as gk

rng = np.random.default_rng(0)
n = 1200
leaves, region = rng.random(n) < 0.4, rng.choice(["north", "east", "south", "west"], n)
extreme = (leaves != (region == "north")) != (rng.random(n) < 0.2)
size = np.where(extreme, rng.choice([-2, 2], n), 0) + 0.5 * rng.normal(size=n)
customers = pd.DataFrame({"price": np.exp(3 + size), "region": region, "leaves": np.where(leaves, "yes", "no")})
customers.loc[rng.random(n) < 0.25, "region"] = None
pairs = rng.integers(n, size=(12 * n, 2))
alike = leaves[pairs[:, 0]] == leaves[pairs[:, 1]]
knows = pd.DataFrame(pairs[alike | (rng.random(12 * n) < 0.4)], columns=["source", "target"])
knows = knows[knows.source < knows.target].drop_duplicates()

# %%
# One task for all. The network gets numbers of one size, and the most frequent region where none is known.
task = gk.NodeTask.from_pandas(
    customers, knows, label="leaves", impute="most_frequent", standardize=True, name="customers"
)
trees = HistGradientBoostingClassifier(max_iter=20)
models = {
    "trees alone": gk.stacking.GraphStacking([trees], layers=1),
    "network alone": gk.models.GCN,
    "stacked": gk.stacking.GraphStacking([trees], steps=8),
}
trainer = gk.Trainer(max_epochs=80, lr=0.01, progress=False)
comparison = gk.compare(models, task, seeds=3, trainer=trainer, progress=False)
print(comparison)

# %%
# Neighbours of both kinds paid the same on average, so that the mean, which the network takes first, tells little.
# What trees say of the neighbours tells much.
figure, axis = plt.subplots(figsize=(5, 3), layout="constrained")
axis.boxplot(list(comparison.scores.values()), tick_labels=list(comparison.scores))
axis.set_ylabel("accuracy, % (3 seeds)")

# %%
# No task is needed: stacking reads the table itself, gaps as gaps and columns of texts by TF-IDF, and answers in its
# words. Labels that are missing are to be found.
told = customers.leaves.where(rng.random(n) < 0.5)
model = models["stacked"].fit(customers[["price", "region"]], told, knows)
hidden = told.isna()
print("right of those that were not told:", (model.predict()[hidden] == customers.leaves[hidden]).mean().round(2))
plt.show()
