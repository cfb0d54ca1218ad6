"""
Classes that nobody has seen
============================

A classifier knows cats and dogs. What would a classifier of foxes look like? Their name says something, and so does
their place in a hierarchy of animals. *Dense graph propagation* learns from both, and from the classifiers of seen
classes, what those of the others are.
"""

# %%
# A small hierarchy that stands in for WordNet's. Features are vectors of names, labels the classifiers of the classes;
# a quarter of the classes is for the test, and none of these is ever seen.

import graphkit as gk

task = gk.load("zero-shot")
print(task)

# %%
# The names alone; neighbours in the hierarchy; parents and children; all ancestors and descendants, by distance.
models = {
    "names (MLP)": gk.models.MLP.from_task(task, hidden_channels=128, dropout=0.5),
    "neighbours (GCN)": gk.models.GCN.from_task(task, hidden_channels=128, dropout=0.5),
    "one step (SGCN)": gk.models.DGP.from_task(task, hidden_channels=128, num_groups=2, direct=True),
    "all steps (DGP)": gk.models.DGP.from_task(task, hidden_channels=128),
}
trainer = gk.Trainer(max_epochs=200, lr=0.005, weight_decay=5e-4, progress=False)
comparison = gk.compare(models, task, seeds=3, trainer=trainer, progress=False)
print(comparison)

# %%
# How often the right class is among the best five of all. Directions matter most; whether farther ancestors help cannot
# be told from three seeds. The hierarchy is made up, so this says how it works, not how well it does on photographs.
figure = comparison.plot()
