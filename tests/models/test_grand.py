"""GRAND: what diffusion must keep, the closed form, errors, options."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch_geometric.data import Batch, Data

import graphkit as gk
from graphkit.testing.graphs import random_graph
from tests import tiny


def build(**arguments):
    torch.manual_seed(0)
    model = gk.models.GRAND(5, 6, out_channels=3, attention_channels=8, heads=2, **{"time": 3.0} | arguments).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lin_query" in name or "lin_key" in name:
                parameter.copy_(torch.randn(parameter.shape, dtype=torch.float64))
    return model.eval()


def states(model, graph):
    z0 = model.encode(graph)
    return z0, model.step(0, [z0], graph)


def test_linear_equals_the_dense_matrix_exponential():
    graph, model = random_graph(9, 24, num_isolated=1), build(source=True)
    torch.nn.init.constant_(model.layers[0].rate, 0.8)
    z0, z = states(model, graph)
    matrix = model.ode(z0, graph).operator.to_dense()
    generator = torch.tensor(0.8, dtype=torch.float64).sigmoid() * (matrix - torch.eye(9, dtype=torch.float64))
    torch.testing.assert_close(z, (3.0 * generator).matrix_exp() @ z0, rtol=1e-12, atol=1e-12)


VARIANTS = [
    {"diffusivity": "linear"},
    {"diffusivity": "nonlinear", "solver": "dopri5"},
    {"diffusivity": "linear", "attention": "pearson", "normalize": "squareplus"},
    {"diffusivity": "nonlinear", "solver": "rk4", "step_size": 0.25, "attention": "exp_kernel"},
    {"diffusivity": "linear", "attention": "additive"},
]


@pytest.mark.parametrize("arguments", VARIANTS)
def test_rows_keep_constants_and_the_maximum_principle(arguments):
    graph, model = random_graph(9, 24, num_isolated=1), build(axis="row", **arguments)
    z0, z = states(model, graph)
    assert bool((z <= z0.amax(0) + 1e-9).all())
    assert bool((z >= z0.amin(0) - 1e-9).all())
    assert float((z - z0).abs().max()) > 0.1
    ones = torch.full_like(z0, 1.5)
    torch.testing.assert_close(model.step(0, [ones], graph), ones, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("arguments", [*VARIANTS, {"diffusivity": "constant"}])
def test_columns_conserve_the_sum(arguments):
    graph, model = random_graph(9, 24, num_isolated=1), build(axis="column", **arguments)
    z0, z = states(model, graph)
    torch.testing.assert_close(z.sum(0), z0.sum(0), rtol=1e-9, atol=1e-9)
    assert float((z - z0).abs().max()) > 0.1


def test_isolated_nodes_stay_or_decay():
    graph = random_graph(6, 12, num_isolated=2)
    z0, z = states(build(), graph)
    torch.testing.assert_close(z[4:], z0[4:])
    z0, z = states(build(self_loops=0.0), graph)
    torch.testing.assert_close(z[4:], math.exp(-1.5) * z0[4:])


@pytest.mark.parametrize("diffusivity", ["linear", "nonlinear", "mixed", "constant"])
def test_solvers_agree(diffusivity):
    graph = random_graph(9, 24, weighted=True)
    solvers = ["dopri5", "rk4", "implicit_adams"] + (["exact"] if diffusivity != "nonlinear" else [])
    first, *others = [
        build(diffusivity=diffusivity, solver=solver, source=True, step_size=0.02, max_evaluations=None)(graph)
        for solver in solvers
    ]
    for other in others:
        torch.testing.assert_close(other, first, rtol=1e-5, atol=1e-6)


def test_adjoint_gradients():
    graph, gradients = random_graph(9, 24), []
    for diffusivity in ("linear", "nonlinear"):
        for adjoint in (None, "dopri5"):
            model = build(diffusivity=diffusivity, solver="dopri5", adjoint=adjoint, source=True).train()
            model(graph).square().sum().backward()
            gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        for name, gradient in gradients[-2].items():
            torch.testing.assert_close(gradients[-1][name], gradient, rtol=1e-4, atol=1e-5, msg=f"{name} differs")


def test_layers_are_stretches_of_time():
    graph, one, three = random_graph(9, 24), build(source=True), build(source=True, num_layers=3)
    for model in (one, three):
        torch.nn.init.constant_(model.layers[0].strength, 0.3)
    torch.testing.assert_close(three(graph), one(graph), rtol=1e-10, atol=1e-10)
    assert sum(p.numel() for p in three.parameters()) == sum(p.numel() for p in one.parameters())


@pytest.mark.parametrize("attention", ["scaled_dot", "exp_kernel"])
def test_squareplus_in_batches(attention):
    graphs = [random_graph(n, 3 * n, seed=n) for n in (5, 8)]
    apart = [build(normalize="squareplus", attention=attention)(graph) for graph in graphs]
    batch = Batch.from_data_list(graphs)
    torch.testing.assert_close(build(normalize="squareplus", attention=attention)(batch), torch.cat(apart))
    coupled = build(normalize="squareplus", attention=attention, official_batch_max=True)(batch)
    assert not torch.allclose(coupled, torch.cat(apart))


def test_hard_attention():
    graph = random_graph(9, 40)
    model = build(diffusivity="hard", keep_edges=0.4)
    z0 = model.encode(graph)
    assert bool((model.ode(z0, graph).operator.values > 0).all())
    model.train()
    matrix = model.ode(z0, graph).operator
    assert int((matrix.values > 0).sum()) == math.floor(0.4 * 49)
    sums = matrix.row_sum()
    torch.testing.assert_close(sums[sums > 0], torch.ones_like(sums[sums > 0]))
    model(graph).square().sum().backward()
    assert float(model.layers[0].diffusion.lin_query.weight.grad.abs().max()) > 0
    official = build(diffusivity="hard", keep_edges=0.4, official_hard_gradient=True).train()
    official(graph).square().sum().backward()
    assert official.layers[0].diffusion.lin_query.weight.grad is None


def test_integer_self_loops_only_where_asked():
    graph = random_graph(9, 24, weighted=True)
    make = {"diffusivity": "constant", "adjacency": "sym"}
    none = build(self_loops=0.0, **make)(graph)
    assert not torch.allclose(build(self_loops=0.5, **make)(graph), none)
    torch.testing.assert_close(build(self_loops=0.5, official_integer_loops=True, **make)(graph), none)


def test_auxiliary_loss():
    graph = random_graph(9, 24)
    model = build(solver="rk4", regularizers={"kinetic": 2.0, "directional": 0.5})
    model(graph)
    assert float(model.auxiliary_loss()) == 0
    model.train()
    model(graph)
    copy.deepcopy(model)
    penalties = model.penalties()
    expected = 2.0 * penalties["kinetic"].mean() + 0.5 * penalties["directional"].mean()
    loss = model.auxiliary_loss()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert float(model.layers[0].rate.grad) != 0
    assert float(model.auxiliary_loss()) == 0
    parts = build(solver="rk4", num_layers=2, step_size=0.1, regularizers={"kinetic": 2.0, "directional": 0.5}).train()
    whole = build(solver="rk4", step_size=0.1, regularizers={"kinetic": 2.0, "directional": 0.5}).train()
    for model in (parts, whole):
        model(graph)
    torch.testing.assert_close(parts.auxiliary_loss(), whole.auxiliary_loss(), rtol=1e-6, atol=1e-9)


def test_early_stop_chooses_the_best_time():
    graph = random_graph(9, 24)
    y = torch.arange(9) % 3
    val = torch.arange(9) < 5
    for solver in ("rk4", "dopri5"):
        model = build(solver=solver, step_size=0.5)
        found = model.early_stop(graph, y, val)
        assert 0 <= found.time <= 9
        assert float((found.out.argmax(1) == y)[val].double().mean()) == pytest.approx(found.val)
        assert found.val >= float((found.last_out.argmax(1) == y)[val].double().mean())
    with pytest.raises(ValueError, match="early_stop looks at the solver's steps"):
        build(solver="exact").early_stop(graph, y, val)
    with pytest.raises(ValueError, match="val_mask marks none"):
        build(solver="rk4").early_stop(graph, y, val & False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"diffusivity": "lin"}, "GRAND: diffusivity='lin', did you mean 'linear'"),
        ({"attention": "cosin"}, "GRAND: attention='cosin', did you mean 'cosine'"),
        ({"axis": "rows"}, "did you mean 'row'"),
        ({"normalize": "square_plus"}, "did you mean 'squareplus'"),
        ({"solver": "rk45"}, "GRAND: solver='rk45', did you mean 'rk4'"),
        ({"diffusivity": "nonlinear", "solver": "exact"}, "solver='exact' needs a linear equation"),
        ({"solver": "exact", "regularizers": {"kinetic": 1.0}}, "regularizers are integrated along"),
        ({"regularizers": {"kinetics": 1.0}}, "GRAND: regularizers key='kinetics', did you mean 'kinetic'"),
        ({"heads": 3}, "3 heads cannot share attention_channels=8 evenly"),
        ({"time": 0.0}, "time=0.0, must be positive"),
        ({"num_layers": 0}, "num_layers=0, must be at least 1"),
        ({"dropout": 1.0}, r"dropout=1.0, must be in \[0, 1\)"),
        ({"keep_edges": 0.0}, r"keep_edges=0.0, must be in \(0, 1\]"),
        ({"self_loops": -1.0}, "self_loops=-1.0, must be at least 0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        gk.models.GRAND(5, 6, out_channels=3, **{"attention_channels": 8, "heads": 2} | arguments)


def test_not_a_number():
    graph = random_graph(9, 24)
    graph.x[3, 0] = math.nan
    for solver in ("exact", "rk4", "dopri5"):
        with pytest.raises(RuntimeError, match=f"ODE solver '{solver}'.*(NaN|not finite)"):
            build(solver=solver)(graph)


def test_sparse_features():
    graph = random_graph(9, 24)
    sparse = Data(x=graph.x.to_sparse_csr(), edge_index=graph.edge_index)
    torch.testing.assert_close(build()(sparse), build()(graph))


@pytest.mark.parametrize("name", ["node multiclass", "graph multiclass"])
def test_from_task_trains(name):
    task = tiny.task(name)
    model = gk.models.GRAND.from_task(task, hidden_channels=8, time=2.0)
    result = gk.Trainer(max_epochs=3, progress=False).fit(model, task)
    assert math.isfinite(result.test)
