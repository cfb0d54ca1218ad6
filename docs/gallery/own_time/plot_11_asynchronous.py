"""
Nodes that act in their own time
================================

In a swarm of robots or a network of sensors nobody beats the time: each node computes when it can, on what it last
heard of the others. Networks of layers break then. Networks whose states minimise a strongly convex energy do not:
every step, early or late, on news or on old news, leads down to the same states. That is the argument of `"Graph Neural
Networks Gone Hogwild" <https://arxiv.org/abs/2407.00494>`_.
"""

# %%
# Chains of six nodes, whose class stands at one end. Every node has to tell it, so it has to travel along the chain.
import graphkit as gk
from graphkit.diagnostics import asynchronous

task = gk.load("chains", length=6, chains_per_class=12)
models = {
    "GCN": gk.models.GCN.from_task(task, hidden_channels=16, num_layers=6),
    "GAT": gk.models.GAT.from_task(task, hidden_channels=16, num_layers=6, heads=2),
    "EnergyGNN": gk.models.EnergyGNN.from_task(task, hidden_channels=6, tau=0.2),
}
for name, model in models.items():
    print(f"{name:<10}{gk.Trainer(max_epochs=60, lr=0.02, seed=0, progress=False).fit(model, task).test:.3f}")

# %%
# Now each node acts once, at a random tick, in every ``delay + 1`` ticks, and what it knows of others is that much
# older at most. A layer of the GCN or the GAT then meets states of earlier layers, or none, and outputs change by half
# their size. What the energy network tells stays the same, up to how far its nodes have come down after 10000 ticks.
import matplotlib.pyplot as plt

delays = (0, 1, 2)
figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, model in models.items():
    found = [asynchronous(model, task, delay) for delay in delays]
    axis.plot(delays, [one.change for one in found], marker="o", label=name)
    print(name, [f"{one.score:.3f} (as a whole {one.synchronous:.3f})" for one in found])
axis.set(xlabel="delay (ticks)", ylabel="relative change of outputs", xticks=delays)
axis.set_yscale("symlog", linthresh=1e-6)
axis.legend()
plt.show()
