"""
What a sheaf learns on minesweeper
==================================

In minesweeper, most neighbours of a mine are no mines: averaging over neighbours hides what has to be found. A sheaf
decides what passes. This page looks at what it lets pass: how strongly each node listens and sends, and which frames
its stalks have.
"""

# %%
# A fresh field: a node is a cell, joined to the eight cells around. It knows how many mines lie around it, but for half
# of the cells this number is hidden.
import matplotlib.pyplot as plt
import torch

import graphkit as gk

ROWS = 40
task = gk.load("minesweeper", rows=ROWS, columns=ROWS, seed=0)
print(task)

# %%
# A **cooperative sheaf** has two maps for each node: what it listens to and what it sends, each an orthogonal matrix
# times a scale between 0 and 10. A node that scales its source map to zero is silent, one that scales its target map to
# zero is deaf. Beside it the sheaf diffusion that has maps for edges, and a graph convolution, which has neither.
models = {
    "CSNN": gk.models.CSNN.from_task(
        task,
        hidden_channels=16,
        num_layers=3,
        stalk_dim=2,
        learner="projected",
        learner_layers=3,
        norm="layer_norm",
        left_weights=False,
    ),
    "NSD": gk.models.SheafDiffusion.from_task(
        task, hidden_channels=16, num_layers=5, stalk_dim=2, maps="bundle", low_pass=True
    ),
    "GCN": gk.models.GCN.from_task(task, hidden_channels=32, num_layers=6, norm="layer_norm", residual="linear"),
}
trainer = gk.Trainer(max_epochs=150, lr=0.005, seed=0, progress=False, validate_every=5)
for name, model in models.items():
    print(f"{name:<6}test ROC AUC {100 * trainer.fit(model, task).test:.1f} %")

# %%
# Listening and sending strengths of all cells, layer by layer. White dots are mines.
(batch,) = task.batches("test")
model = models["CSNN"].eval()
with torch.no_grad():
    states = model.layer_states(batch)
    maps = [
        (layer.conv.target(state, batch.edge_index), layer.conv.source(state, batch.edge_index))
        for state, layer in zip(states, model.layers)
    ]
mines = batch.y.view(-1).bool()


def draw(axis, values, title, **options):
    """One number per cell, and the mines."""
    picture = axis.imshow(values.view(ROWS, ROWS), **options)
    row, column = mines.view(ROWS, ROWS).nonzero().t()
    axis.scatter(column, row, s=3, c="white")
    axis.set(title=title, xticks=[], yticks=[])
    plt.colorbar(picture, ax=axis, shrink=0.8)


figure, axes = plt.subplots(2, len(maps), figsize=(9, 6), layout="constrained")
for i, ((_, listening), (_, sending)) in enumerate(maps):
    draw(axes[0, i], listening, f"layer {i + 1}: listening")
    draw(axes[1, i], sending, f"layer {i + 1}: sending")

# %%
# Do strengths know of hidden numbers or of mines? Their means by kind of cell:
hidden = batch.x[:, 0].bool()
for i, ((_, listening), (_, sending)) in enumerate(maps, start=1):
    for what, strength in (("listening", listening), ("sending", sending)):
        kinds = {"hidden": hidden, "open": ~hidden, "mine": mines, "no mine": ~mines}
        means = ", ".join(f"{kind} {float(strength[where].mean()):.2f}" for kind, where in kinds.items())
        print(f"layer {i} {what:<10}{means}")

# %%
# In the second layer, cells whose number is hidden listen more and send less than open ones: who knows nothing has
# nothing to say. In the last layer nearly all are loud listeners and quiet senders.
#
# The frames: in two dimensions a map is a turn by one angle per cell. Beside the angles of the last
# layer's two maps, how long the stalks are that it has made.
figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
for axis, (q, _), what in zip(axes, maps[-1], ("target", "source")):
    draw(axis, torch.atan2(q[1, 0], q[0, 0]), f"{what} map, angle", cmap="twilight", vmin=-torch.pi, vmax=torch.pi)
draw(axes[2], states[-1].norm(dim=1), "length of stalks")

# %%
# On the published field with the published size of networks, the three are compared on the page :doc:`/results`.
