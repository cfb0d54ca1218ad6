"""
Diffusion as a differential equation
====================================

GRAND reads a graph network as heat that flows along attention. Depth becomes time, and layers become steps of a solver.
"""

# %%
# The equation is :math:`\dot X = (A(X) - I) X`. With attention that is computed once (``diffusivity="linear"``), the
# equation has a closed form. graphkit's solver ``"exact"`` evaluates it by uniformisation, without any step size; the
# solvers of torchdiffeq approach it as their steps get smaller.
import matplotlib.pyplot as plt
import torch

import graphkit as gk

task = gk.load("karate")
(batch,) = task.batches("train")
double_batch = batch.clone()
double_batch.x = batch.x.double()  # double precision, so that only the solver errs


def solution(solver, step_size=1.0, time=4.0):
    """What the same network gives with another solver."""
    torch.manual_seed(0)
    model = gk.models.GRAND.from_task(task, hidden_channels=8, solver=solver, step_size=step_size, time=time)
    with torch.no_grad():
        return model.double().eval()(double_batch)


exact = solution("exact")
steps = [1.0, 0.5, 0.25, 0.125]
figure, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
for solver in ("euler", "midpoint", "rk4"):
    errors = [float((solution(solver, step) - exact).norm() / exact.norm()) for step in steps]
    axes.loglog(steps, errors, marker="o", label=solver)
axes.set(xlabel="step size", ylabel="relative error", title="order of convergence")
axes.legend()

# %%
# Diffusion smooths: the longer it runs, the more alike all nodes become. The Dirichlet energy falls exponentially in
# time, which is over-smoothing seen from above. A **source term** that feeds the first state back in holds it up.
from graphkit.diagnostics import dirichlet_energy

times = [0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
figure, axes = plt.subplots(figsize=(5, 3.5), layout="constrained")
for source in (False, True):
    levels = []
    for time in times:
        torch.manual_seed(0)
        model = gk.models.GRAND.from_task(task, hidden_channels=8, time=time, source=source).eval()
        if source:
            torch.nn.init.constant_(model.layers[0].strength, 0.3)  # learned in training; 0 at first
        with torch.no_grad():
            state = model.step(0, [model.encode(batch)], batch)
        levels.append(float(dirichlet_energy(state, batch.edge_index)))
    axes.semilogy(times, levels, marker="o", label="with source" if source else "without source")
axes.set(xlabel="time", ylabel="Dirichlet energy of the state")
axes.legend()

# %%
# Time is a hyper-parameter like depth, and training works as for any other model:
for time in (0.5, 4.0, 16.0):
    model = gk.models.GRAND.from_task(task, hidden_channels=16, time=time, dropout=0.3)
    result = gk.Trainer(max_epochs=60, lr=0.02, seed=0, progress=False).fit(model, task)
    print(f"time {time:<5}validation {100 * result.val:.1f} %, test {100 * result.test:.1f} %")
