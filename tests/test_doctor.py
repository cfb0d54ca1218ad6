from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from graphkit import doctor
from graphkit.core import resources
from graphkit.ops import backend


def install(folder: Path, name: str, version: str) -> None:
    """Make a distribution appear to be installed in ``folder``."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_this_environment_is_healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path))
    found = doctor.report()
    assert found["problems"] == []
    assert found["sparse"]["torch"] == "yes"
    assert found["data"]["root"] == str(tmp_path)


def test_every_fact_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    facts = {section: {"key": f"value of {section}"} for section in ("versions", "sparse", "device", "data")}
    monkeypatch.setattr(doctor, "report", lambda: facts | {"problems": ["the roof leaks; mend it"]})
    assert doctor.main() == 1
    printed = capsys.readouterr().out
    assert all(f"value of {section}" in printed for section in facts)
    assert "problem: the roof leaks; mend it" in printed
    monkeypatch.setattr(doctor, "report", lambda: facts | {"problems": []})
    assert doctor.main() == 0


def test_the_unrelated_graphkit_is_noticed(site: Path) -> None:
    assert doctor._shadowing() == []
    install(site, "graphkit", "9.8.7")
    (problem,) = doctor._shadowing()
    assert "9.8.7" in problem
    assert "pip uninstall graphkit && pip install --force-reinstall --no-deps graphkit-pyg" in problem


@pytest.mark.parametrize("name", ["lightning-fabric", "lightning", "pytorch-lightning"])
@pytest.mark.parametrize(("version", "bad"), [("2.6.2", True), ("2.6.3", True), ("2.6.1", False), ("2.6.20", False)])
def test_compromised_releases_are_noticed(site: Path, name: str, version: str, bad: bool) -> None:
    install(site, name, version)
    problems = doctor._bad_releases()
    assert bool(problems) == bad
    if bad:
        assert f"{name} {version} is a compromised release" in problems[0]


def test_an_old_dependency_is_noticed(site: Path) -> None:
    install(site, "torchmetrics", "0.1")
    (problem,) = doctor._unmet_requirements()
    assert "graphkit needs torchmetrics>=" in problem
    assert "0.1 is installed; run: pip install 'torchmetrics>=" in problem


def test_optional_dependencies_are_not_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: ["no-such-package; extra == 'dev'"])
    assert doctor._unmet_requirements() == []
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: ["no-such-package>=1"])
    (problem,) = doctor._unmet_requirements()
    assert "no-such-package>=1, not installed" in problem


def test_torch_scatter_may_be_absent_but_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("undefined symbol: _ZN3c10")

    monkeypatch.setattr(backend, "_torch_scatter", broken)
    monkeypatch.setattr(backend, "available", lambda: {"torch": True, "torch_scatter": True})
    _, (problem,) = doctor._sparse()
    assert "undefined symbol" in problem
    assert "--no-build-isolation torch-scatter" in problem
    monkeypatch.setattr(backend, "available", lambda: {"torch": True, "torch_scatter": False})
    facts, problems = doctor._sparse()
    assert problems == []
    assert facts["torch_scatter"] == "no (optional)"


def test_a_wrong_mirror_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHKIT_MIRROR", str(tmp_path / "nowhere"))
    _, (problem,) = doctor._data()
    assert f"GRAPHKIT_MIRROR={tmp_path / 'nowhere'} is not a folder" in problem


def test_a_full_disk_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "new" / "folder"))
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    _, (problem,) = doctor._data()
    assert f"only 0.0 GiB are free in {tmp_path}" in problem


def test_a_read_only_data_root_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda folder, mode: False)
    _, (problem,) = doctor._data()
    assert f"{tmp_path} cannot be written; set GRAPHKIT_DATA" in problem


def test_missing_cards_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "shipped", lambda kind: tmp_path)
    _, problems = doctor._data()
    assert [problem.partition(";")[0] for problem in problems] == [
        f"{tmp_path} holds no datasets",
        f"{tmp_path} holds no recipes",
    ]
