"""Modules and settings that users bring from other libraries do no silent harm."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import SAGEConv, global_add_pool
from torch_geometric.transforms import BaseTransform

import graphkit as gk
from tests import tiny
from tests.training.runs import fit

TASK = tiny.task("node multiclass")


class Linear(nn.Module):
    """Any model of rows, with something done before or after its one layer."""

    def __init__(self, task, before=None, after=None):
        super().__init__()
        self.lin = nn.Linear(task.num_features, task.num_outputs or 1)
        self.before, self.after = before, after
        self.ranks = task.kind == "ranking"  # by an embedding per node

    def forward(self, batch):
        if self.before is not None:
            self.before(batch)
        x = batch.x
        if self.ranks:
            pass
        elif "edge_label_index" in batch:
            x = x[batch.edge_label_index].prod(0)
        elif batch.y.size(0) < x.size(0):
            x = global_add_pool(x, batch.batch)
        out = self.lin(x)
        return out if self.after is None else self.after(out)


def halve(batch):
    batch.x, batch.halved = batch.x / 2, True


@pytest.mark.parametrize("kind", tiny.TASKS)
def test_what_a_model_sets_in_a_batch_is_gone_after_its_use(kind):
    task = tiny.task(kind)
    halved = task.transform(Halved())
    left, _ = fit(Linear(task, before=halve), task)
    expected, _ = fit(Linear(halved), halved)
    assert left.history == expected.history
    assert left.test == expected.test


class Halved(BaseTransform):
    def forward(self, data):
        data.x = data.x / 2
        return data


@pytest.mark.parametrize("kind", ["node multiclass", "link", "graph regression"])
def test_writing_into_the_data_is_refused(kind):
    task = tiny.task(kind)
    with pytest.raises(ValueError, match=r"has written into x of the task's data in place .* make a new tensor of it"):
        fit(Linear(task, before=lambda batch: batch.x.mul_(0.5)), task)


class ReadsLabels(nn.Module):
    def __init__(self, task):
        super().__init__()
        self.lin = nn.Linear(3, 3)

    def forward(self, batch):
        return self.lin(10 * F.one_hot(batch.y + 1, 4)[:, 1:].float())


@pytest.mark.parametrize("kind", ["node multiclass", "node sampled multiclass", "graph multiclass"])
def test_no_model_sees_the_labels_of_a_test(kind):
    task = tiny.task(kind)
    trainer = gk.Trainer(max_epochs=20, lr=0.1, progress=False)
    result = trainer.fit(ReadsLabels(task), task)
    prediction, label = trainer.predict(task)
    assert result.val == 1  # which the model was shown
    assert (prediction == prediction[0]).all()
    assert label.unique().numel() == 3
    assert result.test == pytest.approx(float((prediction.argmax(1) == label).float().mean()))


@pytest.mark.parametrize(
    ("kind", "end", "warns"),
    [
        ("node multiclass", lambda out: out.softmax(1), "softmax"),
        ("graph multiclass", lambda out: out.softmax(1), "softmax"),
        ("node binary", lambda out: out.sigmoid().view(-1, 1), "sigmoid"),
        ("graph multilabel", torch.sigmoid, "sigmoid"),
        ("link", torch.sigmoid, "sigmoid"),
        ("node multiclass", lambda out: out.log_softmax(1), None),  # which a softmax leaves as it is
        ("node regression", torch.sigmoid, None),
        ("node multiclass", lambda out: out.sigmoid() * 2, None),
    ],
)
def test_models_that_return_probabilities_are_told_of_once(kind, end, warns, recwarn):
    task = tiny.task(kind)
    fit(Linear(task, after=end), task, max_epochs=2)
    told = [str(warning.message) for warning in recwarn if "the model ends in a" in str(warning.message)]
    assert len(told) == (warns is not None)
    assert all(f"ends in a {warns}, but loss and metric expect raw outputs (logits)" in text for text in told)


@pytest.mark.parametrize("loss", [nn.NLLLoss(), F.nll_loss])
def test_a_loss_of_log_probabilities(loss, recwarn):
    task = gk.NodeTask("t", TASK.data, TASK.split, loss=loss)
    right, _ = fit(Linear(task, after=lambda out: out.log_softmax(1)), task)
    assert right.history == fit(Linear(TASK), TASK)[0].history
    assert not recwarn.list
    with pytest.warns(
        UserWarning, match="(?i)nll_?loss expects log-probabilities, but the model does not end in a log_"
    ):
        fit(Linear(task), task)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (gk.models.GCN, TypeError, r"fit: model=<class .*GCN'>, must be an instance of torch\.nn\.Module"),
        (Linear(TASK, after=torch.detach), ValueError, r"the loss does not depend on any trainable weight"),
        (Linear(TASK, after=lambda out: out[:, 0]), ValueError, r"of shape \[24, 3\], the model returned \[24\]; set"),
    ],
)
def test_models_that_cannot_be_trained(model, error, message):
    with pytest.raises(error, match=message):
        fit(model)


def test_a_column_of_outputs_without_its_axis():
    task = tiny.task("node regression")
    with pytest.raises(ValueError, match=r"the model returned \[24\]; return out\.unsqueeze\(-1\)"):
        fit(Linear(task, after=lambda out: out[:, 0]), task)


@pytest.mark.parametrize(("monitor", "mode", "other"), [("metric", "max", "min"), ("loss", "min", "max")])
def test_a_plateau_is_one_of_the_monitored_score(monitor, mode, other):
    def rates(**settings):
        arguments = {"patience": 0, "factor": 0.5} | settings
        plateau = {"scheduler": "ReduceLROnPlateau", "scheduler_kwargs": arguments}
        return [row["lr"] for row in fit(max_epochs=12, lr=0.05, monitor=monitor, **plateau)[0].history]

    assert rates() == rates(mode=mode)
    with pytest.raises(ValueError, match=f"scheduler_kwargs has mode='{other}', but the monitored score is better if"):
        rates(mode=other)


def test_optimizers_that_evaluate_the_loss_themselves_are_refused():
    with pytest.raises(ValueError, match="optimizer='LBFGS' evaluates the loss several times in a step"):
        gk.Trainer(optimizer="LBFGS")


@pytest.mark.parametrize("strategy", ["Backprop", "SingleForward", "ForwardForward", "LayerCollaborationFF"])
@pytest.mark.parametrize("kind", ["node multiclass", "graph multiclass", "link"])
def test_what_was_trained_can_be_pickled(kind, strategy):
    if (kind, strategy) == ("graph multiclass", "SingleForward"):
        pytest.skip("SingleForward judges no graphs")
    task = tiny.task(kind)
    trainer = gk.Trainer(max_epochs=2, progress=False, strategy=strategy)
    trainer.fit(gk.models.GCN.from_task(task, hidden_channels=8), task)
    expected = trainer.predict(task)[0]
    again, same_task = pickle.loads(pickle.dumps((trainer, task)))
    assert torch.equal(again.predict(same_task)[0], expected)


def test_a_transform_that_leaves_nodes_out_of_a_task():
    class First(BaseTransform):
        def forward(self, data):
            return data.subgraph(torch.arange(20))

    data = TASK.data
    few = gk.Split("few", torch.arange(6), torch.arange(6, 9), torch.arange(9, 12))
    with pytest.raises(ValueError, match="a transform left 20 of 24 nodes, so the ids of the split name others"):
        gk.NodeTask("t", copy.copy(data), few).transform(First())


def test_a_column_of_classes():
    data = copy.copy(TASK.data)
    data.y = data.y.unsqueeze(1)
    assert torch.equal(gk.NodeTask("t", Data(**data.to_dict()), TASK.split).labels, TASK.labels)


def test_a_home_directory_in_run_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    _, model = fit(run_dir="~/run", max_epochs=1)
    gk.load_weights(model, tmp_path / "run")
    gk.load_weights(model, tmp_path / "run" / "model.safetensors")


def test_a_compiled_model_is_trained_as_the_model():
    model = Linear(TASK)
    assert fit(torch.compile(copy.deepcopy(model), backend="eager"))[0].history == fit(model)[0].history


def test_modules_of_torch_take_features():
    expected = fit(Linear(TASK), TASK)[0].history
    assert fit(nn.Sequential(nn.Linear(TASK.num_features, 3)), TASK)[0].history == expected


@pytest.mark.parametrize("kind", ["node multiclass", "graph multiclass", "link"])
@pytest.mark.parametrize("train", [True, False])
def test_dropout_in_evaluation_is_told_of(kind, train, recwarn):
    class Drops(Linear):
        def forward(self, batch):
            batch.x = F.dropout(batch.x, 0.7, training=train or self.training)
            return super().forward(batch)

    task = tiny.task(kind)
    fit(Drops(task), task)
    told = [str(w.message) for w in recwarn if "predictions are not reproducible" in str(w.message)]
    assert len(told) == train


def test_features_that_should_be_trained_are_refused():
    data = copy.copy(TASK.data)
    for x in (nn.Parameter(data.x), data.x * torch.ones(6, requires_grad=True)):
        data.x = x
        with pytest.raises(
            ValueError, match=r"task 't': x requires a gradient, but no optimizer has it; use x\.detach"
        ):
            gk.NodeTask("t", data, TASK.split)


@pytest.mark.parametrize("name", ["root_index", "pair_weight", "chunk_size"])
def test_attributes_with_names_of_batches_are_refused(name):
    trainer, link = gk.Trainer(max_epochs=1, progress=False), tiny.task("link")
    trainer.fit(gk.models.GCN.from_task(TASK, hidden_channels=4), TASK)
    data = copy.copy(TASK.data)
    data[name] = torch.arange(3)
    for call in (
        lambda: gk.NodeTask("t", data, TASK.split),
        lambda: gk.LinkTask("t", data, link.split),
        lambda: trainer.predict(data),
    ):
        with pytest.raises(ValueError, match=f"data.{name} has a name by which samplers tell what is judged"):
            call()


def test_a_seed_of_numpy():
    assert fit(seed=np.int64(3))[0].history == fit(seed=3)[0].history


@pytest.mark.parametrize("kind", ["node multiclass", "link"])
def test_a_graph_that_gets_other_attributes_later_changes_no_task(kind):
    given = tiny.task(kind)
    data = copy.copy(given._data if kind == "link" else given.data)
    task = type(given)("t", data, given.split)
    data.x = torch.zeros(data.num_nodes, 2)
    assert task.num_features == 6
    assert all(torch.equal(one.x, other.x) for one, other in zip(task.graphs, given.graphs, strict=True))


class _Hiding(nn.Module):
    """A layer that torch knows, and others in a container that it does not look into."""

    def __init__(self, hide):
        super().__init__()
        self.last = nn.Linear(6, 3)
        self.others = hide([nn.Linear(6, 6), nn.Linear(6, 6)])

    def forward(self, x):
        for layer in self.others:
            x = layer(x).relu()
        return self.last(x)

    def reset_parameters(self):
        self.last.reset_parameters()


@pytest.mark.parametrize("hide", [list, tuple])
def test_layers_in_a_plain_list_are_warned_about(hide):
    with pytest.warns(UserWarning, match=f"_Hiding.others holds a Linear in a plain {hide.__name__}.*ModuleList"):
        fit(_Hiding(hide), max_epochs=1)


def test_layers_in_a_list_of_torch_are_not(recwarn):
    model = _Hiding(nn.ModuleList)
    model.again = list(model.others)  # known by another name
    model.activations = [nn.ELU(), None]  # without weights
    fit(model, max_epochs=1)
    assert not [str(warning.message) for warning in recwarn if "plain" in str(warning.message)]


def test_weights_made_while_training_are_refused_by_name():
    class Late(_Hiding):
        def forward(self, x):
            self.late = nn.Linear(6, 6)
            return self.last(self.late(x))

    with pytest.raises(ValueError, match=r"has made module.late.weight while it trained.*in the constructor"):
        fit(Late(nn.ModuleList), max_epochs=1)


def test_a_batch_norm_of_one_row_says_what_to_do():
    graphs = [Data(x=torch.randn(1, 6), edge_index=torch.empty(2, 0, dtype=torch.long), y=i % 2) for i in range(8)]
    task = gk.GraphTask("single nodes", graphs, tiny.split(8))
    model = gk.models.GCN.from_task(task, hidden_channels=4, norm="batch_norm")
    with pytest.raises(ValueError, match="batch norm cannot be trained on a batch of one row; use a larger batch_size"):
        gk.Trainer(max_epochs=1, batch_size=1, progress=False).fit(model, task)


def test_a_run_is_not_resumed_with_other_weights_frozen(tmp_path):
    settings = {"max_epochs": 1, "run_dir": tmp_path / "run", "progress": False}
    model = gk.models.GCN.from_task(TASK, hidden_channels=4)
    gk.Trainer(**settings).fit(model, TASK)
    model.layers[0].requires_grad_(False)
    with pytest.raises(ValueError, match=r"frozen=None, but this run has frozen=\['layers.0.bias', 'layers.0.lin"):
        gk.Trainer(**settings).fit(model, TASK, resume=True)


def test_a_module_that_does_not_say_what_it_takes_is_refused():
    with pytest.raises(
        TypeError, match=r"DataParallel.forward does not say what it takes of a batch; give what is inside"
    ):
        fit(nn.DataParallel(nn.Linear(6, 3)), max_epochs=1)


def test_a_first_layer_of_another_library_gets_dense_features():
    class Foreign(gk.models.GCN):
        def make_layer(self, in_channels, out_channels):
            return SAGEConv(in_channels, out_channels)

        def propagate(self, layer, h, batch):
            return layer(h, batch.edge_index)

    data = Data(torch.eye(300, 400), torch.tensor([[0, 1], [1, 2]]), y=torch.arange(300) % 2)
    task = gk.NodeTask("words", data, gk.Split.random(300))
    assert isinstance(gk.models.GCN.from_task(task).required_transform(), gk.transforms.SparseFeatures)
    trainer = gk.Trainer(max_epochs=1, progress=False)
    assert trainer.fit(Foreign.from_task(task, hidden_channels=4), task).epochs == 1
