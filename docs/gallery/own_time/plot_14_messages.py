"""
A week of messages: who writes to whom next?
============================================

Sixty people write messages for a week. Some write to the same friends again and again, some to whoever is awake. What
can be foreseen, and does a model that foresees it know more than the past?
"""

# %%
# The messages. Half of them are written by somebody who was active just before, three quarters go to such a person, the
# others to a friend.
import numpy as np
import pandas as pd

rng, people = np.random.default_rng(0), 60
friends, awake, rows = rng.integers(0, people, (people, 2)), list(range(5)), []
for hour in np.sort(rng.uniform(0, 24 * 7, 2500)):
    writer = rng.integers(people) if rng.random() < 0.5 else awake[rng.integers(5)]
    reader = friends[writer, rng.integers(2)] if rng.random() < 0.25 else awake[rng.integers(5)]
    rows.append((writer, (reader + 1) % people if reader == writer else reader, hour))
    awake = [*awake[1:], writer]
messages = pd.DataFrame(rows, columns=["from", "to", "hour"])

# %%
# A task in one line: the first 70 % of the week to train on. Each message is told from another one that its writer did
# not write at that time, to a random person, or (harder) to one whom the writer has written to in training.
import graphkit as gk

tasks = {kind: gk.EventTask.from_pandas(messages, negatives=kind, name=kind) for kind in ("random", "historical")}
print(tasks["random"])

# %%
# Three models: ``EdgeBank`` expects pairs that it has seen, ``StaticEmbedding`` learns two vectors per person and knows
# no time, and ``JODIE`` has a memory per person, which each message updates and which fades.
models = {
    "EdgeBank": lambda task: gk.models.EdgeBank.from_task(task),
    "StaticEmbedding": lambda task: gk.models.StaticEmbedding.from_task(task, hidden_channels=16),
    "JODIE": lambda task: gk.models.JODIE.from_task(task, hidden_channels=32, time_channels=16),
}
scores, trainer = {}, gk.Trainer(max_epochs=8, lr=0.01, batch_size=20, progress=False)
for name, build in models.items():
    scores[name] = [trainer.fit(build(task), task).test for task in tasks.values()]
    print(f"{name:<17}" + "".join(f"{score:8.3f}" for score in scores[name]))

# %%
# Against random people, vectors that know no time look best: they know who is popular and who are friends. Against
# people who were written to before, that is worth little, and ``EdgeBank`` nothing; who is awake now counts, which only
# a memory can tell. Which negatives a score was measured against belongs to the score.
import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
place = np.arange(len(scores))
for offset, kind in enumerate(tasks):
    axis.bar(place + 0.35 * offset, [score[offset] for score in scores.values()], 0.35, label=f"{kind} negatives")
axis.axhline(0.5, color="0.5", lw=1, ls=":")
axis.set(xticks=place + 0.175, xticklabels=scores, ylabel="average precision", ylim=(0.3, 0.8))
axis.legend()
plt.show()

# %%
# Whom will the last writer write to next? The trained model takes in all events of the week, and then scores pairs.
import torch
from torch_geometric.data import Data

task, last = tasks["historical"], tasks["historical"].src[-1]
ask = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=task.num_nodes)
ask.edge_label_index = torch.stack([last.expand(task.num_nodes), torch.arange(task.num_nodes)])
best = trainer.predict(ask).view(-1).topk(5).indices
print("person", task.ids[int(last)], "to one of", [int(task.ids[int(node)]) for node in best])
