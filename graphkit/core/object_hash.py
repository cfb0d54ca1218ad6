"""A digest of any object in which code counts: a function or class that was edited has another one."""

from __future__ import annotations

import copyreg
import dis
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from torch import Tensor
from torch.nn.parameter import is_lazy

from graphkit.core.hashing import hash_tensors

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))
_ROOMS = ("core", "ops", "algorithms", "transforms", "nn", "models", "samplers")  # none imports one that comes later


def hash_object(value: Any, length: int = 12) -> str:
    """A digest of what an object holds and of the code that it runs, equal in every process.

    Functions and classes count by their compiled code, with defaults, closures, base classes, and the globals and
    modules that the code names, and so on through all code that does not lie in an installed package; comments do not
    count. Of installed packages the version counts; of graphkit, the sources of the room of a class and of those below.
    Other objects count as they are pickled, without what a ``cached_property`` remembers. Not seen: files that the code
    reads, names that it makes up when it runs, and what code holds that cannot be pickled, such as locks, but for its
    type.

    Raises:
        TypeError: If the object holds something that cannot be pickled.

    Example:
        >>> hash_object(lambda x: x + 1) == hash_object(lambda x: x + 1), hash_object(abs) == hash_object(len)
        (True, False)
    """
    return _Hasher().of(value)[:length]


class _Hasher:
    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}  # with the objects, whose ids must not be given away
        self._depth = 0
        self._in_code = 0

    def of(self, value: Any) -> str:
        if type(value) in _PLAIN:
            return _joined(type(value).__name__, repr(value))
        if id(value) not in self._known:
            self._known[id(value)] = value, f"the object begun at depth {self._depth}"
            self._depth += 1
            self._known[id(value)] = value, self._compound(value)
            self._depth -= 1
        return self._known[id(value)][1]

    def _all(self, values: Iterable[Any]) -> str:
        return _joined(*map(self.of, values))

    def _compound(self, value: Any) -> str:
        kind = type(value)
        if kind in (list, tuple):
            return _joined(kind.__name__, self._all(value))
        if kind in (set, frozenset):
            return _joined(kind.__name__, *sorted(map(self.of, value)))
        if kind is dict:
            return _joined("dict", self._all(value), self._all(value.values()))
        if isinstance(value, Tensor) and is_lazy(value):  # a weight without a shape yet
            return self.of(kind)
        if isinstance(value, Tensor):
            return _joined("tensor", hash_tensors(value, length=64))
        if isinstance(value, ModuleType):
            return _joined("module", value.__name__, str(_package(value.__name__)))
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, property):
            return _joined("property", self._all([value.fget, value.fset, value.fdel]))
        if isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, ModuleType | None):
            return _joined("builtin", _module(value), value.__qualname__, str(_package(_module(value))))
        if isinstance(value, cached_property):
            return _joined("cached_property", self.of(value.func))
        if hasattr(value, "__wrapped__") and _is_installed(kind):  # staticmethod, lru_cache, numba's functions
            return _joined("wrapped", self.of(kind), self.of(value.__wrapped__))
        return self._pickled(value)

    def _pickled(self, value: Any) -> str:
        reduce = copyreg.dispatch_table.get(type(value))
        try:
            reduced: Any = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception:  # whatever the object's own way of being pickled raises
            if not self._in_code:
                raise
            return self.of(type(value))
        if isinstance(reduced, str):
            return _joined("global", reduced, _module(value), str(_package(_module(value))))
        make, arguments, state, items, pairs = [*reduced, None, None, None][:5]
        if state is getattr(value, "__dict__", state) and isinstance(state, dict):
            state = {name: state[name] for name in sorted(state) if not _is_remembered(value, name)}
        return _joined("object", self._all([make, arguments, state, [*(items or ())], [*(pairs or ())]]))

    def _class(self, cls: type) -> str:
        if _is_installed(cls):
            return _joined("class", cls.__module__, cls.__qualname__, str(_package(cls.__module__)))
        members = {
            name: self._of_code(value)
            for name, value in sorted(vars(cls).items())
            if not name.startswith("__") or isinstance(value, FunctionType | classmethod | staticmethod | property)
        }
        return _joined("class", cls.__qualname__, self._all([type(cls), *cls.__bases__, members]))

    def _function(self, function: FunctionType) -> str:
        package = _package(function.__globals__.get("__name__", ""))
        code = function.__code__
        if package and _is_installed(function):
            return _joined("function", package, code.co_qualname)
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_full(cell)]
        if hasattr(function, "__wrapped__") and (package or "").startswith("graphkit "):
            cells = []  # what checks of arguments remember
        state = self._of_code([function.__defaults__, function.__kwdefaults__, cells, vars(function)])
        return _joined("function", _joined(package, code.co_qualname) if package else self._code(function), state)

    def _code(self, function: FunctionType) -> str:
        """The function's instructions and the globals that they name, those of modules included."""
        codes = list(_nested(function.__code__))
        names = {name for code in codes for name in code.co_names}
        read: dict[str, Any] = {}
        for code in codes:
            read |= _imported(code, function.__globals__)
            for step in dis.get_instructions(code):
                if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in function.__globals__:
                    read[step.argval] = function.__globals__[step.argval]
        values = {name: self._of_code(value) for name, value in sorted(read.items())}
        modules = [value for value in read.values() if isinstance(value, ModuleType)]
        for module in modules:  # grows: modules of modules
            if _package(module.__name__) is None:
                for name in sorted(names & vars(module).keys()):
                    member = vars(module)[name]
                    values[f"{module.__name__}.{name}"] = self._of_code(member)
                    if isinstance(member, ModuleType) and member not in modules:
                        modules.append(member)
        return _joined(*map(_instructions, codes), self.of(values))

    def _of_code(self, value: Any) -> str:
        """The digest of a global, class attribute or closure, of which counts by its type what cannot be pickled."""
        self._in_code += 1
        try:
            return self.of(value)
        finally:
            self._in_code -= 1


def _joined(*parts: str) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _is_remembered(value: Any, name: str) -> bool:
    return isinstance(inspect.getattr_static(type(value), name, None), cached_property)


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _nested(code: CodeType) -> Iterable[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _instructions(code: CodeType) -> str:
    """The digest of compiled code without places in files and the code that it contains."""
    constants = [
        sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant
        for constant in code.co_consts
        if not isinstance(constant, CodeType)
    ]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return _joined(code.co_code.hex(), code.co_exceptiontable.hex(), repr((constants, names, counts)))


def _imported(code: CodeType, namespace: dict[str, Any]) -> dict[str, ModuleType]:
    """The modules outside installed packages that code imports when it runs."""
    modules: dict[str, ModuleType] = {}
    steps = list(dis.get_instructions(code))
    for level, _, step in zip(steps, steps[1:], steps[2:]):
        if step.opname != "IMPORT_NAME":
            continue
        try:
            name = importlib.util.resolve_name("." * level.argval + step.argval, namespace.get("__package__"))
            top = name.partition(".")[0]
            spec = importlib.util.find_spec(top)
            if spec is not None and not _lies_in_package(top, [spec.origin, *(spec.submodule_search_locations or ())]):
                modules[name] = importlib.import_module(name)
        except (ImportError, ValueError):  # as it will when it runs
            continue
    return modules


def _is_installed(value: type | FunctionType) -> bool:
    """Whether an installed package has this class or function under its name."""
    name = value.__globals__.get("__name__", "") if isinstance(value, FunctionType) else _module(value)
    if _package(name) is None:
        return False
    place: Any = sys.modules.get(name)
    for part in value.__qualname__.split("."):
        place = getattr(place, part, None)
    return place is value


def _module(value: Any) -> str:
    name = getattr(value, "__module__", None)
    return name if isinstance(name, str) else ""


def _package(module: str) -> str | None:
    """Name and version of the installed package that a module belongs to; ``None`` for a user's own."""
    top = module.partition(".")[0]
    if top == "graphkit":
        room = f"{module}.".split(".")[1]
        return _graphkit(_ROOMS[: _ROOMS.index(room) + 1] if room in _ROOMS else ("",))
    if top == "__main__":  # of a notebook, whose file is the kernel's
        return None
    loaded = sys.modules.get(top)
    places = [getattr(loaded, "__file__", None), *getattr(loaded, "__path__", ())]
    return f"{top} {getattr(loaded, '__version__', '')}" if _lies_in_package(top, places) else None


def _lies_in_package(top: str, places: Iterable[str | None]) -> bool:
    files = [Path(place) for place in places if place not in (None, "built-in", "frozen")]
    roots = [sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    if not files:
        return top in sys.stdlib_module_names
    return any(
        {"site-packages", "dist-packages"} & set(file.parts) or any(file.is_relative_to(root) for root in roots)
        for file in files
    )


@cache
def _graphkit(rooms: tuple[str, ...]) -> str:
    """The version of graphkit and a digest of the sources of some rooms."""
    from graphkit import __version__

    root = Path(__file__).parents[1]
    files = sorted(file for room in rooms for file in (root / room).rglob("*.py"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(root).as_posix()} {file.stat().st_size} ".encode() + file.read_bytes())
    return f"graphkit {__version__} {digest.hexdigest()}"
