"""That numba compiles is told once."""

from __future__ import annotations

import numba
import pytest

from graphkit.core.compiling import TELLER, TEXT


@pytest.fixture
def told(caplog, monkeypatch):
    monkeypatch.setattr(TELLER, "told", False)
    caplog.set_level("INFO", logger="graphkit")
    return caplog


def test_the_first_function_is_told_and_no_other(told):
    double = numba.njit(lambda value: 2 * value)
    assert told.messages == []
    assert double(1) == 2
    assert told.messages == [TEXT]
    assert double(0.5) == 1.0, "compiled for another type"
    assert told.messages == [TEXT]


def test_what_is_compiled_already_is_not_told(told, monkeypatch):
    double = numba.njit(lambda value: 2 * value)
    double(1)
    told.clear()
    monkeypatch.setattr(TELLER, "told", False)
    double(2)
    assert told.messages == []


def test_a_terminal_sees_it(told, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    numba.njit(lambda value: 2 * value)(1)
    assert capsys.readouterr().err == f"graphkit: {TEXT}\n"
    assert told.messages == []
