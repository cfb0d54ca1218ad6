"""
Training without backpropagation
================================

A **strategy** says how a network is trained. Forward-forward and its relatives train one layer at a time with a loss of
its own, so no gradient ever crosses two layers and memory does not grow with depth.
"""

# %%
# The same model and task, four strategies:
import matplotlib.pyplot as plt

import graphkit as gk

task = gk.load("karate")
strategies = {
    "Backprop": gk.strategies.Backprop(),
    "SingleForward": gk.strategies.SingleForward(),
    "ForwardForward": gk.strategies.ForwardForward(),
    "TopDownForward": gk.strategies.TopDownForward(),
}
results = {}
for name, strategy in strategies.items():
    model = gk.models.GCN.from_task(task, hidden_channels=16, num_layers=3, readout="nodes")
    trainer = gk.Trainer(strategy=strategy, max_epochs=60, lr=0.01, seed=0, progress=False)
    results[name] = trainer.fit(model, task)
    print(f"{name:<16}validation {100 * results[name].val:5.1f} %, test {100 * results[name].test:5.1f} %")

# %%
# Greedy strategies train in **phases**, one per layer: each begins when the one before has finished, and its weights
# never change again. The result keeps what a network that ended with that layer would have reached.
for phase in results["SingleForward"].phases:
    print(phase)

# %%
# The curves of all layers of one run, from the history that every run keeps:
history = results["SingleForward"].history
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
names = list(dict.fromkeys(row["phase"] for row in history))
for name in names:
    rows = [row for row in history if row["phase"] == name]
    axes.plot([row["epoch"] for row in rows], [row["train_loss"] for row in rows], label=name)
axes.set(xlabel="epoch of the phase", ylabel="loss of the layer")
axes.legend()

# %%
# The peak memory of training a million edges, by depth, is measured in ``benchmarks/memory.py`` (:doc:`/results`): flat
# for forward strategies, growing with every layer for backpropagation.
