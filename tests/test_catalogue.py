"""`graphkit list`: what the registries have, read without importing torch."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys

import pytest

import graphkit as gk
from graphkit.cli import COMMANDS, main
from graphkit.cli.catalogue import CLASSES
from graphkit.core.sources import exported_classes

QUICK = """
import sys
from graphkit.cli import COMMANDS, main
try:
    assert main(sys.argv[1:]) == 0
except SystemExit as end:  # --help
    assert end.code == 0
slow = {"torch", "torch_geometric", "scipy", "pandas", "matplotlib", "numba"} & set(sys.modules)
assert not slow, slow
"""


@pytest.mark.parametrize("what", CLASSES)
def test_sources_tell_what_the_registry_has(what):
    registry = getattr(gk, "rewiring" if what == "rewirings" else what).registry
    told, known = exported_classes(*CLASSES[what]), registry._own
    assert list(told) == sorted(known)
    for name, docstring in told.items():
        assert (known[name].__doc__ or "").split()[:12] == docstring.split()[:12]


@pytest.mark.parametrize(
    "command",
    [*(f"list {kind}" for kind in (*CLASSES, "tasks", "recipes")), "data list", "data check cora"],
)
def test_a_list_is_there_before_torch_is(command):
    done = subprocess.run([sys.executable, "-c", QUICK, *command.split()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "GCN" in done.stdout or len(done.stdout.splitlines()) > 2


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {"train"}))
def test_help_is_there_before_torch_is(command):
    done = subprocess.run([sys.executable, "-c", QUICK, command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: graphkit {command}")


@pytest.mark.parametrize("package", ["graphkit.datasets", "graphkit.recipes"])
def test_members_that_are_imported_on_first_use_are_all_there(package):
    """In a new process, after every file of the package was imported: none may take the place of a member."""
    code = (
        "import importlib, pkgutil, types\n"
        f"package = importlib.import_module({package!r})\n"
        "for file in pkgutil.iter_modules(package.__path__):\n"
        "    importlib.import_module(f'{package.__name__}.{file.name}')\n"
        "modules = [name for name in package.__all__ if isinstance(getattr(package, name), types.ModuleType)]\n"
        "assert not modules, modules\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        importlib.import_module(package).nothing  # noqa: B018


COMPLETE = """
source completion.bash
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_graphkit; echo "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def completed(tmp_path_factory):
    """What the tab key offers after some words."""
    pytest.importorskip("shtab")
    folder = tmp_path_factory.mktemp("completion")
    done = subprocess.run([sys.executable, "-m", "graphkit", "completion", "bash"], capture_output=True, text=True)
    (folder / "completion.bash").write_text(done.stdout)

    def offered(*words):
        command = ["bash", "-c", COMPLETE, "bash", "graphkit", *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True).stdout.split()

    return offered


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_tab_key_completes_commands_flags_and_names(completed):
    assert completed("lis") == ["list"]
    assert completed("train", "--model", "GC") == ["GCN"]
    assert completed("train", "--trainer.max") == ["--trainer.max_epochs"]
    assert "gcn/cora" in completed("reproduce", "gcn/")
    assert completed("rewire", "mutag", "--method", "Eff") == ["EffectiveResistance"]


def test_completion_names_the_missing_package(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'graphkit-pyg[completion]'" in capsys.readouterr().err
