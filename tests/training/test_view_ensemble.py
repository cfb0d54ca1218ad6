"""One model per view, and their mean."""

from __future__ import annotations

import pytest
import torch

import graphkit as gk


def ensemble(average: str = "logits", model=gk.models.GCN, **options) -> gk.ViewEnsemble:
    return gk.ViewEnsemble(model, gk.Trainer(max_epochs=8, progress=False, seed=3, **options), average)


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_identical_views_are_the_single_model(average):
    task = gk.load("karate")
    both = ensemble(average).fit({"a": task, "b": task, "c": task})
    trainer = gk.Trainer(max_epochs=8, progress=False, seed=3)
    result = trainer.fit(gk.models.GCN.from_task(task), task)
    scores = both.scores()
    assert scores["a"] == scores["b"] == scores["c"] == scores["ensemble"] == pytest.approx(result.test)
    out, label = both.predict()
    alone, same = trainer.predict(task)
    assert torch.equal(label, same)
    torch.testing.assert_close(out.softmax(-1), alone.softmax(-1))


def test_the_mean_is_of_logits_or_of_probabilities(tmp_path):
    task = gk.load("karate")
    views = {"plain": task, "walks": task.transform(gk.features.RandomWalkPE(4))}
    given = ensemble(run_dir=tmp_path).fit(views)
    outputs = [trainer.predict(views[name])[0] for name, trainer in given._trainers.items()]
    torch.testing.assert_close(given.predict()[0], torch.stack(outputs).mean(0))
    given.average = "probabilities"
    mean = torch.stack([out.softmax(-1) for out in outputs]).mean(0)
    torch.testing.assert_close(given.predict()[0].exp(), mean)
    assert (tmp_path / "plain" / "result.json").exists()
    assert given.results["walks"].test == pytest.approx(given.scores()["walks"])


def test_binary_tasks_and_models_by_hand():
    task = gk.load("minesweeper")
    built = ensemble("probabilities", lambda task: gk.models.MLP.from_task(task, hidden_channels=4))
    built.fit({"a": task, "b": task})
    torch.testing.assert_close(
        built.predict("val")[0], built._trainers["a"].predict(task, "val")[0], atol=1e-4, rtol=1e-4
    )


class Ranked(torch.nn.Module):
    """A convolution of classes that are looked up."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.look_up = gk.nn.RankedPredictions(num_classes, num_ranks=2, channels=8)
        self.conv = gk.nn.GCNConv(16, num_classes)

    def reset_parameters(self) -> None:
        self.look_up.reset_parameters()
        self.conv.reset_parameters()

    def forward(self, x, edge_index):
        return self.conv(self.look_up(x.long()), edge_index)


def test_texts_explanations_and_ranked_predictions_are_views():
    """Explanations and predictions come of functions of the user, as do models of views of different kinds."""

    def explain(data):
        data.explanation = [" ".join(sorted(set(text.split()))[:8]) for text in data.text]
        return data

    def predict(data):
        data.x = torch.stack([data.y, torch.where(data.y == 0, -1, 0)], dim=1).float()  # two ranks, some missing
        return data

    def model(task):
        return Ranked(task.num_classes) if task.num_features == 2 else gk.models.GCN.from_task(task)

    task = gk.load("texts", num_nodes=150).transform(explain)
    views = {name: task.transform(gk.features.TextEmbedding(name, dim=16)) for name in ("title", "text", "explanation")}
    built = ensemble(model=model).fit(views | {"prediction": task.transform(predict)})
    assert list(built.scores()) == ["title", "text", "explanation", "prediction", "ensemble"]
    outputs = [trainer.predict(given)[0] for trainer, given in zip(built._trainers.values(), built._tasks.values())]
    torch.testing.assert_close(built.predict()[0], torch.stack(outputs).mean(0))


def test_refusals():
    task = gk.load("karate")
    with pytest.raises(RuntimeError, match="nothing is trained yet"):
        ensemble().scores()
    with pytest.raises(ValueError, match="there are no views"):
        ensemble().fit({})
    with pytest.raises(ValueError, match="the name of the mean"):
        ensemble().fit({"ensemble": task})
    other = task.with_split(gk.Split.random(34, seed=5))
    with pytest.raises(ValueError, match="'b' differs in split"):
        ensemble().fit({"a": task, "b": other})
    with pytest.raises(TypeError, match="Linear is no LayeredModel"):
        ensemble(model=torch.nn.Linear)
