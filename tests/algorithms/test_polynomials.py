"""Equivariant polynomials against sums over all maps, multigraphs against isomorphism tests and known counts."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp

from graphkit.algorithms import (
    PPGN_CHANNELS,
    Multigraph,
    connected_multigraphs,
    equivariant_polynomials,
    ppgn_computes,
)
from graphkit.algorithms.polynomials.plan import make_plan

K5 = Multigraph(tuple(itertools.combinations(range(5), 2)))
PRISM = Multigraph(((0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (0, 3), (1, 4), (2, 5)))


def over_all_maps(matrices: list[np.ndarray], h: Multigraph) -> np.ndarray:
    """The definition: every map of nodes to nodes, one by one."""
    n, nodes = len(matrices[0]), h.nodes
    maps = np.indices((n,) * len(nodes)).reshape(len(nodes), n ** len(nodes))
    place = {node: maps[i] for i, node in enumerate(nodes)}
    value = np.ones(maps.shape[1])
    for (u, v), colour in zip(h.edges, h.colours):
        value *= matrices[colour][place[u], place[v]]
    if not h.pins:
        return value.sum()
    out = np.zeros((n,) * len(h.pins))
    np.add.at(out, tuple(place[pin] for pin in h.pins), value)
    return out


def dense(value: object) -> np.ndarray:
    return value.toarray() if sp.issparse(value) else np.asarray(value)


def graph(kind: str, n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    A = np.triu(rng.random((n, n)) < 0.6, 1).astype(float)
    if kind == "simple":
        return A + A.T
    weights = rng.integers(-3, 4, (n, n)) / 2  # sums of products are exact
    if kind == "weighted":
        return A * weights + (A * weights).T
    return weights * (rng.random((n, n)) < 0.6)  # asymmetric, with a diagonal


def agrees(matrices: list[np.ndarray], multigraphs: tuple[Multigraph, ...]) -> None:
    values = equivariant_polynomials(matrices, multigraphs)
    for h, value in zip(multigraphs, values, strict=True):
        np.testing.assert_array_equal(dense(value), over_all_maps(matrices, h), err_msg=str(h))


@pytest.mark.parametrize("kind", ["simple", "weighted", "asymmetric"])
@pytest.mark.parametrize("num_pins", range(3))
def test_every_multigraph_up_to_degree_4(kind, num_pins):
    agrees([graph(kind, 4)], connected_multigraphs(4, num_pins, simple=False))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["simple", "weighted", "asymmetric"])
@pytest.mark.parametrize("num_pins", range(3))
def test_every_multigraph_up_to_degree_5(kind, num_pins):
    agrees([graph(kind, 5)], connected_multigraphs(5, num_pins, simple=False))


@pytest.mark.parametrize("num_pins", range(3))
def test_simple_graphs_of_degree_6(num_pins):
    some = [h for h in connected_multigraphs(6, num_pins) if h.degree == 6][:: 4 + 6 * num_pins]
    agrees([graph("asymmetric", 4)], tuple(some))


def test_directions_and_colours():
    agrees([graph("asymmetric", 4)], connected_multigraphs(3, 2, directed=True))
    matrices = [graph("asymmetric", 4), graph("weighted", 4, seed=1)]
    agrees(matrices, connected_multigraphs(3, 1, simple=False, num_colours=2))


@pytest.mark.parametrize("h", [K5, PRISM], ids=["K5", "prism"])
@pytest.mark.parametrize("pins", [(), (0,), (4, 0), (1, 3)])
def test_where_no_node_has_two_neighbours(h, pins):
    for kind in ("simple", "asymmetric"):
        agrees([graph(kind, 5)], (Multigraph(h.edges, pins),))


@pytest.mark.parametrize(
    ("edges", "pins"),
    [
        (((0, 1), (2, 3), (3, 4)), (0, 2)),
        (((0, 1), (2, 3)), (0,)),
        (((0, 1),), (5,)),
        (((0, 1), (2, 2), (2, 3)), (0, 1)),
        ((), (1, 2)),
        ((), ()),
        (((7, 3), (3, 7), (3, 3), (3, 9)), (9, 7)),
    ],
)
def test_disconnected_multigraphs_and_any_numbers(edges, pins):
    agrees([graph("asymmetric", 5)], (Multigraph(edges, pins),))


@pytest.mark.parametrize("matrix", [np.zeros((0, 0)), np.zeros((1, 1)), np.zeros((4, 4)), np.eye(3)])
def test_graphs_without_edges(matrix):
    every = [h for pins in range(3) for h in connected_multigraphs(3, pins, simple=False)]
    agrees([matrix], (*every, *PPGN_CHANNELS))


def test_closed_forms_of_the_twelve_channels():
    A = graph("simple", 12, seed=3)
    degree = np.diag(A.sum(1))
    near = np.einsum("ca,da->cda", A, A)

    def q(M):
        return np.einsum("cda,ab,cdb->cd", near, M, near)

    D = q(A)
    R = np.einsum("ae,de,ad,ab,bd->be", A, A, A, A, A @ A)
    of_nodes = (A * D).sum(1)
    expected = [
        D,
        of_nodes.sum(),
        of_nodes,
        A * D,
        q(degree @ A),
        D @ A,
        A @ D,
        D @ degree,
        degree @ D,
        R.T,
        R,
        q(A @ A),
    ]
    for value, formula in zip(equivariant_polynomials(A, PPGN_CHANNELS), expected, strict=True):
        np.testing.assert_array_equal(dense(value), formula)


def test_the_channels_are_all_that_ppgn_lacks_up_to_degree_6():
    every = [h for pins in range(3) for h in connected_multigraphs(6, pins)]
    lacking = {h for h in every if not ppgn_computes(h)}
    assert lacking == {h.canonical() for h in PPGN_CHANNELS}
    assert len(lacking) == 12


def test_counts_of_simple_graphs():
    def by_degree(multigraphs, last):
        return [sum(h.degree == d for h in multigraphs) for d in range(1, last + 1)]

    assert by_degree(connected_multigraphs(6), 6) == [1, 1, 3, 5, 12, 30]
    assert by_degree(connected_multigraphs(6, 1), 6) == [1, 2, 5, 13, 37, 114]
    assert by_degree(connected_multigraphs(6, 2), 6) == [1, 3, 10, 35, 125, 460]
    every = [h for pins in range(3) for h in connected_multigraphs(7, pins)]
    assert by_degree([h for h in every if not ppgn_computes(h)], 7) == [0, 0, 0, 0, 1, 11, 77]


@pytest.mark.parametrize("directed", [False, True])
def test_enumeration_against_isomorphism_tests(directed):
    """All sets of three edges on four nodes, sorted by pairwise isomorphism tests."""
    possible = list(itertools.combinations_with_replacement(itertools.product(range(4), repeat=2), 3))
    classes: list[nx.MultiDiGraph] = []
    for edges in possible:
        graph = (nx.MultiDiGraph if directed else nx.MultiGraph)(edges)
        if not (nx.is_weakly_connected(graph) if directed else nx.is_connected(graph)):
            continue
        if not any(nx.is_isomorphic(graph, other) for other in classes):
            classes.append(graph)
    ours = [h for h in connected_multigraphs(3, simple=False, directed=directed) if h.degree == 3]
    assert len(ours) == len(classes)


def test_canonical_form_does_not_depend_on_numbers():
    rng = np.random.default_rng(0)
    for h in connected_multigraphs(5, 1, simple=False):
        names = rng.permutation(10)
        edges = tuple((names[u], names[v])[:: rng.choice([1, -1])] for u, v in rng.permutation(np.array(h.edges)))
        assert Multigraph(edges, tuple(names[pin] for pin in h.pins)).canonical() == h


def test_plans_share_their_parts():
    """All 58 polynomials of nodes together take a single new sparsity pattern, that of walks of two steps."""
    plan = make_plan(connected_multigraphs(5, 1), (True,))
    assert [op for op in plan.ops if op[0] in ("product", "join")] == [("product", 0, -1, 0)]
    assert len(plan.ops) < 80


def test_a_dense_intermediate_is_refused_before_it_exists():
    star = np.zeros((2001, 2001))
    star[0, 1:] = star[1:, 0] = 1
    square = Multigraph(((0, 1), (1, 2), (2, 3), (3, 0)), (0,))
    with pytest.raises(ValueError, match=r"has 4,000,001 entries for a graph of 2001 nodes, but max_entries=1,000,000"):
        equivariant_polynomials(star, [square], max_entries=10**6)
    apart = Multigraph(((0, 1), (2, 3)), (0, 2))
    with pytest.raises(ValueError, match=r"two unconnected pins has 4,004,001 entries"):
        equivariant_polynomials(star, [apart], max_entries=10**6)
    with pytest.raises(ValueError, match="has more entries for a graph of 6 nodes, but max_entries=20"):
        equivariant_polynomials(np.ones((6, 6)) - np.eye(6), [PPGN_CHANNELS[0]], max_entries=20)


def test_bad_input():
    with pytest.raises(ValueError, match=r"a matrix has shape \(2, 3\), expected"):
        equivariant_polynomials(np.ones((2, 3)), PPGN_CHANNELS)
    with pytest.raises(ValueError, match="not finite"):
        equivariant_polynomials(np.array([[np.nan]]), PPGN_CHANNELS)
    with pytest.raises(ValueError, match="2 colours of edges need as many equal matrices"):
        equivariant_polynomials(np.eye(2), [Multigraph(((0, 1),), colours=(1,))])
    with pytest.raises(ValueError, match="must be none, one, or two different nodes"):
        Multigraph(((0, 1),), (0, 0))
    with pytest.raises(ValueError, match="1 colours for 2 edges"):
        Multigraph(((0, 1), (1, 2)), colours=(0,))
    with pytest.raises(ValueError, match="is negative"):
        Multigraph(((0, -1),))
    with pytest.raises(ValueError, match="num_pins=3"):
        connected_multigraphs(2, 3)
