"""From annotations to rules: what a value must be, and what is wrong with one that is not."""

from __future__ import annotations

import inspect
import numbers
import types
import typing
from collections import abc
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Annotated, Any, Literal, TypeVar, Union

import numpy as np

from graphkit.core.validate import suggestion


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
    names = getattr(inspect.unwrap(function), "__globals__", {})  # builtins have none
    hints = {}
    for name, hint in inspect.get_annotations(function).items():
        if name != "return":
            with suppress(NameError):
                hints[name] = eval(hint, names) if isinstance(hint, str) else hint
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


def is_real(value: Any) -> bool:
    """Whether a value is a real number, and no truth value."""
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
    float: _with_constraints(_plain("a number", is_real), [lambda v: None if v == v else "must be a number"]),
    bool: _plain("True or False", lambda value: isinstance(value, (bool, np.bool_))),
    str: _plain("a string", lambda value: isinstance(value, str)),
}


def _literal(options: tuple[Any, ...]) -> Rule:
    kinds = tuple({type(option) for option in options})

    def problem(value: Any) -> Problem | None:
        of_type = not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
        if not of_type and value in options:
            return None
        return Problem(suggestion(value, map(str, options)), value, of_type)

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
