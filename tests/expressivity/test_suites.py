"""CFI graphs, well-known pairs, and the exact verdicts that come with them."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.utils import to_networkx

from graphkit.datasets import available, load_graphs
from graphkit.datasets.generators.cfi import CFI_BASES, PAIRS, cfi_edges
from graphkit.expressivity import BOUNDS, NAMES, Suite, load_suite
from graphkit.expressivity.published import BREC, COLUMNS, CONFIRMED, NOT_CONFIRMED

_spec = importlib.util.spec_from_file_location("oracle", Path(__file__).with_name("weisfeiler_leman.py"))
oracle = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oracle)

VERDICTS = Path(os.environ.get("GRAPHKIT_MIRROR", "none")) / "expressive" / "verdicts" / "brec_pairs.npz"


def drawn(number, edge_index):
    graph = nx.empty_graph(number)
    graph.add_edges_from(edge_index.t().tolist())
    return graph


@pytest.mark.filterwarnings("ignore:The hashes produced")
@pytest.mark.parametrize("name", CFI_BASES)
def test_cfi_graphs_have_equal_degrees_and_colours(name):
    base = nx.Graph(CFI_BASES[name])
    plain, twisted = (drawn(*cfi_edges(CFI_BASES[name], twist)) for twist in (False, True))
    degrees = [degree for _, degree in base.degree]
    expected = sorted(degree * 2 ** (degree - 2) for degree in degrees)
    assert plain.number_of_nodes() == sum(2 ** (degree - 1) for degree in degrees)
    if len(set(degrees)) == 1:
        assert {degree for _, degree in plain.degree} == set(expected)
    assert sorted(dict(plain.degree).values()) == sorted(dict(twisted.degree).values())
    hashes = [nx.weisfeiler_lehman_graph_hash(graph, iterations=10) for graph in (plain, twisted)]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("name", ["C3", "C4", "C5", "diamond", "K4", "prism"])
def test_the_twist_matters_once_and_anywhere(name):
    base = list(CFI_BASES[name])
    plain, twisted = (drawn(*cfi_edges(base, twist)) for twist in (False, True))
    assert not nx.is_isomorphic(plain, twisted)
    elsewhere = drawn(*cfi_edges([base[-1], *base[:-1]], True))  # the first edge is twisted
    assert nx.is_isomorphic(twisted, elsewhere)


def test_known_cfi_graphs():
    hexagon, triangles = nx.cycle_graph(6), nx.disjoint_union(nx.cycle_graph(3), nx.cycle_graph(3))
    assert nx.is_isomorphic(drawn(*cfi_edges(CFI_BASES["C3"])), triangles)
    assert nx.is_isomorphic(drawn(*cfi_edges(CFI_BASES["C3"], True)), hexagon)
    rook, shrikhande = (to_networkx(graph, to_undirected=True) for graph in load_graphs("sr16"))
    found = [drawn(*cfi_edges(CFI_BASES["K4"], twist)) for twist in (False, True)]
    assert [nx.is_isomorphic(found[0], graph) for graph in (rook, shrikhande)] != [
        nx.is_isomorphic(found[1], graph) for graph in (rook, shrikhande)
    ]
    with pytest.raises(ValueError, match=r"bases.0.='K7', choose from: C3"):
        load_graphs("cfi", bases=["K7"])


@pytest.mark.parametrize("name", ["pairs", "cfi"])
def test_verdicts_on_generated_pairs_are_those_of_plain_refinement(name):
    suite = load_suite(name)
    for pair, (i, j) in enumerate(suite.pairs.tolist()):
        graphs = suite.graphs[i], suite.graphs[j]
        found = [
            oracle.tells_apart(*graphs),
            oracle.tells_apart(*graphs, labels=1),
            oracle.folklore_tells_apart(*graphs),
        ]
        assert [int(verdict) for verdict in found] == [suite.exact[bound][pair].item() for bound in BOUNDS[:3]], pair
        if graphs[0].num_nodes <= 16:
            assert oracle.tells_apart(*graphs, labels=2) == suite.exact["1,2-WL"][pair].item()


def test_verdicts_on_circular_skip_links():
    suite = load_suite("csl")
    assert len(suite) == 45
    for i, j in suite.pairs[[0, 20, 44]].tolist():
        assert not oracle.tells_apart(suite.graphs[i], suite.graphs[j])
        assert oracle.tells_apart(suite.graphs[i], suite.graphs[j], labels=1)
        assert oracle.folklore_tells_apart(suite.graphs[i], suite.graphs[j])


@pytest.mark.skipif(available()["cexp"] == "missing", reason="no raw files at hand")
@pytest.mark.parametrize("name", ["exp", "cexp"])
def test_verdicts_on_satisfiability(name):
    suite = load_suite(name)
    for pair in (0, 1, 298, 299, 598, 599):
        i, j = suite.pairs[pair].tolist()
        assert oracle.tells_apart(suite.graphs[i], suite.graphs[j]) == suite.exact["1-WL"][pair].item()
    first, second = suite.graphs[2:4]  # a pair that 1-WL does not tell apart in either
    first.x = second.x = torch.zeros(first.num_nodes, 1)  # not even with types is 2-FWL in need of them
    assert oracle.folklore_tells_apart(first, second)


@pytest.mark.skipif(not VERDICTS.is_file(), reason="no verdicts at hand")
def test_verdicts_on_brec_are_those_of_the_data():
    suite = load_suite("brec")
    assert [suite.categories[number] for number in suite.category[[0, 60, 110, 160, 260, 360, 380]]] == [
        "basic", "regular", "strongly regular", "extension", "CFI", "4-vertex condition", "distance regular"
    ]  # fmt: skip
    with np.load(VERDICTS) as stored:
        for bound, key in zip(BOUNDS, ("1wl", "k1_l1", "2fwl", "k1_l2")):
            assert suite.exact[bound].tolist() == stored[f"distinguished_{key}"].tolist()
        assert [suite.graphs[i].num_nodes for i in range(0, 800, 2)] == stored["num_nodes"][:, 0].tolist()


def test_every_suite_has_verdicts_that_respect_the_hierarchy():
    for name in NAMES:
        if available()[name] == "missing":
            continue
        suite = load_suite(name) if name != "sr351668" else None
        if suite is None:
            continue
        assert set(suite.exact) == set(BOUNDS)
        weak, marked, folklore, twice = (suite.exact[bound] for bound in BOUNDS)
        for lower, upper in ((weak, marked), (weak, folklore), (marked, twice), (marked, folklore)):
            assert not ((lower == 1) & (upper == 0)).any(), name
        assert suite.category.unique().tolist() == list(range(len(suite.categories)))
    assert len(load_suite("pairs")) == len(PAIRS)


def test_published_counts_stay_within_the_categories():
    sizes = {"basic": 60, "regular": 140, "extension": 100, "CFI": 100}
    assert list(COLUMNS) == list(sizes)
    assert all(count <= size for counts in BREC.values() for count, size in zip(counts, sizes.values()))
    totals = {"3-WL": 270, "PPGN": 233, "I2-GNN": 281, "N2": 298, "KP-GNN": 275, "SSWL+": 248, "Graphormer": 79}
    counted = CONFIRMED | NOT_CONFIRMED
    assert {name: sum(counted[name]) for name in totals} == totals
    assert list(BREC)[: len(CONFIRMED)] == list(CONFIRMED)
    assert len(BREC) == len(counted) == 23


def test_pairs_of_your_own_and_unknown_suites():
    rook, shrikhande = load_graphs("sr16")
    suite = Suite.from_pairs("mine", [(rook, shrikhande), (rook, rook)])
    assert suite.pairs.tolist() == [[0, 1], [2, 3]]
    assert suite.hash != Suite.from_pairs("mine", [(rook, shrikhande), (rook, shrikhande)]).hash
    with pytest.raises(ValueError, match="unknown suite 'csll'; did you mean 'csl'"):
        load_suite("csll")
