"""GraphSAGE's layer against PyG's."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
import torch_geometric
from torch_geometric.nn import GraphConv

from graphkit.nn import SAGEConv

EDGES = torch.randint(20, (2, 60), generator=torch.Generator().manual_seed(0))
ONTO = EDGES.remainder(torch.tensor([[20], [8]]))  # 20 sources and 8 targets
OPTIONS: list[dict[str, Any]] = [
    {},
    {"aggr": "sum"},
    {"aggr": "max"},
    {"aggr": "std", "normalize": True},
    {"aggr": ["mean", "max"]},
    {"aggr": "softmax", "aggr_kwargs": {"learn": True}},
    {"project": True, "normalize": True},
    {"root_weight": False, "bias": False},
]


@pytest.mark.parametrize("width", [3, 9])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_is_pygs(options: dict[str, Any], width: int) -> None:
    torch.manual_seed(0)
    x, targets = torch.randn(20, 6), torch.randn(8, 5)
    ours, theirs = SAGEConv(6, width, **options), torch_geometric.nn.SAGEConv(6, width, **options)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x, EDGES), theirs(x, EDGES))
    ours, theirs = SAGEConv((6, 5), width, **options), torch_geometric.nn.SAGEConv((6, 5), width, **options)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours((x, targets), ONTO), theirs((x, targets), ONTO))
    torch.testing.assert_close(ours((x, None), ONTO, (20, 8)), theirs((x, None), ONTO, (20, 8)))
    assert str(ours) == str(theirs)


def test_an_lstm_reads_sorted_edges() -> None:
    x, edges = torch.randn(20, 6), EDGES[:, EDGES[1].argsort()]
    ours, theirs = SAGEConv(6, 3, "lstm"), torch_geometric.nn.SAGEConv(6, 3, "lstm")
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x, edges), theirs(x, edges))


def test_widths_come_from_the_first_input() -> None:
    torch.manual_seed(0)
    conv, (x, targets) = SAGEConv((-1, -1), 3), (torch.randn(20, 6), torch.randn(8, 5))
    first = conv((x, targets), ONTO)
    assert (conv.lin_l.weight.shape, conv.lin_r.weight.shape) == ((3, 6), (3, 5))
    torch.testing.assert_close(conv((x, targets), ONTO), first)
    with pytest.raises(ValueError, match="project=True does not support lazy initialization; pass the width"):
        SAGEConv(-1, 3, project=True)


def test_weights_weigh_a_sum_as_in_graph_conv() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(20, 6), torch.rand(60)
    ours, theirs = SAGEConv(6, 3, "sum"), GraphConv(6, 3)
    state = {key.replace("lin_l", "lin_rel").replace("lin_r.", "lin_root."): w for key, w in ours.state_dict().items()}
    theirs.load_state_dict(state)
    torch.testing.assert_close(ours(x, EDGES, weight), theirs(x, EDGES, weight))


def test_arguments_stand_in_pygs_order() -> None:
    theirs = inspect.signature(torch_geometric.nn.SAGEConv.__init__).parameters
    assert [*inspect.signature(SAGEConv.__init__).parameters] == [*theirs]
