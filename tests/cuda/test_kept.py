"""What is kept with a graph on a GPU, told by version counters: no edit goes unnoticed, and the host does not wait."""

import pytest
import torch

from graphkit import ops
from graphkit.core.caching import of_tensor
from graphkit.models import GCN
from graphkit.testing import random_graph


def edges(gpu):
    return torch.tensor([[0, 1], [1, 2]], device=gpu.device)


def out(edge_index):
    x = torch.tensor([[1.0], [10.0], [100.0]], device=edge_index.device)
    return ops.spmm(edge_index, x).squeeze(1).tolist()


EDITS = {
    "in place": lambda e: e.index_fill_(1, torch.tensor([0], device=e.device), 2),
    "through a view": lambda e: e[:, 0].fill_(2),
    "by an item": lambda e: e.__setitem__((slice(None), 0), 2),
    "without gradients": torch.no_grad()(lambda e: e[:, :1].fill_(2)),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edits_are_noticed(edit, gpu):
    edge_index = edges(gpu)
    assert out(edge_index) == [0.0, 1.0, 10.0]
    EDITS[edit](edge_index)
    assert out(edge_index) == [0.0, 0.0, 110.0]


def test_an_edit_that_breaks_the_graph_is_refused(gpu):
    edge_index = edges(gpu)
    out(edge_index)
    edge_index[0, 0] = 7
    with pytest.raises(IndexError, match="7"):
        out(edge_index)


def test_weights_with_the_same_values_are_the_same_weights(gpu):
    edge_index, weight = edges(gpu), torch.ones(2, device=gpu.device)
    first = ops.gcn_norm(edge_index, weight, size=3)
    assert ops.gcn_norm(edge_index, weight, size=3) is ops.gcn_norm(edge_index, weight.clone(), size=3) is first
    weight.mul_(2)
    assert ops.gcn_norm(edge_index, weight, size=3) is not first


def test_facts_of_views_are_told_apart(gpu):
    edge_index, made = edges(gpu), []
    for row in (0, 1, 0, 1):
        of_tensor(edge_index[row], "sum", lambda row=row: made.append(row))
    assert made == [0, 1]
    edge_index[0, 0] = 1
    of_tensor(edge_index[1], "sum", lambda: made.append("again"))
    assert made == [0, 1, "again"]


def test_what_a_graph_costs(gpu):
    data = random_graph(edge_dim=None).to(gpu.device)
    model = GCN(5, 8, 2, 3).double().to(gpu.device)
    waits = []
    for weight in (None, torch.ones(20, dtype=torch.double, device=gpu.device)):
        for _ in range(2):
            data.edge_weight = weight
            with gpu.counting() as counts:
                model(data).sum().backward()
            waits.append(counts.num_waits)
    assert waits == [1, 0, 1, 0]  # the pattern; negative degrees
