"""What docs/architecture.rst says of files and rooms is so."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch_geometric.data import Data

import graphkit as gk

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "graphkit"
PAGE = (ROOT / "docs" / "architecture.rst").read_text()


def calls() -> dict[str, list[str]]:
    """The files to open for each call that the page follows."""
    _, *sections = PAGE.split(".. rubric:: ")
    return {section.splitlines()[0]: re.findall(r"^\d+\. ``([\w/.]+)``", section, re.MULTILINE) for section in sections}


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("docutils")
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    return importlib.import_module("rooms")


def test_the_files_of_every_call_exist():
    assert [len(files) for files in calls().values()] == [10, 8, 4, 7]
    for files in calls().values():
        for name in files:
            assert (ROOT / name).exists() or (PACKAGE / name).exists(), f"docs/architecture.rst names {name}"


def test_a_forward_and_backward_pass_runs_the_files_that_the_page_names():
    model = gk.models.GCN(4, 8, out_channels=2)
    graph = Data(x=torch.ones(3, 4), edge_index=torch.tensor([[0, 1], [1, 2]]))
    ran = set()

    def note(frame, event, _):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            ran.add(path.relative_to(PACKAGE).as_posix())

    sys.setprofile(note)
    try:
        model(graph).sum().backward()
    finally:
        sys.setprofile(None)
    named = next(files for call, files in calls().items() if "kernel" in call)
    known_by_name = {"core/validate.py", "nn/node_axis.py", "ops/adjacency.py", "ops/dropout.py", "ops/indices.py"}
    known_by_name |= {"core/devices.py", "core/overriding.py", "nn/linear.py", "ops/facts.py"}
    left_out = {*known_by_name, "models/call.py", "models/readout.py", "ops/traced.py"}
    assert ran == {*named, *left_out}, "the page says what it leaves out"


def test_the_picture_has_every_room_and_every_import_leads_down(rooms: ModuleType):
    order = [room for layer in rooms.layers() for room in layer]
    present = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert set(order) == present - {"__init__", "__main__"}
    assert "ops" in rooms.imports("nn"), "the picture finds imports"
    for room in order:
        for other in rooms.imports(room):
            assert order.index(room) < order.index(other), f"graphkit.{room} imports graphkit.{other} above it"
