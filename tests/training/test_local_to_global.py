"""The two phases of Polynormer's training, against a plain loop; its attention, against the definition."""

from __future__ import annotations

import copy

import pytest
import torch
from torch_geometric.data import Batch

import graphkit as gk
from graphkit.models import GCN, Polynormer
from graphkit.nn.polynormer_conv import global_attention
from graphkit.testing.graphs import random_graph
from graphkit.training.strategies import LocalToGlobal
from tests import tiny

TASK = tiny.task("node multiclass")


def _model(**arguments):
    return Polynormer.from_task(TASK, hidden_channels=8, local_layers=2, global_layers=1, heads=2, **arguments)


def test_phases_are_those_of_a_plain_loop():
    """One Adam from the first to the last epoch, taken back at the switch to the best epoch, as are the weights."""
    trainer = gk.Trainer(max_epochs=9, lr=0.05, weight_decay=0.01, strategy=LocalToGlobal(local_epochs=6))
    torch.manual_seed(0)
    model, first = _model(), {}
    strategy = trainer.strategy
    setup = strategy.setup

    def remember(*given):
        setup(*given)
        first.update(model=copy.deepcopy(model), head=copy.deepcopy(strategy.head))

    strategy.setup = remember
    result = trainer.fit(model, TASK)

    plain, head = first["model"], first["head"]
    (batch,) = TASK.batches("train")
    optimizer = torch.optim.Adam([*plain.parameters(), *head.parameters()], lr=0.05, weight_decay=0.01)

    def outputs(phase):
        return head(plain.layer_states(batch)[2]) if phase == "local" else plain(batch)

    scores = {"local": [], "global": []}
    for phase, epochs in (("local", 6), ("global", 9)):
        best = -1.0
        for _ in range(epochs):
            optimizer.zero_grad()
            TASK.loss(outputs(phase), batch, "train").backward()
            optimizer.step()
            metric = TASK.fresh_metric()
            with torch.no_grad():
                metric.update(*TASK.judged(lambda *_, phase=phase, **__: outputs(phase), batch, "val"))
            scores[phase].append(metric.compute())
            if scores[phase][-1] > best:
                best = scores[phase][-1]
                state = copy.deepcopy((plain.state_dict(), head.state_dict(), optimizer.state_dict()))
        plain.load_state_dict(state[0])
        head.load_state_dict(state[1])
        optimizer.load_state_dict(state[2])
    found = {phase: [] for phase in scores}
    for row in result.history:
        found[row["phase"]].append(row[f"val_{TASK.metric}"])
    assert found == scores
    for name, weight in plain.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), weight, rtol=1e-4, atol=1e-6, msg=name)


def test_a_run_goes_on_in_either_phase(tmp_path):
    def trainer(epochs, folder=None):
        return gk.Trainer(max_epochs=epochs, strategy=LocalToGlobal(local_epochs=3), run_dir=folder, progress=False)

    whole = trainer(8).fit(_model(), TASK)
    trainer(5, tmp_path / "run").fit(_model(), TASK)
    resumed = trainer(8, tmp_path / "run").fit(_model(), TASK, resume=True)
    assert resumed.history == whole.history


def test_more_layers_than_there_are_are_refused():
    with pytest.raises(ValueError, match="LocalToGlobal: local_layers=3, but GCN has 2 layers; use that or fewer"):
        gk.Trainer(max_epochs=1, strategy=LocalToGlobal(3)).fit(GCN.from_task(TASK), TASK)


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_is_that_of_all_pairs_of_a_graph(heads):
    generator = torch.Generator().manual_seed(0)
    key, value = torch.rand(2, 9, 6, generator=generator, dtype=torch.float64)
    batch = torch.tensor([2, 0, 0, 2, 1, 0, 2, 2, 0])  # in no order
    key.requires_grad_()
    out = global_attention(key, value, heads, batch)
    expected = torch.empty_like(value)
    for head in range(heads):
        k, v = key[:, head::heads], value[:, head::heads]  # heads are interleaved
        weights = (k @ k.t()) * (batch.unsqueeze(1) == batch)
        expected[:, head::heads] = (weights / weights.sum(1, keepdim=True)) @ v
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    grads = [torch.autograd.grad(each.square().sum(), key, retain_graph=True)[0] for each in (out, expected)]
    torch.testing.assert_close(*grads, rtol=1e-12, atol=1e-12)


def test_a_graph_alone_has_the_outputs_that_it_has_beside_others():
    torch.manual_seed(0)
    model = Polynormer(5, 8, 2, 2, 3, heads=2).double().eval()
    graphs = [random_graph(n, 3 * n, seed=n) for n in (5, 20, 1)]
    together = model(Batch.from_data_list(graphs))
    torch.testing.assert_close(together, torch.cat([model(graph) for graph in graphs]), rtol=1e-12, atol=1e-12)
