"""What a function takes for another is part of its signature, its checks and its documentation."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import pytest

import graphkit as gk
from graphkit.core.constraints import Checked, Count, Probability, checked
from graphkit.core.signatures import takes_arguments_of


class Base(Checked):
    def __init__(self, channels: Count, rate: Probability = 0.5, bias: bool = True, depth: Count = 2) -> None:
        self.given = (channels, rate, bias, depth)


class Derived(Base):
    @takes_arguments_of(Base, without=("depth",))
    def __init__(self, channels: Count, heads: Count = 1, *, last: str = "no", **of_base: Any) -> None:
        super().__init__(channels, **of_base)
        self.own, self.of_base = (heads, last), of_base


@checked
def plain(x: int, rate: Probability = 0.5) -> tuple[int, float]:
    """Give back.

    Args:
        x: A number.
        rate: A rate (default: 0.5).
    """
    return x, rate


@checked
@takes_arguments_of(plain)
def twice(x: int, **rest: Any) -> Any:
    """Give back the double."""
    return plain(2 * x, **rest)


def test_the_signature_is_that_of_both_in_order():
    parameters = inspect.signature(Derived).parameters
    assert list(parameters) == ["channels", "heads", "rate", "bias", "last"]
    assert {p.kind for p in parameters.values()} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    assert parameters["rate"].default == 0.5
    assert parameters["rate"].annotation == "Probability", "help shows the name"
    assert get_type_hints(Derived.__init__, include_extras=True)["rate"] == Probability


def test_arguments_go_by_position_and_by_name_and_the_rest_is_complete():
    made = Derived(3, 4, 0.25, last="yes")
    assert made.given == (3, 0.25, True, 2)
    assert made.own == (4, "yes")
    assert made.of_base == {"rate": 0.25, "bias": True}
    assert twice(2, 0.75) == twice(x=2, rate=0.75) == (4, 0.75)


@pytest.mark.parametrize(
    ("arguments", "named", "error", "message"),
    [
        ((3,), {"rate": 1.5}, ValueError, r"Derived: rate=1.5, must be in \[0, 1\)"),
        ((3, 1, 1.5), {}, ValueError, "Derived: rate=1.5"),
        ((3,), {"depth": 2}, TypeError, "Derived: unknown argument 'depth'"),
        ((3,), {"ratte": 0.1}, TypeError, "did you mean 'rate'"),
        ((3, 1, 0.5, True, "no", 7), {}, TypeError, "takes 6 arguments, but 7 were given"),
        ((3, 1, 0.5), {"rate": 0.1}, TypeError, "multiple values for .*'rate'"),
        ((), {}, TypeError, "missing .*'channels'"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(arguments, named, error, message):
    with pytest.raises(error, match=message):
        Derived(*arguments, **named)


def test_the_documentation_tells_of_all():
    assert "rate: A rate (default: 0.5)." in twice.__doc__
    for name in inspect.signature(gk.models.GAT).parameters:
        assert f"    {name}: " in gk.models.GAT.__doc__
