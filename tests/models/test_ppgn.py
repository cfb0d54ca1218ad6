"""PPGN++ against its definition on dense matrices; what it reads, batches and refuses."""

from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch, Data

import graphkit as gk
from graphkit.diagnostics import dirichlet_energy, energies
from graphkit.models import PPGNpp
from graphkit.nn.ppgn import Pairs, PPGNBlock
from graphkit.testing import random_graph
from graphkit.transforms.features import EquivariantPolynomials, PPGNPolynomials
from tests import tiny


def with_biases(module: torch.nn.Module) -> torch.nn.Module:
    """New biases are 0, which would hide mistakes in them."""
    module = module.double()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.uniform_(-0.3, 0.3)
    return module


def dense_block(block: PPGNBlock, x: torch.Tensor) -> torch.Tensor:
    """One block on a single graph's matrices ``[n, n, channels]``."""
    z = torch.cat([x, torch.eye(x.size(0), dtype=x.dtype).unsqueeze(2)], dim=2)
    left = block.mlp1(torch.cat([z, z.transpose(0, 1)], dim=2))
    return block.skip(torch.cat([z, torch.einsum("ikc,kjc->ijc", left, block.mlp2(z))], dim=2))


def dense_input(data: Data) -> torch.Tensor:
    n = data.num_nodes
    parts = [torch.zeros(n, n, width).double() for width in (data.polynomial_attr.size(1), 1, 3, data.x.size(1))]
    parts[0][tuple(data.polynomial_index)] = data.polynomial_attr
    parts[1][tuple(data.edge_index)] = data.edge_weight.unsqueeze(1)
    parts[2][tuple(data.edge_index)] = data.edge_attr
    parts[3][range(n), range(n)] = data.x
    return torch.cat(parts, dim=2)


def graphs() -> list[Data]:
    sizes = ((6, 14), (1, 0), (4, 0), (5, 9))
    transform = EquivariantPolynomials(degree=3, pins="pair")
    return [transform(random_graph(n, m, weighted=True, seed=n, num_isolated=int(n == 6))) for n, m in sizes]


def arguments(**more: object) -> dict:
    return {"in_channels": 5, "hidden_channels": 6, "num_layers": 3, "polynomials": 14, "edge_dim": 3} | more


@pytest.mark.parametrize("readout", ["mean", "sum", None])
def test_batches_equal_dense_matrices(readout):
    torch.manual_seed(0)
    model = with_biases(PPGNpp(**arguments(out_channels=2, head_channels=4, readout=readout)))
    expected = []
    for data in graphs():
        h = dense_input(data)
        for block in model.layers:
            h = dense_block(block, h)
        n = data.num_nodes
        diagonal = h.diagonal().t()
        if readout is None:
            expected.append(model.head(diagonal))
        else:
            others = h[~torch.eye(n, dtype=torch.bool)]
            parts = [diagonal.sum(0), others.sum(0)]
            if readout == "mean":
                parts = [parts[0] / n, parts[1] / max(n * (n - 1), 1)]
            expected.append(model.head(torch.cat(parts)).unsqueeze(0))
    torch.testing.assert_close(model(Batch.from_data_list(graphs())), torch.cat(expected), rtol=1e-10, atol=1e-12)


def test_gradients():
    torch.manual_seed(0)
    block = with_biases(PPGNBlock(2, 3))
    pairs = Pairs(torch.tensor([0, 3, 3, 5]))
    x = torch.randn(13, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: block(x, pairs), (x, *block.parameters()))


def test_products_of_small_graphs_equal_padded_ones():
    pairs = Pairs(torch.tensor([0, 3, 3, 5, 9, 10]))
    inputs = [torch.randn(pairs.num_pairs, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    products = [product(*inputs) for product in (pairs.matmul, pairs._padded_product)]
    results = [(out, *torch.autograd.grad(out.square().sum(), inputs)) for out in products]
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradgradcheck(pairs.matmul, inputs)


def test_parallel_edges_add_up():
    once = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([3.0]))
    twice = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 0], [1, 1]]), edge_weight=torch.tensor([1.0, 2.0]))
    model = PPGNpp(1, 4)
    assert torch.equal(model(once), model(twice))


def test_random_weights_tell_rook_and_shrikhande_apart_with_polynomials_only():
    rook = nx.line_graph(nx.complete_bipartite_graph(4, 4))
    steps = [(0, 1), (1, 0), (1, 1)]
    torus = nx.Graph(((i, j), ((i + a) % 4, (j + b) % 4)) for i in range(4) for j in range(4) for a, b in steps)
    data = []
    for g in (rook, torus):
        edges = torch.from_numpy(nx.to_numpy_array(g)).nonzero().t()
        data.append(Data(x=torch.ones(16, 1).double(), edge_index=edges))
    torch.manual_seed(0)
    for polynomials in (0, 12):
        model = with_biases(PPGNpp(1, 16, 4, 16, polynomials=polynomials, readout="mean"))
        first, second = (model(PPGNPolynomials(normalize=None)(g) if polynomials else g) for g in data)
        relative = (first - second).norm() / first.norm()
        assert relative < 1e-9 if polynomials == 0 else relative > 1e-4


def test_sizes_come_from_the_task():
    task = tiny.task("graph regression").transform(PPGNPolynomials(channels=[0, 4, 5]))
    model = PPGNpp.from_task(task, hidden_channels=8)
    assert (model.polynomials, model.edge_dim, model.readout) == (3, None, "mean")
    official = PPGNpp(1, 95, 8, 1, polynomials=9, edge_dim=1, readout="mean")
    assert sum(p.numel() for p in official.parameters()) == 498_941


def test_polynomials_help_where_it_counts_diamonds():
    """A target that is one of the polynomials is learned from them, with nothing else to learn from."""
    graphs = []
    for seed in range(40):
        edges = torch.tensor(list(nx.gnm_random_graph(7, 13, seed=seed).edges)).t()
        data = Data(x=torch.ones(7, 1), edge_index=torch.cat([edges, edges.flip(0)], dim=1))
        data = PPGNPolynomials(channels=[0], normalize=None)(data)
        data.y = data.polynomial_attr.sum().view(1) / 50
        graphs.append(data)
    task = gk.GraphTask("diamonds", graphs, tiny.split(40), "regression")
    torch.manual_seed(0)
    model = PPGNpp.from_task(task, hidden_channels=8, num_layers=1)
    result = gk.Trainer(max_epochs=60, lr=0.01, seed=0, progress=False).fit(model, task)
    spread = (task.labels - task.labels.median()).abs().mean()
    assert result.test < 0.3 * spread


def test_energies_are_those_of_the_nodes():
    data = random_graph(5, 8)
    model = with_biases(PPGNpp(5, 6, num_layers=1))
    expected = [
        dirichlet_energy(h, data.edge_index)
        for h in (data.x, model.node_states(model.step(0, [model.encode(data)], data), data))
    ]
    assert energies(model, data) == pytest.approx([energy.item() for energy in expected])


def test_refusals():
    data = random_graph(4, 6)
    with pytest.raises(ValueError, match="polynomials=12, but polynomial_attr of the batch has nothing"):
        PPGNpp(5, polynomials=12).double()(data)
    with pytest.raises(ValueError, match="polynomials=0, but polynomial_attr of the batch has 12 columns"):
        PPGNpp(5).double()(PPGNPolynomials()(data))
    with pytest.raises(ValueError, match="edge_dim=2, but edge_attr of the batch has 3 columns"):
        PPGNpp(5, edge_dim=2).double()(data)
    with pytest.raises(ValueError, match=r"the batch has 16 pairs of nodes, more than max_pairs=15"):
        PPGNpp(5, max_pairs=15).double()(data)
    with pytest.raises(ValueError, match="num_layers=0, must be at least 1"):
        PPGNpp(5, num_layers=0)
    with pytest.raises(ValueError, match="PPGNpp: readout='max'"):
        PPGNpp(5, readout="max")
