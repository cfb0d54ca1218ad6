"""How to build a small, fast instance of each class, and which checks a class is known to fail, and why."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from torch_geometric.nn import GCN as PyGGCN
from torch_geometric.nn import SAGEConv as PyGSAGEConv
from torch_geometric.transforms import Compose

from graphkit.models import PyGModel
from graphkit.nn import DRewConv
from graphkit.testing.graphs import EDGE_DIM, NUM_FEATURES
from graphkit.transforms.rewiring import FirstEdges, RandomEdges

# The sizes that arguments of these names get; a class with the usual signature needs no entry below.
USUAL: dict[str, Any] = {
    "in_channels": NUM_FEATURES,
    "hidden_channels": 6,
    "out_channels": 4,
    "num_layers": 2,
    "edge_dim": EDGE_DIM,
}

_ONE_OF_EACH: dict[str, Any] = {
    "hidden_channels": 4,
    "num_layers_id": 1,
    "num_layers_global": 1,
    "num_layers_regression": 1,
}
_FEW_HEADS: dict[str, Any] = {"attention_channels": 4, "heads": 2, "time": 1.0}

# Several ways to build a class: dicts of arguments (on top of the usual sizes), or functions.
INSTANCES: dict[str, list[dict[str, Any] | Callable[[], Any]]] = {
    "GCNConv": [
        {},
        {"out_channels": 7, "normalize": "row"},
        {"improved": True, "bias": False},
        {"add_self_loops": False},
        {"add_self_loops": False, "normalize": None},
    ],
    "GNPAggregation": [{"eps": 1e-7}, {"act": "softplus", "per_channel": True}],
    "LCMAggregation": [{}, {"operator": "mlp"}, {"operator": "mlp", "symmetric": False}],
    "RecurrentAggregation": [{}, {"cell": "lstm"}],
    "AttentionDiffusion": [
        {"attention_channels": 4, "heads": 2},
        {"attention_channels": 4, "heads": 1, "attention": "cosine", "axis": "column"},
        {"attention_channels": 6, "heads": 2, "attention": "pearson"},
        {"attention_channels": 4, "heads": 2, "attention": "exp_kernel", "axis": "column", "normalize": "squareplus"},
        {"attention_channels": 4, "heads": 2, "attention": "additive", "mix": True},
    ],
    "ConnectionSheaf": [{"dropout": 0.5}, {"stalk_dim": 3, "second_linear": True, "readout": "mean"}],
    "DRew": [
        {"dropout": 0.5},
        {"conv": "gin", "num_layers": 3, "nu": 2, "readout": "mean", "residual": True},
        {"conv": "gatedgcn", "nu": math.inf, "convex_combination": True, "act": "elu"},
        {"conv": "rgin", "jumping": True, "readout": "sum"},
        {"conv": PyGSAGEConv, "shared_weights": True, "pre_layers": 1},
        {"batch_norm": False, "l2_norm": False, "num_layers": 3, "k_max": 2},
    ],
    "DRewConv": [lambda: DRewConv(lambda: PyGSAGEConv(NUM_FEATURES, 4))],
    "DRewGCNConv": [{}, {"batch_norm": False, "l2_norm": False}, {"paper_form": True}],
    "DRewGatedGCNConv": [{}, {"shared_weights": False}],
    "GCN": [
        {"dropout": 0.5},
        {"num_layers": 3, "norm": "batch_norm", "residual": True},
        {"norm": "layer_norm", "readout": "mean", "act": "elu"},
        {"num_layers": 1, "bias": False},
        {"readout": "gnp", "readout_kwargs": {"act": "softplus"}},
    ],
    "GINConv": [{"train_eps": True}, {"out_channels": 7, "eps": 0.5, "bias": False}],
    "RelationalConv": [{"num_relations": 1}, {"num_relations": 1, "conv": "gin"}],
    "RelationalGNN": [
        {"num_relations": 1, "dropout": 0.5},
        {"num_relations": 1, "conv": "gin", "readout": "mean", "norm": "layer_norm"},
    ],
    "MPNN": [
        {},
        {"aggr": "recurrent", "readout": "gnp", "dropout": 0.5},
        {"aggr": "max", "residual": True, "norm": "layer_norm"},
    ],
    "DeepSets": [{}, {"readout": "recurrent", "head_layers": 1}],
    "GRAND": [
        _FEW_HEADS | {"dropout": 0.5},
        _FEW_HEADS | {"axis": "column", "normalize": "squareplus", "source": True, "readout": "mean"},
        _FEW_HEADS | {"diffusivity": "nonlinear", "solver": "rk4", "reweight": True, "mlp": True},
        _FEW_HEADS | {"diffusivity": "mixed", "solver": "midpoint", "fc_out": True},
        _FEW_HEADS | {"diffusivity": "hard", "attention": "cosine"},
        {"diffusivity": "constant", "adjacency": "sym", "batch_norm": True, "self_loops": 0.5, "time": 1.0},
    ],
    "GraphSAINT": [{}, {"orders": (2, 0), "combine": "sum", "norm": False}, {"orders": (1, 1), "readout": "mean"}],
    "Hops": [{"max_hop": 3}],
    "KLGNN": [  # of nodes, a state is a mean over all labelled copies: no node is alone
        _ONE_OF_EACH | {"readout": "max", "fuse": "cat", "structure_features": 2, "structure_channels": 2},
        _ONE_OF_EACH | {"readout": "sum", "l": 2, "max_distance": 2, "rate": 0.5, "fuse": "add", "dropout": 0.5},
        _ONE_OF_EACH | {"readout": "mean", "subgraph_pool": "max", "num_layers_id": 2},
    ],
    "KLWL": [
        {"channels": 4},
        {"k": 2, "l": 0, "variant": "folklore", "channels": 70, "iterations": None, "node_attr": "x"},
        {"l": 2, "whole": True, "code": "one_hot"},
    ],
    "MLP": [{"dropout": 0.5}, {"norm": "batch_norm", "readout": "sum"}],
    "LaplacianEigenvectors": [{"num_vectors": 3}],
    "LaplacianPE": [{"num_vectors": 3}],
    "PPGNpp": [{}, {"readout": "mean", "num_layers": 3, "head_channels": 5}],
    "PPGNPolynomials": [{}, {"official_duplicates": True, "normalize": None, "channels": [1, 2, 5]}],
    "PathConv": [
        {},
        {"edge_dim": None, "aggr": "mean"},
        {"paths": "all_shortest", "encode_distances": True, "dropout": 0.5},
        {"paths": "shortest", "length": 1, "encode_distances": True},  # longer ones depend on the numbering of nodes
    ],
    "NodeSubsets": [{}, {"size": 2, "max_distance": 2}],
    "PathNN": [
        {"paths": "simple", "edge_dim": None, "readout": "sum"},
        {"paths": "simple", "num_layers": 3, "mlp": True, "dropout": 0.5},
        {"paths": "all_shortest", "aggr": "mean", "norm": "layer_norm", "residual": False, "readout": "mean"},
        {"paths": "shortest", "num_layers": 1, "l2_norm": True, "norm": None, "edge_dim": None, "head_layers": 1},
    ],
    "Paths": [{}, {"length": 2, "paths": "simple"}, {"paths": "all_shortest"}],
    "PureGCN": [
        {"dropout": 0.5},
        {"jumping": True, "residual": True, "readout": "mean", "out_channels": 6},
        {"num_layers": 1, "normalize": None, "out_channels": 6},
    ],
    "PureGCNConv": [{}, {"num_layers": 3, "jumping": True}, {"num_layers": 1, "normalize": None, "residual": True}],
    "PyGModel": [
        lambda: PyGModel(PyGGCN(NUM_FEATURES, 6, num_layers=2, out_channels=4)),
        lambda: PyGModel(PyGGCN(NUM_FEATURES, 6, num_layers=2, out_channels=4), readout="sum"),
    ],
    "BORF": [{"num_edges": 4, "num_removed": 2}, {"num_edges": 2, "num_removed": 1, "num_batches": 2}],
    "FirstEdges": [lambda: Compose([RandomEdges(num_edges=3), FirstEdges(num_edges=2)])],
    "DIGL": [{"eps": 0.05}, {"alpha": 0.3, "eps": 0.1, "weighted": False}],
    "EffectiveResistance": [{"num_edges": 8}, {"num_edges": 0.5, "backend": "sketch"}, {"official_score": True}],
    "EquivariantPolynomials": [
        {"degree": 3},
        {"degree": 2, "pins": "graph", "multigraphs": True, "directed": True, "normalize": None},
        {"degree": 3, "pins": "pair", "normalize": "unit"},
    ],
    "Expander": [{}, {"seed": 0}],
    "FoSR": [{"num_edges": 3}, {"num_edges": 0.5, "report": False}],
    "LASER": [{"num_snapshots": 3}, {"num_snapshots": 4, "rho": 1.0}],
    "RandomEdges": [{"num_edges": 3}, {"num_edges": 0.5}],
    "SDRF": [{"num_edges": 3}, {"num_edges": 0.5, "tau": float("inf"), "removal_bound": None}],
    "RandomWalkPE": [{"walk_length": 3}],
    "ShaDowGNN": [
        {"heads": 2, "residue": "concat"},
        {"conv": "gcn", "residue": "max", "readout": "mean"},
        {"conv": "sage", "residue": "sum", "norm_outputs": True},  # pooling: no node of a whole graph is alone
    ],
    "SheafDiffusion": [
        {"dropout": 0.5},
        {"maps": "bundle", "stalk_dim": 3, "low_pass": True, "sparse_learner": True, "readout": "mean"},
        {"maps": "general", "high_pass": True, "frozen": True, "second_linear": True},
        {"maps": "identity", "normalize": "degree"},
        {"maps": "bundle", "orthogonal": "cayley", "time": 1.0, "solver": "rk4", "step_size": 0.25},
    ],
    "SheafNetwork": [{"dropout": 0.5}, {"stalk_dim": 2, "readout": "mean"}],
    "SparseFeatures": [{}, {"min_channels": 2, "max_density": 1.0}],
}

# Class -> check -> the reason why it cannot pass. A check that passes in spite of it is an error, too.
EXPECTED_FAILURES: dict[str, dict[str, str]] = {
    "LCMAggregation": {
        "parameters_get_gradients": "the identity is the result of empty sets, of which the check's graph has none"
    },
    "BORF": {"permutation": "equal curvatures and equally good transport plans are told apart by node number"},
    "FirstEdges": {"permutation": "the check cuts random edges, which are drawn by node number"},
    "EffectiveResistance": {"permutation": "equal gains are told apart by node number"},
    "Expander": {"permutation": "nodes take the matrices of the Cayley graph by number"},
    "FoSR": {"permutation": "the power iteration starts from a vector drawn by node number"},
    "LaplacianPE": {"permutation": "where eigenvalues repeat, directions of eigenvectors depend on node numbers"},
    "PPGNpp": {"gradcheck": "new biases are 0, which puts pairs without an edge at the kink of ReLU"},
    "RandomEdges": {"permutation": "edges are drawn by node number, so a relabelled graph gets other edges"},
    "SDRF": {"permutation": "equal curvatures are told apart by node number"},
    "VirtualNode": {
        "valid_output": "labels of nodes have a row for the new node, too",
        "permutation": "the check compares as many nodes as there were",
    },
}


def factories(cls: type) -> dict[str, Callable[[], Any]]:
    """Functions that build small instances of a class, by a readable name.

    Raises:
        ValueError: If a required argument has no usual size and the class no entry in ``INSTANCES``.
    """
    found = {}
    for variant in INSTANCES.get(cls.__name__, [{}]):
        if callable(variant):
            found[repr(variant())] = variant
        else:
            text = ", ".join(f"{key}={value!r}" for key, value in variant.items())
            found[f"{cls.__name__}({text})"] = partial(cls, **_usual_arguments(cls, variant) | variant)
    return found


def _usual_arguments(cls: type, given: dict[str, Any]) -> dict[str, Any]:
    arguments = {}
    for parameter in list(inspect.signature(cls).parameters.values()):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in USUAL:
            arguments[parameter.name] = USUAL[parameter.name]
        elif parameter.default is parameter.empty and parameter.name not in given:
            raise ValueError(
                f"no usual value for the argument {parameter.name!r} of {cls.__name__}; add the class to "
                "graphkit.testing.instances.INSTANCES, or pass a function that builds an instance"
            )
    return arguments
