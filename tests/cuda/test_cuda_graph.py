"""``Trainer(cuda_graph=True)``: a recorded step trains as the step itself, or is refused by name."""

import copy
import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import graphkit as gk
from graphkit.models import GCN
from tests import tiny
from tests.common.test_cross_product import MODELS, STRATEGIES
from tests.cuda.test_training import assert_same_history
from tests.training.memory import InTurn

# Their steps wait for the device: to hear whether a search is over, and PyG's masks.
WAITING = ["EnergyGNN", "PyG GCN"]


def _train(model, task, cuda_graph, **settings):
    settings = {"max_epochs": 6, "progress": False, "accelerator": "cuda"} | settings
    return gk.Trainer(cuda_graph=cuda_graph, **settings).fit(copy.deepcopy(model), task)


def _compare(name, model, task, **settings):
    try:
        expected = _train(model, task, False, **settings)
    except (TypeError, ValueError) as error:
        pytest.skip(f"does not train this task: {error}")
    if name in WAITING:
        with pytest.raises(RuntimeError, match=r"cuda_graph=True cannot record the step of .* the host waits"):
            _train(model, task, True, **settings)
        return
    assert_same_history(_train(model, task, True, **settings).history, expected.history)


@pytest.mark.parametrize("name", MODELS)
def test_models(name, device):
    task = tiny.task("node multiclass")
    torch.manual_seed(0)
    try:
        model = MODELS[name](task)
    except (TypeError, ValueError) as error:
        pytest.skip(f"not for nodes: {error}")
    _compare(name, model, task, optimizer="SGD", lr=0.1)  # Adam makes large steps of rounding where gradients are 0


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "TopDownForward"])
def test_strategies(name, device):
    task = tiny.task("node multiclass")
    _compare(name, GCN.from_task(task, hidden_channels=8), task, strategy=STRATEGIES[name]())


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "NAdam"])
def test_rates_are_read_on_the_device(optimizer, device):
    task = tiny.task("node multiclass")
    settings = {"optimizer": optimizer, "scheduler": "StepLR", "scheduler_kwargs": {"step_size": 2, "gamma": 0.3}}
    model = GCN.from_task(task, hidden_channels=8, dropout=0.0)
    expected = _train(model, task, False, **settings)
    assert_same_history(_train(model, task, True, **settings).history, expected.history)


def test_dropout_is_drawn_anew(device):
    task = tiny.task("node multiclass")
    history = _train(GCN.from_task(task, hidden_channels=8, dropout=0.5), task, True, lr=1e-9, max_epochs=9).history
    assert len({row["train_loss"] for row in history}) == 9


def test_a_run_goes_on(device, tmp_path):
    task = tiny.task("node multiclass")
    model = GCN.from_task(task, hidden_channels=8)
    expected = _train(model, task, True, max_epochs=9, scheduler="StepLR", scheduler_kwargs={"step_size": 3})
    settings = {"scheduler": "StepLR", "scheduler_kwargs": {"step_size": 3}, "run_dir": tmp_path}
    settings |= {"accelerator": "cuda", "cuda_graph": True, "progress": False, "checkpoint_seconds": 0}
    gk.Trainer(max_epochs=5, **settings).fit(copy.deepcopy(model), task)
    actual = gk.Trainer(max_epochs=9, **settings).fit(copy.deepcopy(model), task, resume=True)
    assert_same_history(actual.history, expected.history)


class Counted(InTurn):
    """Phases that take turns, whose steps in Python are counted."""

    def train_step(self, batch, phase):
        self.steps = [*getattr(self, "steps", []), phase.name]
        return super().train_step(batch, phase)


def test_turns_have_a_recording_each(device):
    task, strategy = tiny.task("node multiclass"), Counted()
    model = GCN.from_task(task, hidden_channels=8)
    settings = {"max_epochs": 20, "scheduler": "ExponentialLR", "scheduler_kwargs": {"gamma": 0.9}}
    expected = _train(model, task, False, strategy=InTurn(), **settings)
    assert_same_history(_train(model, task, True, strategy=strategy, **settings).history, expected.history)
    assert strategy.steps.count("first") == strategy.steps.count("second") == 4  # of 14 and 6


class Own(nn.Module):
    """A model whose forward does something besides."""

    def __init__(self, task, besides):
        super().__init__()
        self.lin, self.besides = nn.Linear(task.num_features, task.num_outputs), besides
        self.register_buffer("seen", torch.zeros(()))

    def reset_parameters(self):
        self.lin.reset_parameters()

    def forward(self, x, edge_index):
        return self.besides(self, self.lin(x))


def _replaces(model, h):
    if model.training:
        model.seen = model.seen + 1
    return h * (1 + model.seen)


class EveryEpoch(nn.Dropout):
    def on_epoch_start(self, epoch):
        self.p = 1 / (1 + epoch)


@pytest.mark.parametrize(
    ("besides", "message"),
    [
        (_replaces, r"replaces .*seen.* which the next would read"),
        (lambda model, h: h * random.random(), "draws from generators of Python or NumPy"),
        (lambda model, h: h * torch.rand(h.shape[0], 1).to(h), "cannot record the step of PyGModel by Backprop"),
        (lambda model, h: h * float(h.detach().abs().max()), "the host waits for the device"),
        (EveryEpoch(), "EveryEpoch changes with the epoch"),
    ],
)
def test_what_a_replay_would_not_do_is_refused(besides, message, device):
    task = tiny.task("node multiclass")
    besides = (lambda model, h, call=besides: call(h)) if isinstance(besides, nn.Module) else besides
    model = Own(task, besides)
    if "EveryEpoch" in message:
        model.extra = EveryEpoch()
    with pytest.raises((RuntimeError, ValueError), match=message):
        _train(model, task, True)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_states_that_a_strategy_hands_on_are_refused(device):
    task = tiny.task("node multiclass")
    with pytest.raises(ValueError, match=r"this one replaces .*states.*which the next would read"):
        _train(GCN.from_task(task, hidden_channels=8), task, True, strategy="TopDownForward")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accelerator": "cpu"}, "cuda_graph=True does not go with accelerator='cpu'"),
        ({"compile": True}, "cuda_graph=True does not go with compile=True"),
        ({"accumulate": 2}, "cuda_graph=True does not go with accumulate=2"),
        ({"devices": 2}, "cuda_graph=True does not go with devices=2"),
        ({"precision": "16-mixed"}, "cuda_graph=True does not go with precision='16-mixed'"),
        ({"optimizer": "Adagrad"}, "Adagrad counts them on the host"),
    ],
)
def test_settings_that_do_not_go_with_it(settings, message):
    with pytest.raises(ValueError, match=message):
        gk.Trainer(cuda_graph=True, **settings)


def test_it_needs_a_gpu_and_one_graph(device):
    task = tiny.task("graph multiclass")
    with pytest.raises(ValueError, match="replays the step on one whole graph, but task 'tiny graph multiclass' draws"):
        _train(GCN.from_task(task, hidden_channels=8, readout="mean"), task, True)


def test_without_a_gpu():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    task = tiny.task("node multiclass")
    with pytest.raises(ValueError, match="cuda_graph=True needs a GPU of CUDA"):
        gk.Trainer(cuda_graph=True, progress=False).fit(GCN.from_task(task, hidden_channels=8), task)


def test_a_recording_has_no_effect_until_it_is_replayed(gpu):
    x, w = torch.ones(3, device=gpu.device), torch.zeros(3, device=gpu.device)
    graph, factor = torch.cuda.CUDAGraph(), 2.0
    with torch.cuda.graph(graph):
        y = F.relu(x) * factor
        w[:2].add_(y[:2])
    assert w.tolist() == [0, 0, 0]
    x.fill_(3.0)
    factor = 5.0  # a number of the host stays what it was
    graph.replay()
    graph.replay()
    assert y.tolist() == [6, 6, 6]
    assert w.tolist() == [12, 12, 0]
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"), torch.cuda.graph(graph):
        x.sum().item()
