"""Streams of events from tables: ids of any kind, times as numbers or dates, files with names of columns or without."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

import graphkit as gk
from graphkit.cli import main
from graphkit.recipes import Experiment
from tests.temporal.streams import stream


def table(channels=0):
    data = stream(channels=channels)
    made = {"from": [f"n{v}" for v in data.edge_index[0]], "to": [f"n{v}" for v in data.edge_index[1]]}
    made |= {"day": data.edge_time.tolist()} | {f"m{i}": data.edge_attr[:, i].tolist() for i in range(channels)}
    return pd.DataFrame(made), data


def test_a_table_is_the_stream_with_other_numbers():
    mails, data = table(channels=2)
    task = gk.EventTask.from_pandas(mails, messages=["m0", "m1"], negatives="historical")
    assert [task.ids[i] for i in task.src.tolist()] == mails["from"].tolist()
    assert [task.ids[i] for i in task.dst.tolist()] == mails["to"].tolist()
    assert torch.equal(task.t, data.edge_time)
    assert torch.allclose(task.msg, data.edge_attr)
    assert task.num_nodes == len(set(mails["from"]) | set(mails["to"]))
    named = mails[["m1", "day", "to", "m0", "from"]]
    other = gk.EventTask.from_pandas(named, "from", "to", "day", ["m0", "m1"], negatives="historical")
    assert other.content_hash == task.content_hash


def test_times_may_be_dates_and_ids_of_two_kinds():
    mails, data = table()
    mails["day"] = pd.Timestamp("2004-04-15") + pd.to_timedelta(mails["day"], unit="s")
    task = gk.EventTask.from_pandas(mails, bipartite=True)
    assert torch.equal(task.t - task.t[0], (data.edge_time - data.edge_time[0]) * 1_000_000_000)
    assert not set(task.src.tolist()) & set(task.dst.tolist())
    assert task.ids[int(task.dst[5])] == ("to", mails["to"][5])


@pytest.mark.parametrize("separator", [",", "\t", ";", " "])
@pytest.mark.parametrize("header", [True, False])
def test_files_are_read_as_they_are(tmp_path, separator, header):
    data = stream()
    rows = pd.DataFrame({"u": data.edge_index[0] + 1, "v": data.edge_index[1] + 1, "at": data.edge_time})
    rows.to_csv(tmp_path / "mails.txt", sep=separator, header=header, index=False)
    task = gk.EventTask.from_csv(tmp_path / "mails.txt")
    assert task.name == "mails"
    assert [task.ids[i] for i in task.src.tolist()] == rows["u"].tolist()
    assert torch.equal(task.t, data.edge_time)
    named = gk.EventTask.from_csv(tmp_path / "mails.txt", *(("u", "v", "at") if header else ("0", "1", "2")))
    assert list(named.ids) == [str(i) for i in task.ids]
    assert named.content_hash == task.content_hash


def test_what_does_not_fit_is_refused_by_name(tmp_path):
    mails, _ = table()
    with pytest.raises(ValueError, match="task 'events': there is no column 'when'; the table has 'from', 'to', 'day'"):
        gk.EventTask.from_pandas(mails, time="when")
    with pytest.raises(TypeError, match="task 'events': the events are a dict, not a pandas DataFrame"):
        gk.EventTask.from_pandas({"from": [1]})
    with pytest.raises(ValueError, match="column 'to' has no id in row 3; leave the row out"):
        gk.EventTask.from_pandas(mails.assign(to=mails["to"].where(mails.index != 3)))
    with pytest.raises(TypeError, match=r"column 'day': time holds strings, e\.g\. '0'; use pandas"):
        gk.EventTask.from_pandas(mails.assign(day=mails["day"].astype(str)))
    with pytest.raises(TypeError, match=r"column 'day': time holds .*days.*; give numbers, or dates by pandas"):
        gk.EventTask.from_pandas(mails.assign(day=pd.to_timedelta(mails["day"], unit="D")))
    with pytest.raises(ValueError, match="2 columns are called 'to'; rename them"):
        gk.EventTask.from_pandas(mails.set_axis(["to", "to", "day"], axis=1))
    with pytest.raises(ValueError, match="the time of event 2 is missing"):
        gk.EventTask.from_pandas(mails.assign(day=mails["day"].where(mails.index != 2)))
    with pytest.raises(TypeError, match="column 'from' holds no numbers, but messages are numbers"):
        gk.EventTask.from_pandas(mails, messages=["from"])
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv is missing; give the file of a table of events"):
        gk.EventTask.from_csv(tmp_path / "nothing.csv")
    with pytest.raises(ValueError, match="events need a source, a target and a time"):
        gk.EventTask.from_pandas(mails[["from", "to"]])


def test_predictions_come_by_the_users_ids():
    mails, _ = table()
    task = gk.EventTask.from_pandas(mails)
    trainer = gk.Trainer(max_epochs=1, progress=False, batch_size=20)
    trainer.fit(gk.models.EdgeBank(task.num_nodes), task)
    frame = trainer.predict(task, as_frame=True)
    ids = task.split.test.tolist()
    assert frame.index[::2].tolist() == list(zip(mails["from"][ids], mails["to"][ids], strict=True))
    assert frame["label"].tolist() == [1, 0] * len(ids)
    assert frame["p(link)"].between(0, 1).all()


def test_train_and_predict_in_a_shell(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mails, _ = table(channels=2)
    mails.to_csv("mails.csv", index=False)
    flags = ["train", "--model", "EdgeBank", "--data", "mails.csv", "--trainer.max_epochs", "1"]
    event = ["--task.kind", "event", "--task.messages", "[m0,m1]", "--task.negatives", "historical"]
    assert main([*flags, *event, "--trainer.run_dir", "run"]) == 0
    capsys.readouterr()
    assert main(["predict", "run", "--stage", "test", "--output", "found.csv"]) == 0
    found = pd.read_csv("found.csv")
    task = gk.EventTask.from_csv("mails.csv", messages=["m0", "m1"], negatives="historical")
    assert found["source"][::2].tolist() == mails["from"][task.split.test.tolist()].tolist()
    assert found["target"][1::2].tolist() == [task.ids[i] for i in task.negatives["test"].view(-1).tolist()]
    capsys.readouterr()
    assert main([*flags, "--task.kind", "link"]) == 2
    assert "task.kind: 'link' is of a folder of tables, but mails.csv is a file" in capsys.readouterr().err
    assert main(["train", "--model", "GCN", "--task", "karate", "--task.kind", "event"]) == 2
    assert "--task.kind is of your own tables; name them by --data" in capsys.readouterr().err


def test_a_split_of_an_experiment_is_the_seed_of_its_negatives(tmp_path):
    mails, _ = table()
    mails.to_csv(tmp_path / "mails.csv", index=False)
    own = {"folder": str(tmp_path / "mails.csv"), "kind": "event"}
    experiment = Experiment.from_config({"model": "EdgeBank", "task": own})
    assert repr(experiment) == "Experiment(EdgeBank on mails.csv)"
    expected = gk.EventTask.from_csv(tmp_path / "mails.csv", seed=3)
    assert experiment.load_task(3).content_hash == expected.content_hash
    assert experiment.load_task().content_hash != expected.content_hash
