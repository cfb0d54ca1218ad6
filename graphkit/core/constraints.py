"""What may be passed to a constructor or function: said by the annotations of its parameters, checked as it enters.

An annotation tells the type; ``typing.Annotated`` adds which values. The usual constraints have names::

    def __init__(self, hidden_channels: Count = 64, dropout: Probability = 0.0, conv: Literal["gcn", "gin"] = "gcn")

An ``int`` takes whole numbers but neither ``True`` nor ``2.0``, a ``float`` real numbers but not NaN, a sequence or
mapping what its parts take; numbers of numpy arrive as Python's. What an annotation cannot tell (``Any``, a name for
type checkers only) is free. scikit-learn's ``_param_validation`` is the model.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import types
import typing
from collections import abc
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Annotated, Any, Literal, TypeVar, Union

import numpy as np
from numpy.typing import ArrayLike

from graphkit.core.docstrings import inherit_sections
from graphkit.core.validate import check_choice, suggestion

T = TypeVar("T", bound=Callable[..., Any])
_IMMUTABLE = frozenset({int, float, str, bool, type(None)})


@dataclass(frozen=True)
class Interval:
    """The constraint of numbers between two ends; an infinite end that is excluded leaves finite numbers.

    Args:
        low: The lower end.
        high: The upper end (default: infinity).
        closed: Which ends belong to it: ``"left"``, ``"right"``, ``"both"`` or ``"neither"`` (default: ``"left"``).
        also: A further number and what it stands for (default: none).

    Example:
        >>> Interval(1, also=(-1, "all"))(0), Interval(0, 1)(0.5)
        ('must be at least 1, or -1 for all', None)
    """

    low: float
    high: float = math.inf
    closed: Literal["left", "right", "both", "neither"] = "left"
    also: tuple[int, str] | None = None

    def __post_init__(self) -> None:
        check_choice(self.closed, ("left", "right", "both", "neither"), "value of closed")

    def __call__(self, value: Any) -> str | None:
        """What is wrong with a number."""
        left, right = self.closed in ("left", "both"), self.closed in ("right", "both")
        inside = (value >= self.low if left else value > self.low) and (
            value <= self.high if right else value < self.high
        )
        if inside or (self.also is not None and value == self.also[0]):
            return None
        if math.isinf(value):
            text = "must be finite"
        elif self.high == math.inf:
            above = "positive" if self.low == 0 else f"above {self.low:g}"
            text = f"must be at least {self.low:g}" if left else f"must be {above}"
        else:
            text = f"must be in {'[' if left else '('}{self.low:g}, {self.high:g}{']' if right else ')'}"
        return text if self.also is None else f"{text}, or {self.also[0]} for {self.also[1]}"


@dataclass(frozen=True, eq=False)
class OneOf:
    """The constraint of names that stand in a collection, such as the keys of a table."""

    options: Collection[Any]

    def __call__(self, value: Any) -> str | None:
        """What is wrong with a name."""
        return None if value in self.options else suggestion(value, map(str, self.options))


def not_empty(value: Any) -> str | None:
    """The constraint of sequences that hold something."""
    return None if len(value) else "must not be empty"


def in_a_row(value: Any) -> str | None:
    """The constraint of a list, tuple, array or column of numbers; some may be NaN or infinite."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # ragged, or a tensor that needs gradients
        array = np.empty(())
    numeric = array.dtype.kind in "iuf" or all(map(_is_real, array.flat))
    return None if array.ndim == 1 and numeric else "must be numbers in a row"


@functools.lru_cache(256)
def _activation(value: str) -> str | None:
    from torch_geometric.nn.resolver import activation_resolver

    try:
        activation_resolver(value)
    except ValueError:
        return "must be an activation of torch.nn, such as 'relu'"
    return None


Count = Annotated[int, Interval(1)]
NonNegativeInt = Annotated[int, Interval(0)]
Channels = Annotated[int, Interval(1, also=(-1, "the width of the first input"))]
Seed = Annotated[int, Interval(0, 2**32)]
Jobs = Annotated[int, Interval(1, also=(-1, "one per core"))]
Probability = Annotated[float, Interval(0, 1)]
UnitInterval = Annotated[float, Interval(0, 1, "both")]
Share = Annotated[float, Interval(0, 1, "neither")]
Positive = Annotated[float, Interval(0, closed="neither")]
NonNegative = Annotated[float, Interval(0)]
Finite = Annotated[float, Interval(-math.inf, closed="neither")]
Activation = Annotated[str, _activation]
Numbers = Annotated[ArrayLike, in_a_row]


def checked(target: T) -> T:
    """The function, or constructor, with a check of everything that is passed to it.

    Args:
        target: A function, or a class whose ``__init__`` is replaced.

    Example:
        >>> @checked
        ... def halve(rate: Probability) -> float:
        ...     return rate / 2
        >>> halve(1.5)
        Traceback (most recent call last):
        ValueError: halve: rate=1.5, must be in [0, 1)
    """
    if isinstance(target, type):
        target.__init__ = _checked(target.__init__, True)  # type: ignore[misc]
        return target
    return typing.cast(T, _checked(target, False))


class Checked:
    """Mixin: what is passed to the constructor of a class, and of its subclasses, is checked by its annotations.

    Docstrings of subclasses tell what their bases tell of arguments, shapes and errors.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument has a value out of range, or an unknown name.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            checked(cls)
        inherit_sections(cls)


def enforce(target: Callable[..., Any], arguments: Mapping[str, Any], place: str = "") -> None:
    """Check arguments by name without calling what they are meant for, a class or function.

    Args:
        target: The class or function.
        arguments: The arguments.
        place: What messages begin with (default: its name).

    Raises:
        TypeError: If one has a wrong type.
        ValueError: If one has a wrong value; what is unknown or missing is left to the call.
    """
    rules = rules_of(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    for name, value in arguments.items():
        if name in rules:
            rules[name].enforce(place or place_of(target), name, value)


def enforce_config(target: Callable[..., Any], arguments: Mapping[str, Any], place: str = "") -> None:
    """:func:`enforce` for what a file says.

    Raises:
        ValueError: If a type or value is wrong.
    """
    try:
        enforce(target, arguments, place)
    except TypeError as error:
        raise ValueError(str(error)) from None


def place_of(target: Callable[..., Any]) -> str:
    """What messages call a class, a function, or with its class a class method."""
    return target.__qualname__.rpartition("<locals>.")[2]


def _checked(function: Callable[..., Any], is_method: bool) -> Callable[..., Any]:
    rules = functools.cache(lambda: rules_of(function))  # at the first call: by then all names are defined
    code = inspect.unwrap(function).__code__
    positional = code.co_varnames[: code.co_argcount]
    place = place_of(function)

    passed: set[tuple[str, type, Any]] = set()  # constructors get the same few numbers and names over and over

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        known = rules()
        for name, value in chain(zip(positional, args, strict=False), kwargs.items()):
            kind = type(value)
            if kind in _IMMUTABLE and (name, kind, value) in passed:
                continue
            if isinstance(value, np.generic):
                return call(*map(_of_python, args), **{name: _of_python(value) for name, value in kwargs.items()})
            if name in known:
                known[name].enforce(type(args[0]).__name__ if is_method else place, name, value)
            if kind in _IMMUTABLE and len(passed) < 512:
                passed.add((name, kind, value))
        return function(*args, **kwargs)

    return call


def _of_python(value: Any) -> Any:
    """A number of numpy as Python's, which goes wherever a number does; torch's generators take no other."""
    return value.item() if isinstance(value, np.generic) else value


# From annotations to rules ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """What is wrong with a value, or with a part of it."""

    text: str
    value: Any
    of_type: bool = False
    part: str = ""


@dataclass(frozen=True)
class Rule:
    """What an annotation allows: the type in words, and what finds the problem of a value."""

    expected: str
    problem: Callable[[Any], Problem | None]
    of_names: bool = False

    def enforce(self, place: str, name: str, value: Any) -> None:
        """Raise the problem of a value, if it has one."""
        problem = self.problem(value)
        if problem is not None:
            shown = " ".join(repr(problem.value).split())
            shown = shown if len(shown) < 80 else f"{shown[:76]} ..."
            error = TypeError if problem.of_type else ValueError
            raise error(f"{place}: {name}{problem.part}={shown}, {problem.text}")


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotation of each parameter, evaluated; those that cannot be are left out."""
    function = inspect.unwrap(function)
    hints = {}
    for name, hint in inspect.get_annotations(function).items():
        if name != "return":
            with suppress(NameError):
                hints[name] = eval(hint, function.__globals__) if isinstance(hint, str) else hint
    return hints


def rules_of(function: Callable[..., Any]) -> dict[str, Rule]:
    """The rules of the parameters that have one, by name."""
    rules = {name: rule_of(hint) for name, hint in hints_of(function).items()}
    return {name: rule for name, rule in rules.items() if rule is not None}


def rule_of(hint: Any) -> Rule | None:
    """The rule that an annotation states; ``None`` for one that allows everything."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _with_constraints(rule_of(parts[0]) or _ANY, [part for part in parts[1:] if callable(part)])
    if origin in (Union, types.UnionType):
        rules = [rule_of(part) for part in parts]
        return None if None in rules else _one_of(typing.cast(list[Rule], rules))
    if origin is Literal:
        return _literal(parts)
    if origin in (list, tuple, abc.Sequence):
        return _sequence(rule_of(parts[0]))
    if origin in (dict, abc.Mapping):
        return _mapping(*map(rule_of, parts))
    if isinstance(hint, TypeVar):
        return rule_of(hint.__bound__ or Any)
    hint = origin or hint
    if hint is type:
        return _plain("a class", lambda value: isinstance(value, type))
    if hint in _BUILTIN:
        return _BUILTIN[hint]
    if hint is None or hint is types.NoneType:
        return _plain("None", lambda value: value is None)
    if hint is abc.Callable:
        return _plain("callable", callable)
    if isinstance(hint, type) and hint not in (Any, object) and not getattr(hint, "_is_protocol", False):
        return _plain(f"of type {hint.__name__}", lambda value: isinstance(value, hint))
    return None


def _plain(expected: str, fits: Callable[[Any], bool]) -> Rule:
    text = f"must be {expected}"
    return Rule(expected, lambda value: None if fits(value) else Problem(text, value, of_type=True))


def _is_whole(value: Any) -> bool:
    return type(value) is int or (isinstance(value, numbers.Integral) and not isinstance(value, bool))


def _is_real(value: Any) -> bool:
    return type(value) is float or (isinstance(value, numbers.Real) and not isinstance(value, bool))


def _is_sequence(value: Any) -> bool:
    return isinstance(value, abc.Sequence) and not isinstance(value, (str, bytes))


def _with_constraints(rule: Rule, constraints: list[Callable[[Any], str | None]]) -> Rule:
    def problem(value: Any) -> Problem | None:
        if (of_rule := rule.problem(value)) is not None:
            return of_rule
        text = next(filter(None, (constraint(value) for constraint in constraints)), None)
        return None if text is None else Problem(text, value)

    return Rule(rule.expected, problem)


_ANY = Rule("anything", lambda value: None)
_BUILTIN = {
    int: _plain("an integer", _is_whole),
    float: _with_constraints(_plain("a number", _is_real), [lambda v: None if v == v else "must be a number"]),
    bool: _plain("True or False", lambda value: isinstance(value, (bool, np.bool_))),
    str: _plain("a string", lambda value: isinstance(value, str)),
}


def _literal(options: tuple[Any, ...]) -> Rule:
    one_of, kinds = OneOf(options), tuple({type(option) for option in options})

    def problem(value: Any) -> Problem | None:
        of_type = not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
        text = suggestion(value, map(str, options)) if of_type else one_of(value)
        return None if text is None else Problem(text, value, of_type)

    return Rule(" or ".join(map(repr, options)), problem, of_names=True)


def _one_of(rules: list[Rule]) -> Rule:
    expected = " or ".join(rule.expected for rule in rules)

    def problem(value: Any) -> Problem | None:
        problems = [rule.problem(value) for rule in rules]
        if None in problems:
            return None
        closest = next((i for i, one in enumerate(problems) if one and (not one.of_type or one.part)), None)
        if closest is None:
            return Problem(f"must be {expected}", value, of_type=True)
        others = [rule.expected for i, rule in enumerate(rules) if i != closest and rule.expected != "None"]
        found = typing.cast(Problem, problems[closest])
        if rules[closest].of_names and others:  # a wrong name says nothing of what else might be meant
            return replace(found, text=f"{found.text}; or {' or '.join(others)}")
        return found

    return Rule(expected, problem)


def _sequence(rule: Rule | None) -> Rule:
    """A sequence whose parts follow one rule."""
    return _with_parts(_plain("a sequence", _is_sequence), lambda v: ((f"[{i}]", x, rule) for i, x in enumerate(v)))


def _mapping(of_keys: Rule | None, of_values: Rule | None) -> Rule:
    """A mapping whose keys and values follow a rule each."""

    def parts(value: Any) -> Iterable[tuple[str, Any, Rule | None]]:
        return chain(((" key", k, of_keys) for k in value), ((f"[{k!r}]", v, of_values) for k, v in value.items()))

    return _with_parts(_plain("a mapping", lambda value: isinstance(value, abc.Mapping)), parts)


def _with_parts(whole: Rule, parts: Callable[[Any], Iterable[tuple[str, Any, Rule | None]]]) -> Rule:
    def problem(value: Any) -> Problem | None:
        problem = whole.problem(value)
        for place, part, rule in parts(value) if problem is None else ():
            inner = None if rule is None else rule.problem(part)
            if inner is not None:
                return replace(inner, part=place + inner.part)
        return problem

    return Rule(whole.expected, problem)
