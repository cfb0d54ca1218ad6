"""
Aggregators that extrapolate
============================

A sum adds, a maximum picks; what if the right way to combine neighbours is neither? Learned aggregators find an
operation that is associative and commutative, and carry on where sets get larger.
"""

# %%
# The task: the **second smallest** number of a multiset. Numbers come as bits, and training sets have up to 16
# elements.
import matplotlib.pyplot as plt
import torch

import graphkit as gk
from graphkit.nn.aggr import LCMAggregation
from graphkit.nn.aggr.gnp import gnp

# %%
# A *learned commutative monoid* folds a set along a tree with a learned binary operator. PyG's conventions hold, so it
# is an ``aggr=`` of any PyG layer: elements, and the set that each belongs to. Padding and other sets do not touch the
# result, and an empty set gives the learned identity.
torch.manual_seed(0)
elements = torch.randn(6, 8)
index = torch.tensor([0, 0, 0, 2, 2, 2])
lcm = LCMAggregation(8, 8).eval()
out = lcm(elements, index, dim_size=3)
alone = lcm(elements[:3], index[:3], dim_size=1)
print("the rest of the batch does not matter:", torch.allclose(out[0], alone[0], atol=1e-6))
print("set 1 is empty, its value the identity:", out[1, :3].tolist())

# %%
# *Generalised norm pooling* has the sum, the mean, the maximum and the minimum among its limits and learns where to
# stand between them. One set, and what it becomes as the exponent moves:
values = torch.tensor([[0.5], [1.0], [2.0], [0.7]])
exponents = [p / 4 for p in range(-80, 81) if p != 0]
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for q, label in ((0.0, "q = 0"), (1.0, "q = 1, divided by the size")):
    axes.semilogy(
        exponents, [float(gnp(values, p, q, torch.zeros(4, dtype=torch.long))) for p in exponents], label=label
    )
for name, value in (("sum", values.sum()), ("max", values.max()), ("mean", values.mean()), ("min", values.min())):
    axes.axhline(float(value), color="grey", linewidth=0.6)
    axes.annotate(name, (20, float(value)), fontsize="small", va="bottom", ha="right")
axes.set(xlabel="exponent p", ylabel="pooled value", ylim=(0.05, 20))
axes.legend()

# %%
# **Learning** the second minimum from scratch, with little data and a few seconds each. All read the same sets through
# the same network but for the aggregator.
task = gk.load("second-minimum", num_bits=4, num_train=4096, num_val=512, num_test=512)
print(task)
scores = {}
for name, readout in (("mean", "mean"), ("max", "max"), ("LCM", "lcm")):
    model = gk.models.DeepSets.from_task(task, hidden_channels=32, readout=readout)
    result = gk.Trainer(max_epochs=12, lr=3e-3, batch_size=64, seed=0, progress=False).fit(model, task)
    scores[name] = result
    print(f"{name:<6}validation {result.metric} {result.val:.3f} after {result.epochs} epochs")

# %%
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, result in scores.items():
    axes.plot([row["epoch"] for row in result.history], [row["val_loss"] for row in result.history], label=name)
axes.set(xlabel="epoch", ylabel="validation loss")
axes.legend()

# %%
# The full comparison, seven aggregators trained to the end and scored on sets twice as large, is the recipe
# ``lcm/second-minimum`` (:doc:`/results`).
