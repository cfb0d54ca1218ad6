"""What graphs and networks do to each other: energy, homophily, over-squashing, separation, rewiring, asynchrony, time.

Homophily is measured on the simple undirected graph: directions, repeated edges and self-loops do not count. Labels are
integers; nodes of a negative label are left out together with their edges.
"""

from graphkit.diagnostics.asynchronous import Asynchrony, asynchronous
from graphkit.diagnostics.directed import DirectedReport, directed_patterns
from graphkit.diagnostics.energy import dirichlet_energy, energies, plot_energies
from graphkit.diagnostics.events import Recurrence, Staleness, plot_staleness, recurrence, staleness
from graphkit.diagnostics.experts import Experts, experts
from graphkit.diagnostics.homophily import (
    adjusted_homophily,
    class_insensitive_homophily,
    cross_class_similarity,
    edge_homophily,
    label_informativeness,
    node_homophily,
)
from graphkit.diagnostics.oversquashing import Sensitivity, plot_sensitivity, sensitivity
from graphkit.diagnostics.probe import Probe, probe
from graphkit.diagnostics.rewiring import RewiringReport, compare_graphs
from graphkit.diagnostics.separation import Separation, separation

__all__ = [
    "Asynchrony",
    "DirectedReport",
    "Experts",
    "Probe",
    "Recurrence",
    "RewiringReport",
    "Sensitivity",
    "Separation",
    "Staleness",
    "adjusted_homophily",
    "asynchronous",
    "class_insensitive_homophily",
    "compare_graphs",
    "cross_class_similarity",
    "directed_patterns",
    "dirichlet_energy",
    "edge_homophily",
    "energies",
    "experts",
    "label_informativeness",
    "node_homophily",
    "plot_energies",
    "plot_sensitivity",
    "plot_staleness",
    "probe",
    "recurrence",
    "sensitivity",
    "separation",
    "staleness",
]
