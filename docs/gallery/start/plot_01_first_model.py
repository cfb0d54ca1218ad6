"""
A first model in five minutes
=============================

A task, a model, a trainer: load, train, look at the curves, and compare with a network that does not see the graph.
"""

# %%
# A **task** is a graph with labels, a split, a loss and a metric. On minesweeper a grid of fields says how many of its
# neighbours are mines; half of the fields hide their number. This one is generated, so nothing is downloaded.
import graphkit as gk

task = gk.load("minesweeper")
print(task)

# %%
# A **model** takes its sizes from the task. ``from_task`` is the short form of giving ``in_channels`` and
# ``out_channels`` yourself.
settings = {"hidden_channels": 32, "num_layers": 4, "dropout": 0.2, "norm": "batch_norm", "residual": True}
gcn = gk.models.GCN.from_task(task, **settings)
print(gcn)

# %%
# The **trainer** keeps the weights of the best validation epoch, stops when it no longer improves, and says what the
# run cost. Test labels are hidden from the model until the end.
trainer = gk.Trainer(max_epochs=40, patience=15, lr=0.01, seed=0, progress=False)
with_graph = trainer.fit(gcn, task)
print(with_graph)

# %%
# A network without the graph is the first thing to compare with. All else is equal.
mlp = gk.models.MLP.from_task(task, **settings)
without_graph = gk.Trainer(max_epochs=40, patience=15, lr=0.01, seed=0, progress=False).fit(mlp, task)
print(f"GCN {100 * with_graph.test:.1f} %, MLP {100 * without_graph.test:.1f} % test ROC-AUC")

# %%
# Both curves in one picture:
from graphkit.training.plots import plot_results

figure = plot_results([with_graph, without_graph])

# %%
# The same on the command line, and with a rewired graph, another feature or another strategy by a flag each::
#
#     graphkit train --model GCN --task minesweeper
#     graphkit train --model GCN --task minesweeper --rewiring RandomEdges --features RandomWalkPE
#     graphkit train --model GCN --task minesweeper --strategy SingleForward
#
# ``graphkit list models`` (or tasks, rewirings, features, strategies, recipes) says what there is.
