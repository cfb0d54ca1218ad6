"""A run folder gives its run back: bit-equal predictions in a new process, by every model and strategy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn

import graphkit as gk
from graphkit.core.building import UntoldError, rebuilt, told
from graphkit.models import GCN, ItemKNN, PairScorer, Popularity
from graphkit.models.recommend import NodeEmbeddings
from tests import tiny
from tests.common.test_cross_product import MODELS, STRATEGIES, TASKS, OwnModule
from tests.training.forward import KINDS, model_for
from tests.training.test_unlabelled import cases, new_graph


def trained(folder, task, model=None, strategy=None, **settings):
    model = model_for(task) if model is None else model
    trainer = gk.Trainer(**{"max_epochs": 2, "progress": False, "strategy": strategy, "run_dir": folder} | settings)
    trainer.fit(model, task)
    return trainer, model


def same_states(one, two):
    return one.keys() == two.keys() and all(map(torch.equal, one.values(), two.values()))


ALL_KINDS = ("GCN", "MLP", "LinkPredictor")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in MODELS
        for kind in TASKS
        if name in ALL_KINDS
        or kind in ("node multiclass", "node sampled multiclass", "graph multiclass", "link", "ranking")
    ],
)
def test_every_model_comes_back(name, kind, tmp_path):
    task = TASKS[kind]
    try:
        model = MODELS[name](task)
    except ValueError as error:
        pytest.skip(f"is not for such tasks: {error}")
    if isinstance(model, PairScorer) and kind not in ("link", "edge multiclass"):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            trainer, model = trained(tmp_path, task, model, max_epochs=1)
        except ValueError as error:
            pytest.skip(f"does not train at all: {error}")
        fresh = MODELS[name](task) if "PyG" in name or "own" in name else None
        if fresh is not None:
            with pytest.raises(ValueError, match="does not keep the arguments of its constructor"):
                gk.load_run(tmp_path)
        warnings.simplefilter("error")
        run = gk.load_run(tmp_path, model=fresh)
    assert type(run.model) is type(model)
    assert same_states(run.model.state_dict(), model.state_dict())
    assert run.task.describe() == task.describe()
    assert torch.equal(run.predict(task)[0], trainer.predict(task)[0])
    if isinstance(model, NodeEmbeddings | ItemKNN | Popularity):  # which know the nodes of one graph
        return
    new = new_graph(pairs=kind in ("link", "ranking"))
    if kind == "edge multiclass":
        new.edge_attr = torch.rand(24, 1)
    assert torch.equal(run.predict(new), trainer.predict(new))


@pytest.mark.parametrize(("name", "kind"), cases())
def test_every_strategy_comes_back(name, kind, tmp_path):
    from tests.training.test_unlabelled import WITH_BACKPROP

    task, new = tiny.task(KINDS[kind]), new_graph(pairs=kind == "link")
    trainer, _ = trained(tmp_path, task, strategy=WITH_BACKPROP[name](), lr=0.05)
    with_task, alone = gk.load_run(tmp_path, task=task), gk.load_run(tmp_path)
    assert repr(alone.trainer.strategy) == repr(trainer.strategy)
    assert torch.equal(with_task.predict(new), trainer.predict(new))
    assert torch.equal(alone.predict(task)[0], trainer.predict(task)[0])
    if "virtual_x" in trainer.strategy.state_dict():
        with pytest.raises(ValueError, match="as a component of the one trained on, which a run folder does not hold"):
            alone.predict(new)
    else:
        assert torch.equal(alone.predict(new), trainer.predict(new))


NEW_PROCESS = """
import sys, torch, graphkit as gk
from torch_geometric.data import Data
run = gk.load_run(sys.argv[1])
data = torch.load(sys.argv[2], weights_only=True)
torch.save(run.predict(Data(**data)), sys.argv[2])
print(run, run.task, run.result.test)
"""


@pytest.mark.parametrize("strategy", ["Backprop", "ScalableFF"])
def test_in_a_new_process_from_a_moved_folder(strategy, tmp_path):
    task, new = tiny.task("node multiclass"), new_graph()
    trainer, _ = trained(tmp_path / "here", task, strategy=STRATEGIES[strategy]())
    (tmp_path / "here").rename(tmp_path / "there")
    torch.save(new.to_dict(), tmp_path / "data.pt")
    arguments = [sys.executable, "-c", NEW_PROCESS, str(tmp_path / "there"), str(tmp_path / "data.pt")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "GCN(" in done.stdout
    assert task.describe() in done.stdout
    assert torch.equal(torch.load(tmp_path / "data.pt", weights_only=True), trainer.predict(new))


def test_a_loaded_run_can_be_resumed_and_does_not_draw(tmp_path):
    task = tiny.task("node multiclass")
    trained(tmp_path, task, strategy="ForwardForward")
    torch.manual_seed(3)
    run = gk.load_run(tmp_path)
    drawn = torch.rand(4)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(4))
    before = run.result.test
    assert run.trainer.fit(run.model, task, resume=True).test == before
    for call in (run.predict, run.embed):
        with pytest.raises(ValueError, match="stands for one whose data is not here; give that, or its graphs"):
            call(run.task)
    with pytest.raises(ValueError, match="stands for one whose data is not here; give that"):
        run.trainer.fit(run.model, run.task, resume=True)


@pytest.mark.parametrize(("width", "sparse"), [(200, True), (20, False)])
def test_lazy_widths_double_weights_sparse_features_and_settings(width, sparse, tmp_path):
    data = tiny.graph()
    data.x, data.y = torch.eye(24, width), torch.arange(24) % 3
    task = gk.NodeTask("words", data, tiny.split(24))
    model = GCN(width if sparse else -1, 8, out_channels=3, norm="batch_norm").double()
    settings = {"lr": {"layers.0.*": 0.1, "*": 0.01}, "optimizer_kwargs": {"betas": (0.8, 0.9)}, "loggers": ()}
    trainer, _ = trained(tmp_path, task, model, **settings)
    run = gk.load_run(tmp_path)
    assert run.trainer.config() | {"strategy": 0} == trainer.config() | {"strategy": 0, "run_dir": str(tmp_path)}
    assert run.predict(task)[0].dtype == torch.float64
    assert torch.equal(run.predict(task)[0], trainer.predict(task)[0])
    assert not run.model.training


def test_weighted_edges_and_samplers(tmp_path):
    data = tiny.graph()
    data.edge_weight, data.y = torch.rand(80), torch.arange(24) % 3
    task = gk.NodeTask("weighed", data, tiny.split(24)).sampled(gk.samplers.NeighborSampler([3, 3], evaluate="whole"))
    trainer, _ = trained(tmp_path, task)
    run = gk.load_run(tmp_path)
    assert torch.equal(run.predict(data), trainer.predict(data))
    with pytest.raises(ValueError, match="graph 0 has no edge_weight, unlike the graphs of task 'weighed'"):
        run.predict(new_graph())


def test_what_the_folder_cannot_build_is_to_be_given(tmp_path):
    class Mine(gk.NodeTask):
        pass

    data = tiny.task("node multiclass").data
    task = Mine("mine", data, tiny.split(24))
    trainer, _ = trained(tmp_path, task, OwnModule(6, 3))
    with pytest.raises(ValueError, match=r"cannot build the model \(OwnModule does not keep .* load_run\(run_dir, mo"):
        gk.load_run(tmp_path)
    with pytest.raises(ValueError, match=r"cannot build the task \(Mine is a kind of task of your own\); give it: "):
        gk.load_run(tmp_path, model=OwnModule(6, 3))
    run = gk.load_run(tmp_path, model=OwnModule(6, 3), task=task)
    assert torch.equal(run.predict(data), trainer.predict(data))
    with pytest.raises(ValueError, match=r"model\.safetensors do not fit OwnModule; build the model that was trained"):
        gk.load_run(tmp_path, model=OwnModule(6, 4), task=task)


def test_classes_of_a_function_cannot_be_imported(tmp_path):
    class Local(GCN):
        pass

    task = tiny.task("node multiclass")
    trained(tmp_path, task, Local.from_task(task, hidden_channels=8))
    with pytest.raises(ValueError, match=r"Local stands in no module under its name, so nobody can import it\); give"):
        gk.load_run(tmp_path)
    assert gk.load_run(tmp_path, model=Local.from_task(task, hidden_channels=8)).result.task == task.name


def edited(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config["rebuild"])
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("path", ["subprocess.Popen", "os.system", "graphkit.models.GCNN", "nowhere.GCN", "GCN", ""])
def test_only_modules_are_built(path, tmp_path):
    trained(tmp_path, tiny.task("node multiclass"))
    edited(tmp_path, lambda parts: parts["model"].update(class_path=path, init_args={"args": ["touch", "bad"]}))
    with pytest.raises(ValueError, match=r"the folder cannot build the model \(model: .*; give it: load_run"):
        gk.load_run(tmp_path)


def test_arguments_of_another_version(tmp_path):
    trained(tmp_path, tiny.task("node multiclass"))
    edited(tmp_path, lambda parts: parts["model"]["init_args"].update(future=3))
    with pytest.raises(ValueError, match=r"graphkit\.models\.GCN cannot be built as it was \(.*future"):
        gk.load_run(tmp_path)


def test_other_versions_are_named(tmp_path):
    trained(tmp_path, tiny.task("node multiclass"))
    result = gk.Result.load(tmp_path / "result.json")
    result.versions |= {"torch": "1.0", "other": "2"}
    result.save(tmp_path / "result.json")
    message = r"was written with torch 1\.0 \(here .*\), other 2 \(here absent\); predictions may differ"
    with pytest.warns(UserWarning, match=message) as all_:
        gk.load_run(tmp_path)
    assert [warning.filename for warning in all_] == [__file__]


def test_what_is_given_is_compared_with_the_run(tmp_path):
    task = tiny.task("node multiclass")
    trained(tmp_path, task)
    with pytest.raises(ValueError, match=r"was trained by Backprop\(\), but the trainer has ScalableFF\(\); give one"):
        gk.load_run(tmp_path, trainer=gk.Trainer(strategy="ScalableFF"))
    other = model_for(task)
    other.act = "tanh"
    with pytest.warns(UserWarning, match=r"is of the model GCN\(.*, but this one is GCN\(.*act='tanh'") as told:
        gk.load_run(tmp_path, model=other)
    assert [warning.filename for warning in told] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gk.load_run(tmp_path, model=model_for(task), task=task, trainer=gk.Trainer())


def test_files_that_are_missing_or_damaged_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no config\.json; give the run_dir of a finished run"):
        gk.load_run(tmp_path)
    trained(tmp_path, tiny.task("node multiclass"), strategy="ScalableFF")
    for name in ("model.safetensors", "strategy.pt", "config.json", "result.json"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=re.escape(name)):
            gk.load_run(tmp_path)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "result.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no result\.json; end the run by fit\(\.\.\., resume=True\)"):
        gk.load_run(tmp_path)


def test_a_gpu_that_is_not_here(tmp_path):
    trained(tmp_path, tiny.task("node multiclass"))
    edited(tmp_path, lambda parts: parts["trainer"]["init_args"].update(accelerator="cuda", devices=4))
    if not torch.cuda.is_available():
        assert gk.load_run(tmp_path).trainer.accelerator == "auto"
    assert gk.load_run(tmp_path).trainer.devices == 1


def test_no_value_of_the_data_is_in_the_description(tmp_path):
    data = tiny.graph()
    data.x[:], data.y = 0.12345, torch.arange(24) % 3
    trained(tmp_path, gk.NodeTask("secret", data, tiny.split(24)))
    assert "0.12345" not in (tmp_path / "config.json").read_text()


def test_a_resumed_or_overwritten_run_leaves_no_state_of_another_strategy(tmp_path):
    task = tiny.task("node multiclass")
    trained(tmp_path, task, strategy="ScalableFF")
    assert (tmp_path / "strategy.pt").exists()
    trainer = gk.Trainer(max_epochs=2, progress=False, run_dir=tmp_path)
    trainer.fit(model_for(task), task, overwrite=True)
    assert not (tmp_path / "strategy.pt").exists()


@pytest.mark.parametrize(
    "value", [None, True, 3, 0.1, float("inf"), "a", [1, [2]], (1, (2, "x")), {"a": (1,)}, {"class_path": 1}]
)
def test_arguments_come_back_as_they_were(value):
    model = GCN(3, 4)
    model.readout_kwargs = value
    described = json.loads(json.dumps(told(model)))
    args = {}

    class Probe(gk.models.LayeredModel):
        def __init__(self, **kwargs):
            args.update(kwargs)

        encode = step = decode = None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graphkit.core.building.import_class", lambda *_: lambda **kwargs: args.update(kwargs) or model)
        patch.setattr("builtins.issubclass", lambda *_: True)
        rebuilt(described, nn.Module, "here")
    assert args["readout_kwargs"] == value
    assert type(args["readout_kwargs"]) is type(value)


def test_an_argument_that_is_no_plain_value_is_named():
    model = GCN(3, 4)
    model.act = lambda x: x
    with pytest.raises(UntoldError, match="GCN: act is a function, which is no plain value"):
        told(model)
