"""LCM: trees against a plain recursion, independence from batch and order, losses, sizes from 0 to a large hub."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch_geometric.nn import SAGEConv, SimpleConv

from graphkit.nn.aggr import GRUOperator, LCMAggregation, MLPOperator, RecurrentAggregation
from graphkit.nn.aggr import gru_pairs as pairs
from graphkit.nn.aggr.sets import Sets, find_sets

SIZES = st.lists(st.integers(0, 12), min_size=1, max_size=8)


def folded(operator, rows: list[torch.Tensor]) -> torch.Tensor:
    """The tree of one set, by hand."""
    while len(rows) > 1:
        combined = [operator(a[None], b[None])[0] for a, b in zip(rows[::2], rows[1::2])]
        rows = combined + ([rows[-1]] if len(rows) % 2 else [])
    return rows[0]


def index_of(sizes: list[int]) -> torch.Tensor:
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))


def recurrent(cell: str):
    return lambda **order: RecurrentAggregation(4, 4, cell, **order).double()


def lcm(channels: int = 4, **options) -> LCMAggregation:
    torch.manual_seed(0)
    aggregation = LCMAggregation(channels, channels, project=False, **options).double()
    with torch.no_grad():
        aggregation.identity.normal_()
    return aggregation


@settings(max_examples=30, deadline=None)
@given(sizes=SIZES, operator=st.sampled_from(["gru", "mlp"]), symmetric=st.booleans(), seed=st.integers(0, 9))
def test_each_set_is_its_own_tree(sizes, operator, symmetric, seed):
    aggregation = lcm(operator=operator, symmetric=symmetric, order="given")
    index = index_of(sizes)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(index.numel(), 4, generator=generator, dtype=torch.float64)
    out = aggregation(x, index, dim_size=len(sizes))
    for number, size in enumerate(sizes):
        mine = list(x[index == number])
        expected = folded(aggregation.combine, mine) if size > 0 else aggregation.identity
        torch.testing.assert_close(out[number], expected)


@pytest.mark.parametrize("order", ["random", "canonical"])
@pytest.mark.parametrize("project", [True, False])
def test_evaluation_does_not_depend_on_the_order_of_elements(order, project):
    torch.manual_seed(0)
    aggregation = LCMAggregation(3, 3, project=project, order=order).eval()
    x = torch.randint(0, 2, (60, 3)).float()  # many ties
    x[::3] = torch.randn(20, 3)
    index = torch.randint(0, 9, (60,))
    expected = aggregation(x, index, dim_size=10)
    for _ in range(3):
        mixed = torch.randperm(60)
        assert torch.equal(aggregation(x[mixed], index[mixed], dim_size=10), expected)


@pytest.mark.parametrize("make", [lambda **order: lcm(**order), *map(recurrent, ("gru", "lstm"))])
def test_training_draws_a_new_order_and_the_seed_fixes_it(make):
    aggregation = make().train()
    x, index = torch.randn(30, 4, dtype=torch.float64), index_of([30])
    outs = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        outs.append(aggregation(x, index, dim_size=1))
    assert torch.equal(outs[0], outs[2])
    assert not torch.allclose(outs[0], outs[1])
    given_order = make(order="given").train()
    assert torch.equal(given_order(x, index, dim_size=1), given_order(x, index, dim_size=1))


def test_a_random_order_keeps_elements_in_their_sets():
    sets = Sets(torch.tensor([2, 0, 2, 0, 2, 1]), 4)
    orders = {tuple(sets.shuffled().tolist()) for _ in range(200)}
    assert len(orders) == 2 * 6  # all of them
    assert all(sorted(o[:2]) == [1, 3] and o[2] == 5 and sorted(o[3:]) == [0, 2, 4] for o in orders)


def test_canonical_order_is_lexicographic():
    torch.manual_seed(0)
    x, index = torch.randint(0, 3, (50, 4)).float(), torch.randint(0, 4, (50,))
    order = Sets(index, 4).canonical(x)
    keys = [(int(index[i]), *x[i].tolist(), i) for i in order.tolist()]
    assert keys == sorted(keys)


def test_other_sets_and_their_sizes_do_not_matter():
    aggregation = lcm(order="given")
    x = torch.randn(5, 4, dtype=torch.float64)
    alone = aggregation(x, torch.zeros(5, dtype=torch.long), dim_size=1)
    for other in (0, 1, 7, 64):
        index = torch.cat([torch.ones(5, dtype=torch.long), torch.zeros(other, dtype=torch.long)])
        rows = torch.cat([x, torch.randn(other, 4, dtype=torch.float64)])
        torch.testing.assert_close(aggregation(rows, index, dim_size=3)[1:2], alone)


def test_empty_input_and_single_elements():
    aggregation = lcm()
    none = torch.zeros(0, dtype=torch.long)
    assert torch.equal(aggregation(torch.zeros(0, 4, dtype=torch.float64), none, dim_size=2)[1], aggregation.identity)
    assert aggregation(torch.zeros(0, 4, dtype=torch.float64), none, dim_size=0).shape == (0, 4)
    x = torch.randn(3, 4, dtype=torch.float64)
    assert torch.equal(aggregation(x, torch.tensor([2, 0, 1])), x[[1, 2, 0]])


def test_the_identity_learns_from_empty_sets_only():
    aggregation = lcm()
    x = torch.randn(4, 4, dtype=torch.float64)
    aggregation(x, torch.tensor([0, 0, 2, 2]), dim_size=4).sum().backward()
    assert torch.equal(aggregation.identity.grad, torch.full((4,), 2.0, dtype=torch.float64))


def test_a_hub_of_200_000_elements():
    aggregation = LCMAggregation(4, 4, project=False).train()
    x = torch.randn(200_003, 4, requires_grad=True)
    index = torch.cat([torch.zeros(200_000, dtype=torch.long), torch.tensor([1, 1, 3])])
    out = aggregation(x, index, dim_size=4)
    out.sum().backward()
    assert bool(out.isfinite().all())
    assert bool((x.grad != 0).any(1).all())


@pytest.mark.parametrize("options", [{}, {"operator": "mlp"}, {"symmetric": False}])
def test_gradients(options):
    aggregation = lcm(channels=2, order="given", **options)
    index = index_of([3, 0, 1, 6])
    x = torch.randn(10, 2, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in aggregation.named_parameters()]

    def function(x, *parameters):
        return torch.func.functional_call(aggregation, dict(zip(names, parameters)), (x, index), {"dim_size": 4})

    inputs = (x, *(p.detach().clone().requires_grad_() for p in aggregation.parameters()))
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


@pytest.mark.parametrize("keep", [0, 2**30])
@pytest.mark.parametrize("block", [10, 2**19])
def test_fused_pairs_equal_two_gru_cells(keep, block, monkeypatch):
    monkeypatch.setattr(pairs, "_KEEP", keep)
    monkeypatch.setattr(pairs, "_BLOCK", block)
    torch.manual_seed(0)
    cell = GRUOperator(3).double()
    a, b = torch.randn(2, 150, 3, dtype=torch.float64).requires_grad_().unbind()
    fused, plain = cell.symmetrised(a, b), 0.5 * (cell(a, b) + cell(b, a))
    torch.testing.assert_close(fused, plain)
    assert torch.equal(fused, cell.symmetrised(b, a))
    weight = torch.randn(150, 3, dtype=torch.float64)
    inputs = (a, b, *cell.parameters())
    torch.testing.assert_close(torch.autograd.grad(fused, inputs, weight), torch.autograd.grad(plain, inputs, weight))


def test_losses_measure_what_they_say():
    total = LCMAggregation(3, 3, project=False, operator=lambda a, b: 2 * (a + b))  # commutative, not associative
    a, b, c = torch.randn(3, 5, 3)
    torch.testing.assert_close(total.associativity_loss(a, b, c), (2 * a - 2 * c).square().mean())
    assert total.commutativity_loss(a, b) == 0
    first = LCMAggregation(
        3, 3, project=False, operator=lambda a, b: a, symmetric=False
    )  # associative, not commutative
    assert first.associativity_loss(a, b, c) == 0
    torch.testing.assert_close(first.commutativity_loss(a, b), (a - b).square().mean())


def test_any_function_or_module_is_an_operator():
    x, index = torch.rand(7, 3), torch.tensor([0, 0, 0, 1, 1, 3, 3])
    largest = LCMAggregation(3, 3, project=False, operator=torch.maximum)
    assert torch.equal(largest(x, index)[0], x[:3].amax(0))
    total = LCMAggregation(3, 3, project=False, operator=torch.add, symmetric=False)
    torch.testing.assert_close(total(x, index)[3], x[5:].sum(0))
    wide = LCMAggregation(3, 3, operator=MLPOperator(3, hidden_channels=50))
    assert any(p.numel() == 300 for p in wide.parameters())
    fused, plain = lcm(order="given"), lcm(order="given", operator=nn.GRUCell(4, 4))
    plain.load_state_dict(fused.state_dict())
    assert plain.config()["operator"] is plain.f
    assert fused.config()["operator"] == "gru"
    x = torch.randn(9, 4, dtype=torch.float64)
    torch.testing.assert_close(fused(x, torch.zeros(9, dtype=torch.long)), plain(x, torch.zeros(9, dtype=torch.long)))


def test_auxiliary_loss_teaches_the_operator_and_leaves_features_alone():
    aggregation = lcm(associativity_weight=0.5, commutativity_weight=0.1, symmetric=False)
    x = torch.randn(40, 4, dtype=torch.float64, requires_grad=True)
    assert aggregation.auxiliary_loss() == 0
    aggregation.eval()(x, index_of([40]))
    assert aggregation.auxiliary_loss() == 0
    out = aggregation.train()(x, index_of([40]))
    copy.deepcopy(aggregation)  # nothing that cannot be copied is kept
    loss = aggregation.auxiliary_loss()
    assert loss > 0
    loss.backward()
    assert x.grad is None
    assert bool((aggregation.f.weight_hh.grad != 0).any())
    optimizer = torch.optim.Adam(aggregation.f.parameters(), lr=0.01)
    for _ in range(50):
        aggregation(x, index_of([40]))
        optimizer.zero_grad()
        aggregation.auxiliary_loss().backward()
        optimizer.step()
    assert aggregation.auxiliary_loss() < 0.3 * loss
    assert out.requires_grad


def test_in_message_passing_with_edges_in_any_order():
    torch.manual_seed(0)
    edge_index = torch.randint(0, 12, (2, 60))
    x = torch.randn(12, 4)
    conv = SAGEConv(4, 5, aggr=LCMAggregation(4, 4)).eval()
    mixed = edge_index[:, torch.randperm(60)]
    torch.testing.assert_close(conv(x, edge_index), conv(x, mixed))
    plain = SimpleConv(aggr=LCMAggregation(4, 4, project=False)).eval()
    heads = torch.randn(12, 2, 4)
    aggregation = plain.aggr_module
    gathered = heads[edge_index[0]]
    out = aggregation(gathered, edge_index[1], dim_size=12, dim=0)
    for head in (0, 1):
        torch.testing.assert_close(out[:, head], aggregation(gathered[:, head], edge_index[1], dim_size=12))


def test_ptr_and_leading_dimensions():
    aggregation = lcm().eval()
    x = torch.randn(2, 6, 4, dtype=torch.float64)
    by_ptr = aggregation(x[0], ptr=torch.tensor([0, 2, 2, 6]))
    by_index = aggregation(x, torch.tensor([0, 0, 2, 2, 2, 2]))
    torch.testing.assert_close(by_index[0], by_ptr)
    assert by_index.shape == (2, 3, 4)


def test_the_plan_is_kept_by_content():
    index = torch.tensor([0, 0, 2])
    first = find_sets(index, None, 3, 3)
    assert find_sets(index.clone(), None, 3, 3) is first
    index[0] = 1
    assert find_sets(index, None, 3, 3) is not first
    assert find_sets(index, None, 4, 3).num_sets == 4
    for size in range(20):
        find_sets(torch.zeros(size, dtype=torch.long), None, 1, size)
    assert find_sets(torch.tensor([0, 0, 2]), None, 3, 3) is not first  # only the last few are cached


def test_autocast_computes_in_the_precision_of_the_weights():
    aggregation = LCMAggregation(4, 4).eval()
    x, index = torch.randn(9, 4), index_of([4, 0, 5])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = aggregation(x, index)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, aggregation(x, index), atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 3, "out_channels": 4, "project": False}, "must agree without a projection"),
        ({"in_channels": 3, "out_channels": 3, "operator": "gruu"}, "LCMAggregation: operator='gruu'.*'gru'"),
        ({"in_channels": 3, "out_channels": 3, "order": "sorted"}, "LCMAggregation: order='sorted'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LCMAggregation(**arguments)


def test_wrong_inputs_are_named():
    aggregation = LCMAggregation(4, 4)
    x = torch.randn(3, 4)
    with pytest.raises(ValueError, match="dim_size"):
        aggregation(x, torch.tensor([0, 1, 5]), dim_size=2)
    with pytest.raises(IndexError, match="names group -1"):
        aggregation(x, torch.tensor([0, 1, -1]), dim_size=2)
    with pytest.raises(ValueError, match=r"index has shape \[2\]"):
        aggregation(x, torch.tensor([0, 1]))
    with pytest.raises(TypeError, match="index has dtype"):
        aggregation(x, torch.tensor([0.0, 1.0, 1.0]), dim_size=2)
    with pytest.raises(ValueError, match="ptr must rise"):
        aggregation(x, ptr=torch.tensor([0, 2, 1]))
    with pytest.raises(ValueError, match="the last dimension holds the channels"):
        aggregation(x, torch.tensor([0, 1, 1]), dim=-1)
