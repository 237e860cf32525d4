"""Who waits at a terminal for loops to be compiled is told once; a log file, a test or another package is not."""

from types import SimpleNamespace
from typing import Any

import pytest
from numba.core import event

from speclet_formula.common import compiling


def compiled(function: Any, *inside: Any) -> tuple[Any, ...]:
    """The events of one function and of those that it calls, in order."""
    data = {"dispatcher": SimpleNamespace(py_func=function)}
    first, last = (event.Event("numba:compile", status, data) for status in event.EventStatus)
    return (first, *inside, last)


def ours() -> None:
    pass


def theirs() -> None:
    pass


ours.__module__, theirs.__module__ = "speclet_formula.inference.hmc.chain", "scipy.stats"


@pytest.mark.parametrize(("at_a_terminal", "function", "told"), [(True, ours, 1), (False, ours, 0), (True, theirs, 0)])
def test_compiling_is_told_once(
    at_a_terminal: bool, function: Any, told: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiling, "LONG", -1.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: at_a_terminal)
    waiting = compiling.Waiting()
    for one in (*compiled(function, *compiled(function)), *compiled(function)):
        waiting.notify(one)
    assert capsys.readouterr().err.count("Compiling loops, once on this machine") == told


def test_a_notebook_is_told_as_a_terminal_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiling, "LONG", -1.0)
    monkeypatch.setattr(compiling, "in_notebook", lambda: True)
    waiting = compiling.Waiting()
    for one in compiled(ours):
        waiting.notify(one)
    assert "Compiling loops" in capsys.readouterr().err


def test_only_the_outermost_function_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr(compiling.time, "perf_counter", lambda: next(clock))
    waiting = compiling.Waiting()
    for one in compiled(ours, *compiled(ours)):
        waiting.notify(one)
    assert waiting._depth == 0
    assert waiting._passed == 5  # looks at the clock from the first one's beginning to its end
