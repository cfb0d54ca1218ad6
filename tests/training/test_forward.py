"""Layer-wise strategies: nothing crosses layers, finished ones rest, resuming is exact, labels stay hidden."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GATConv, GINConv

import graphkit as gk
from graphkit.models import GCN, GRAND, MLP
from graphkit.training.engine import Engine
from graphkit.training.strategies import (
    DirectFeedbackAlignment,
    ForwardForward,
    ScalableFF,
    SingleForward,
    TargetProjection,
    TopDownForward,
)
from graphkit.training.strategies.inputs import Blocks, CachedProduct, Chain, Variants, normalize_rows
from tests import tiny
from tests.training.forward import GRAPH, GREEDY, KINDS, LINK, NODE, PlainGCN, fit, model_for


class _GIN(tiny.PyGStack):
    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return GINConv(
            nn.Sequential(nn.Linear(in_channels, out_channels), nn.ReLU(), nn.Linear(out_channels, out_channels))
        )


class _GAT(tiny.PyGStack):
    def make_layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return GATConv(in_channels, out_channels // 2, heads=2)


def cases():
    return [(name, kind) for kind, names in (("node", NODE), ("graph", GRAPH), ("link", LINK)) for name in names]


# --- what makes it local ----------------------------------------------------------------------------------------------


def leaves(out: Tensor) -> set[int]:
    """The ids of all tensors that a backward pass from ``out`` would reach."""
    found, seen, stack = set(), set(), [out.grad_fn]
    while stack:
        function = stack.pop()
        if function is None or function in seen:
            continue
        seen.add(function)
        if hasattr(function, "variable"):
            found.add(id(function.variable))
        stack.extend(parent for parent, _ in function.next_functions)
    return found


@pytest.mark.parametrize("cls", [GCN, tiny.SAGEStack])
@pytest.mark.parametrize(("name", "kind"), cases())
def test_no_graph_spans_two_layers(name, kind, cls, monkeypatch):
    strategy = NODE[name]()
    reached = []
    optimize = Engine.optimize

    def spy(self, loss, optimizer):
        found = leaves(loss)
        owners = {i for i, own in enumerate(strategy.parameters_by_layer) if any(id(p) in found for p in own.values())}
        reached.append(owners)
        optimize(self, loss, optimizer)

    monkeypatch.setattr(Engine, "optimize", spy)
    task = tiny.task(KINDS[kind])
    fit(strategy, task, model_for(task, cls), max_epochs=2)
    if name == "linear heads":  # blocks of two layers
        assert {frozenset(owners) for owners in reached} == {frozenset({0, 1}), frozenset({2})}
        return
    assert all(len(owners) <= 1 for owners in reached)
    assert set().union(*reached) == {0, 1, 2}


@pytest.mark.parametrize(("name", "kind"), [*((name, "node") for name in GREEDY), ("SF", "link"), ("FF-LA", "link")])
def test_finished_layers_stay_as_they_are(name, kind):
    task = tiny.task(KINDS[kind])
    strategy = NODE[name]()
    snapshots = []
    make = strategy.optimizers

    def remember(phase, factory):
        snapshots.append(copy.deepcopy(strategy.model.state_dict()))
        return make(phase, factory)

    strategy.optimizers = remember
    model = model_for(task, norm="layer_norm", dropout=0.3)
    fit(strategy, task, model, weight_decay=0.1, max_epochs=4)
    final = model.state_dict()
    assert len(snapshots) == 3
    for i, before in enumerate(snapshots):  # at the beginning of phase i, layers below i are finished
        for key, value in before.items():
            layer = int(key.split(".")[1]) if key.startswith(("layers.", "norms.")) else None
            if layer is not None and layer < i:
                assert torch.equal(value, final[key]), key
    assert any(not torch.equal(snapshots[0][key], final[key]) for key in final)


def test_running_statistics_of_finished_layers_rest_too():
    task = tiny.task("node multiclass")
    model = model_for(task, norm="batch_norm")
    result, _ = fit(SingleForward(), task, model, max_epochs=3)
    assert result.epochs == 9
    counts = [int(norm.num_batches_tracked) for norm in model.norms]
    assert all(count <= 3 for count in counts)  # a layer's statistics move in its own phase only


def test_shared_weights_are_refused_and_a_single_layer_is_not():
    task = tiny.task("node multiclass")
    with pytest.raises(ValueError, match=r"trains layers apart, but layers 1 and 2 of GRAND share 'layers\.0\."):
        fit(SingleForward(), task, GRAND.from_task(task, hidden_channels=4, num_layers=2))
    fit(SingleForward(), task, GRAND.from_task(task, hidden_channels=4), max_epochs=2)


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [tiny.SAGEStack, _GAT, _GIN, MLP])
@pytest.mark.parametrize(("name", "kind"), cases())
def test_any_layers_train(name, kind, cls):
    task = tiny.task(KINDS[kind])
    result, _ = fit(NODE[name](), task, model_for(task, cls, num_layers=2), max_epochs=8, lr=0.02)
    first, *_, last = result.history[:8]
    key = "train_loss_layer_1" if "train_loss_layer_1" in first else "train_loss"  # the output's may rise
    assert last[key] < first[key]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", list(NODE))
def test_what_is_kept_changes_nothing(name, sparse):
    """A GCN that aggregates once per layer and rows that count, against one that runs whole layers again and again."""
    task = tiny.task("node multiclass")
    if sparse:
        data = task.data.clone()
        data.x = nn.functional.one_hot(torch.arange(24) % 5, 200).float() + nn.functional.one_hot(torch.arange(24), 200)
        task = gk.NodeTask("sparse", data, task.split)
        assert gk.transforms.SparseFeatures()(data).x.is_sparse_csr
    runs = [fit(NODE[name](), task, model_for(task, cls), precision="64-true", max_epochs=6) for cls in (GCN, PlainGCN)]
    (fast, one), (plain, two) = runs
    for row, other in zip(fast.history, plain.history, strict=True):
        assert row["phase"] == other["phase"]
        for key in row.keys() - {"phase"}:
            assert row[key] == pytest.approx(other[key], rel=1e-8), key
    assert fast.test == plain.test
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_dropout_and_batch_norm_work_with_everything():
    task = tiny.task("node multiclass")
    for make in NODE.values():
        result, _ = fit(make(), task, model_for(task, norm="batch_norm", dropout=0.4), max_epochs=2)
        assert 0 <= result.test <= 1


def test_fitting_again_gives_the_same_run():
    task = tiny.task("node multiclass")
    model = model_for(task)
    first, _ = fit(ForwardForward(), task, model)
    again, _ = fit(ForwardForward(), task, model)  # its layers have been widened meanwhile
    assert first.history == again.history
    narrow, _ = fit(SingleForward(), task, model)
    assert model.layers[0].in_channels == task.num_features
    assert narrow.history == fit(SingleForward(), task)[0].history


def test_lazy_layers_are_widened_too():
    task = tiny.task("node multiclass")
    model = GCN(-1, 8, 2, 3, readout="nodes")
    fit(ForwardForward(), task, model)
    assert model.layers[0].lin.weight.shape == (8, task.num_features + 3)


# --- labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(NODE))
def test_predictions_never_see_the_labels_they_are_judged_by(name):
    task = tiny.task("node multiclass")
    strategy = NODE[name]()
    fit(strategy, task, max_epochs=3)
    for stage in ("val", "test"):
        batch = next(iter(task.batches(stage)))
        ids = batch[f"{stage}_index"]
        other = copy.copy(batch)
        other.y = batch.y.clone()
        other.y[ids] = (other.y[ids] + 1) % 3
        assert torch.equal(strategy.predict(batch, None, stage)[ids], strategy.predict(other, None, stage)[ids])


def test_validation_labels_are_shown_at_test_time_only_when_asked():
    task = tiny.task("node multiclass")
    batch = next(iter(task.batches("test")))
    changed = copy.copy(batch)
    changed.y = batch.y.clone()
    changed.y[batch.val_index] = (batch.y[batch.val_index] + 1) % 3
    for reveal in (False, True):
        strategy = ForwardForward(reveal_validation=reveal)
        fit(strategy, task)
        one, two = (strategy.predict(b, None, "test")[batch.test_index] for b in (batch, changed))
        assert torch.equal(one, two) != reveal


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), cases())
def test_resuming_is_exact(name, kind, tmp_path):
    task = tiny.task(KINDS[kind])

    def run(interrupt_at: int | None, resume: bool = False, folder=None):
        strategy = NODE[name]()
        step, calls = strategy.train_step, 0

        def count(batch, phase):
            nonlocal calls
            calls += 1
            if calls == interrupt_at:
                raise KeyboardInterrupt
            return step(batch, phase)

        strategy.train_step = count
        model = model_for(task, dropout=0.2)
        trainer = gk.Trainer(
            4, lr=0.05, strategy=strategy, run_dir=folder, checkpoint_seconds=0.0, progress=False, seed=3, batch_size=6
        ) if kind == "graph" else gk.Trainer(
            4, lr=0.05, strategy=strategy, run_dir=folder, checkpoint_seconds=0.0, progress=False, seed=3
        )  # fmt: skip
        result = trainer.fit(model, task, resume=resume)
        return result, model.state_dict()

    whole, weights = run(None)
    steps = whole.epochs * (2 if kind == "graph" else 1)
    for number, at in enumerate((3, steps - 1)):
        folder = tmp_path / str(number)
        with pytest.raises(KeyboardInterrupt):
            run(at, folder=folder)
        resumed, again = run(None, resume=True, folder=folder)
        assert resumed.history == whole.history
        assert (resumed.test, resumed.val) == (whole.test, whole.val)
        assert all(torch.equal(value, again[key]) for key, value in weights.items())


def test_greedy_results_by_depth_are_those_of_shallower_networks():
    task = tiny.task("node multiclass")
    deep, _ = fit(SingleForward(), task, model_for(task, num_layers=3), max_epochs=6)
    shallow, _ = fit(SingleForward(), task, model_for(task, num_layers=2), max_epochs=6)
    assert [row["phase"] for row in deep.phases] == ["layer 1", "layer 2", "layer 3"]
    assert deep.phases[-1]["test"] == deep.test
    assert len(shallow.phases) == 2
    best = max(deep.history[6:12], key=lambda row: row["val_accuracy"])
    assert deep.phases[1]["val"] == best["val_accuracy"]
    assert deep.phases[1]["best_epoch"] == best["epoch"]


def test_validation_every_so_many_epochs():
    result, _ = fit(SingleForward(), max_epochs=7, validate_every=3)
    validated = [row["val_accuracy"] is not None for row in result.history[:7]]
    assert validated == [False, False, True, False, False, True, False]
    assert all(row["best_epoch"] in (3, 6) for row in result.phases)
    stopped, _ = fit(SingleForward(), max_epochs=200, validate_every=2, patience=4, lr=1e-9)
    assert [row["epochs"] for row in stopped.phases] == [6, 6, 6]  # the first validation is the best, two more are not
    with pytest.raises(ValueError, match="validate_every=9 leaves max_epochs=5 without a validation"):
        fit(SingleForward(), validate_every=9)


def test_pictures_show_phases_and_layers(tmp_path):
    greedy, _ = fit(SingleForward(), validate_every=2)
    figure = greedy.plot(tmp_path / "greedy.png")
    assert sum(line.get_color() == "0.7" for line in figure.axes[0].lines) == 2
    sweep, _ = fit(TopDownForward())
    labels = [line.get_label() for line in sweep.plot().axes[0].lines]
    assert {"layer 1", "layer 2", "layer 3"} <= set(labels)


def test_learning_a_separable_task():
    """Two communities whose features tell them apart: every strategy must find them."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 2
    x = torch.randn(60, 8, generator=generator) + 2.0 * nn.functional.one_hot(y, 8)
    same = (y[:, None] == y[None, :]) & (torch.rand(60, 60, generator=generator) < 0.15)
    task = gk.NodeTask("two", Data(x=x, edge_index=same.nonzero().t().contiguous(), y=y), tiny.split(60))
    for name, make in NODE.items():
        result, _ = fit(make(), task, GCN.from_task(task, hidden_channels=16, readout="nodes"), max_epochs=60)
        floor = 0.6 if "VN" in name or "virtual" in name else 0.85  # virtual nodes confuse GCN in the paper, too
        assert result.test >= floor, (name, result.test)


# --- parts ------------------------------------------------------------------------------------------------------------


def test_factored_inputs_are_their_dense_products():
    generator = torch.Generator().manual_seed(1)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    left = gk.ops.SparseMatrix.from_tensor((random(4, 6) * (random(4, 6) > 0)).to_sparse_csr())
    right = gk.ops.SparseMatrix.from_tensor((random(6, 5) * (random(6, 5) > 0)).to_sparse_csr())
    w, more = random(5, 3), random(2, 3)
    torch.testing.assert_close(Chain(left, right) @ w, left.to_dense() @ right.to_dense() @ w)
    a, b, c = random(4, 5), random(3, 4, 2), random(2, 5)
    torch.testing.assert_close(Variants(a, b, c) @ w, (a + b @ c) @ w)
    blocks = Blocks([a, CachedProduct(b[0])], [5, 2])
    expected = torch.cat([a, b[0]], 1) @ torch.cat([w, more])
    torch.testing.assert_close(blocks @ torch.cat([w, more]), expected)
    torch.testing.assert_close(Blocks([a, None], [5, 2]) @ torch.cat([w, more]), a @ w)
    ids = torch.tensor([3, 0, 3])
    torch.testing.assert_close(left.select_rows(ids).to_dense(), left.to_dense()[ids])
    torch.testing.assert_close(normalize_rows(left).to_dense(), normalize_rows(left.to_dense()))


def test_a_remembered_product_follows_its_weights():
    block, w = CachedProduct(torch.eye(2)), torch.ones(2, 2)
    with torch.no_grad():
        assert torch.equal(block @ w, w)
        assert (block @ w) is (block @ w)
        w.mul_(3)
        assert torch.equal(block @ w, torch.full((2, 2), 3.0))


def test_splits_are_those_that_scikit_learn_draws():
    selection = pytest.importorskip("sklearn.model_selection")
    import numpy as np
    from torch_geometric.data import Data

    from graphkit.datasets import card
    from graphkit.datasets.splits import Request, choose, forwardgnn

    found = card("cora-ml")
    for n in (50, 53):
        folds = list(selection.KFold(5, shuffle=True, random_state=101).split(np.arange(n)))
        for index, (rest, test) in enumerate(folds):
            train, val = selection.train_test_split(rest, test_size=0.2, random_state=127 * index, shuffle=True)
            family, _ = choose(found, f"forwardgnn/{index}")
            made = forwardgnn(Request(found, family, index, [Data(y=torch.zeros(n))], []))
            for ids, expected in zip(made, (train, val, test), strict=True):
                assert ids.tolist() == sorted(expected.tolist())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SingleForward(temperature=0), "temperature=0, must be positive"),
        (lambda: SingleForward(append_label="inputs"), "did you mean 'input'"),
        (lambda: ForwardForward(num_negatives=0), "num_negatives=0, must be at least 1"),
        (lambda: TopDownForward(counted_steps=[]), r"counted_steps=\[\], must be some of 0\.\.9"),
        (lambda: TopDownForward(append_label="all"), "TopDownForward: append_label='all', choose from"),
        (lambda: ScalableFF(layers_per_block=0), "layers_per_block=0, must be at least 1"),
        (lambda: TargetProjection("l3"), "TargetProjection: rule='l3', choose from: l2"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_widths_must_agree_for_averages():
    task = tiny.task("node multiclass")
    with pytest.raises(ValueError, match=r"their widths are \[8, 3\]; use equal ones"):
        fit(TopDownForward("loss"), task, GCN.from_task(task, hidden_channels=8))


def test_errors_spread_over_one_graph_by_a_constant_matrix():
    task = tiny.task("graph multiclass")
    with pytest.raises(ValueError, match=r"spread=True\) is about errors of nodes, but 'tiny graph multiclass'"):
        fit(DirectFeedbackAlignment(spread=True), task)
    task = tiny.task("node multiclass")
    with pytest.raises(TypeError, match="do not do so with a constant matrix; use a GCN without batch norm"):
        fit(DirectFeedbackAlignment(spread=True), task, model_for(task, norm="batch_norm"))


def test_a_part_of_a_sweep_predicts_nothing():
    task = tiny.task("node multiclass")
    for name in ("top to input", "collaboration", "tpSGD"):
        strategy = NODE[name]()
        fit(strategy, task, max_epochs=1)
        with pytest.raises(ValueError, match="part of"):
            strategy.predict(next(iter(task.batches("val"))), 1)


@pytest.mark.parametrize("name", ["LayerCollaborationFF", "TopDownForward"])
def test_what_trains_all_layers_together_predicts_with_all(name):
    task = tiny.task("node multiclass")
    trainer = gk.Trainer(max_epochs=1, strategy=name, progress=False)
    trainer.fit(gk.models.GCN.from_task(task, hidden_channels=8, readout="nodes"), task)
    with pytest.raises(ValueError, match=f"{name} trains all layers together and cannot predict from a part of them"):
        trainer.strategy.predict(task.batches("val")[0], upto_layer=1)
