"""Results of a user's own code are kept only as long as the code, and all that it uses, stays as it is."""

from __future__ import annotations

import functools
import importlib
import os
import shutil
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import graphkit as gk
from graphkit.core.caching import Caching
from graphkit.core.object_hash import hash_object
from graphkit.transforms import apply
from graphkit.transforms.features import NodeFeatures, RandomWalkPE
from graphkit.transforms.rewiring import SDRF

GRAPH = Data(x=torch.zeros(3, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))

SCRIPT = """
import functools
import numba
import torch
import helper
from helper import base
from torch_geometric.data import Data
from graphkit.transforms import apply
from graphkit.transforms.features import NodeFeatures

SCALE = 7.0

def factor():  # a comment
    return SCALE

@numba.njit
def compiled(value):
    return value * 1.0

@functools.lru_cache
def cached(value):
    return compiled(value)

class Base(NodeFeatures):
    offset = 0.0
    def columns(self, data):
        import lazy
        pieces = [helper.twice(factor()) / 2 - lazy.NOTHING for _ in range(2)]
        return torch.full((data.num_nodes, 1), cached(pieces[0]) * self.power + self.offset + base.ZERO)

class Mine(Base):
    @property
    def power(self):
        return (lambda value: value)(1.0)

data = Data(x=torch.zeros(3, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
print(apply(Mine(), [data])[0].x[0, 1].item())
"""
FILES = {
    "main.py": SCRIPT,
    "helper/__init__.py": "from helper import base\ndef twice(value):\n    return base.add(value, value)\n",
    "helper/base.py": "ZERO = 0.0\ndef add(a, b):\n    return a + b\n",
    "lazy.py": "NOTHING = 0.0\n",
}
EDITS = {
    "a global": ("main.py", "SCALE = 7.0", "SCALE = 9.0", 9.0),
    "a function": ("main.py", "return SCALE", "return SCALE + 1", 8.0),
    "a compiled function": ("main.py", "value * 1.0", "value * 2.0", 14.0),
    "an attribute of the base": ("main.py", "offset = 0.0", "offset = 1.0", 8.0),
    "a lambda within a property": ("main.py", "(lambda value: value)", "(lambda value: 2 * value)", 14.0),
    "an imported module": ("helper/__init__.py", "(value, value)", "(value, 0)", 3.5),
    "what it uses in turn": ("helper/base.py", "a + b", "a + b + 2", 8.0),
    "a module's global": ("helper/base.py", "ZERO = 0.0", "ZERO = 1.0", 8.0),
    "a module imported late": ("lazy.py", "NOTHING = 0.0", "NOTHING = 1.0", 6.0),
    "a comment": ("main.py", "# a comment", "# another", 7.0),
}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs the script as if in a new process, with an edit; says what it printed and how many files are cached."""
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path / "data"))
    monkeypatch.syspath_prepend(tmp_path)

    def run(name=None, old="", new=""):
        for path, content in FILES.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(content.replace(old, new) if path == name else content)
        for module in ("helper", "helper.base", "lazy", "main"):
            sys.modules.pop(module, None)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)  # it goes by seconds
        shutil.rmtree(tmp_path / "helper" / "__pycache__", ignore_errors=True)
        importlib.import_module("main")
        return float(capsys.readouterr().out), len(list((tmp_path / "data").rglob("*.pt")))

    yield run
    for module in ("helper", "helper.base", "lazy", "main"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize("what", EDITS)
def test_an_edited_script_gives_the_new_result(what, run):
    assert run() == run() == (7.0, 1)
    path, old, new, expected = EDITS[what]
    assert old in FILES[path]
    assert run(path, old, new) == (expected, 1 if what == "a comment" else 2)


def cell(source, **scope):
    """What running the cell of a notebook again does: there is no file with the source."""
    scope |= {"NodeFeatures": NodeFeatures, "torch": torch, "functools": functools}
    exec(compile(textwrap.dedent(source), "<cell>", "exec", dont_inherit=True), scope)
    return scope


CELL = """
    class Cell(NodeFeatures):
        def columns(self, data):
            return torch.full((data.num_nodes, 1), {value})
"""


def test_a_class_defined_again_counts_in_one_process(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path))
    data = GRAPH.clone()
    data.y = torch.tensor([0, 1, 0])
    split = gk.Split("s", *(torch.tensor([i]) for i in range(3)))
    task = gk.NodeTask("t", data, split, allow_missing_classes=True)
    values = [task.transform(cell(CELL.format(value=v))["Cell"]()).data.x[0, 1].item() for v in (1.0, 2.0, 1.0)]
    assert values == [1.0, 2.0, 1.0]
    assert len(list(tmp_path.rglob("*.pt"))) == 2


class _Of(NodeFeatures):
    def __init__(self, what):
        self.what = what

    def columns(self, data):
        return torch.zeros(data.num_nodes, 1)


PAIRS = {
    "lambdas": lambda: (lambda x: x + 1, lambda x: x + 2),
    "defaults": lambda: (lambda x=1: x, lambda x=2: x),
    "closures": lambda: tuple(map(lambda shift: lambda x: x + shift, (1, 2))),
    "partials": lambda: (functools.partial(torch.sum, dim=0), functools.partial(torch.sum, dim=1)),
    "partial functions": lambda: (functools.partial(torch.sum, dim=0), functools.partial(torch.mean, dim=0)),
    "functions of torch": lambda: (torch.relu, torch.sigmoid),
    "functions of numpy": lambda: (np.sin, np.cos),
    "methods": lambda: (_Of(1).columns, _Of(2).columns),
    "large tensors": lambda: tuple(torch.zeros(5000).index_fill(0, torch.tensor(2500), value) for value in (1, 2)),
    "arrays": lambda: (np.arange(3), np.arange(3.0)),
    "modules": lambda: (torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1)),
    "transforms": lambda: (RandomWalkPE(2), RandomWalkPE(3)),
    "rewirings": lambda: (SDRF(2), SDRF(3)),
    "types": lambda: (torch.float32, torch.float64),
    "numbers": lambda: (1, 2),
    "nested": lambda: ({"a": [1, {2}]}, {"a": [1, {3}]}),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_arguments_of_any_type_count(kind):
    def keys():
        torch.manual_seed(0)
        return [_Of(value).cache_key() for value in PAIRS[kind]()]

    first, second = keys()
    assert first != second
    assert [first, second] == keys(), "equal arguments have equal keys"


def test_another_process_finds_what_was_cached(capsys):
    code = """
        import functools
        from graphkit.core.object_hash import hash_object

        class Mine:
            def choose(self, graph):
                return functools.reduce(max, graph) in {"a", "b", "c", "d"}, {"a", "b", "c", "d"}

        print(hash_object([Mine(), {"a", "b", "c", "d"}, functools.partial]))
    """
    cell(code, __name__="__main__")
    command, env = [sys.executable, "-c", textwrap.dedent(code)], os.environ | {"PYTHONHASHSEED": "1"}
    assert subprocess.run(command, env=env, capture_output=True, text=True).stdout == capsys.readouterr().out


def test_code_that_refers_to_itself():
    source = """
        def even(n):
            return n == 0 or odd(n - 1)
        def odd(n):
            return n {sign} 0 and even(n - 1)
        class Node:
            def make(self):
                return Node()
        everything = [even, Node()]
        everything.append(everything)
    """
    first, again, other = (cell(source.format(sign=sign)) for sign in ("!=", "!=", ">"))
    assert hash_object(first["everything"]) == hash_object(again["everything"]) != hash_object(other["everything"])
    assert hash_object(first["even"]) == hash_object(again["even"]) != hash_object(other["even"])


def test_a_global_that_cannot_be_pickled_counts_by_its_type():
    source = "def f():\n    return lock, {value}"
    scopes = [cell(source.format(value=v), lock=lock) for v, lock in ((1, (i for i in ())), (1, (i for i in ())))]
    other = cell(source.format(value=2), lock=(i for i in ()))
    assert hash_object(scopes[0]["f"]) == hash_object(scopes[1]["f"]) != hash_object(other["f"])


@pytest.mark.parametrize(
    "source",
    [
        "class f:\n    @functools.cached_property\n    def table(self):\n        return {value}",
        "@functools.singledispatch\ndef f(x):\n    return {value}",
        "class H:\n    def __init__(self):\n        self.lock, self.k = lock, {value}\nh = H()\ndef f():\n    return h",
        "@torch.no_grad()\ndef f(x):\n    return {value}",
        "def make(k):\n    inner = lock\n    return lambda: (inner, k)\nf = make({value})",
        "class f:\n    run = functools.partialmethod(print, {value})",
        "class Meta(type):\n    k = {value}\nclass f(metaclass=Meta):\n    pass",
    ],
)
def test_code_beside_what_cannot_be_pickled_counts(source):
    first, again, other = (
        hash_object(cell(source.format(value=value), lock=threading.Lock())["f"]) for value in (1, 1, 2)
    )
    assert first == again != other


def test_an_argument_that_cannot_be_pickled_is_refused_by_name():
    with pytest.raises(TypeError, match=r"_Of: .*cannot pickle 'generator' object"):
        apply(_Of(i for i in range(3)), [GRAPH])


def test_what_an_object_remembers_of_itself_does_not_count():
    class Lazy(_Of):
        @functools.cached_property
        def table(self):
            return list(range(self.what))

    used = Lazy(3)
    before = used.cache_key()
    assert len(used.table) == 3
    assert used.cache_key() == before


def test_a_class_counts_alike_before_and_after_its_first_use():
    class Annotated(NodeFeatures):
        def __init__(self, size: int = 3) -> None:
            self.size = size

        def columns(self, data):
            return torch.zeros(data.num_nodes, self.size)

    before = hash_object(Annotated)
    apply(Annotated(2), [GRAPH])
    assert hash_object(Annotated) == before
    Annotated.__init__.__wrapped__.__defaults__ = (4,)
    assert hash_object(Annotated) != before


def test_a_structure_that_a_redefined_function_makes_is_made_anew():
    graph = Caching()
    makers = [cell(f"def make():\n    return {value}")["make"] for value in (1, 2)]
    assert [graph.cached("key", make) for make in (makers[0], makers[0], makers[1])] == [1, 1, 2]


def test_runs_of_a_recipe_with_an_own_class_that_was_edited_are_repeated(monkeypatch):
    import types

    from graphkit.recipes.experiment import Experiment

    module = types.ModuleType("notebook")
    monkeypatch.setitem(sys.modules, "notebook", module)
    config = {"model": "GCN", "task": "karate", "features": "notebook.Cell"}
    codes = []
    for value in (1.0, 2.0, 1.0):
        module.Cell = cell(CELL.format(value=value), __name__="notebook")["Cell"]
        experiment = Experiment.from_config(config)
        codes.append(experiment.own_code)
        assert experiment.load_task().data.x[0, -1] == value
    assert codes[0] == codes[2] != codes[1]
    assert Experiment.from_config({"model": "GCN", "task": "karate"}).own_code == ""
