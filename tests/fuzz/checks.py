"""A text goes in; what became of it comes out: read or refused. All else is an AssertionError that quotes the text.

`watched` makes anything that would run a program, write a file or open a connection an error too.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from speclet_formula.errors import FormulaError, SpecletError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import columns_of, text_of

OWN = ("hill",)
DOT = ("y", "x", "z", "my col", "größe")
_PROGRAMS = ("os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "subprocess.Popen", "pty.spawn")
_WORLD = ("socket.", "urllib.", "shutil.", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "ctypes.", "code.")
# What loads no library calls no function that was not at hand: BLAS's own, to keep it in one thread (audited by 3.14).
_HARMLESS = "ctypes.call_function"
_CODE = ("exec", "compile", "import", "open")  # a formula needs none of them once the parser is there
_armed: list[tuple[str, ...]] = []


class CodeRanError(BaseException):
    """Python was about to do what no formula may make it do; no `except Exception` on the way can hide it."""


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _armed and event.startswith(_armed[-1]) and event != _HARMLESS:
        raise CodeRanError(f"{event} {arguments!r}")


@contextmanager
def watched(*, code: bool = True) -> Iterator[None]:
    """Refuse programs, files and connections while a formula is read; with `code` compiling and importing too."""
    if not getattr(sys, "_formula_hook", False):
        sys.addaudithook(_hook)  # there is no way to take one away again: it stays, disarmed
        sys._formula_hook = True  # type: ignore[attr-defined]
    _armed.append((*_PROGRAMS, *_WORLD, *(_CODE if code else ())))
    try:
        yield
    finally:
        _armed.pop()


def reads_back_or_is_refused(text: str) -> bool:
    """Hold any text to the promise: an equal formula from its own print, or an error that points into the text."""
    try:
        formula = parse_formula(text, columns=DOT, functions=OWN)
    except FormulaError as error:
        _points_into(error, text)
        return False
    canonical = text_of(formula)
    again = parse_formula(canonical, functions=OWN)
    assert again == formula, f"{text!r} reads as {canonical!r}, which reads as another formula"
    assert text_of(again) == canonical, f"{text!r} prints as {canonical!r}, then as {text_of(again)!r}"
    assert set(columns_of(again)) == set(columns_of(formula)), text
    return True


def _points_into(error: FormulaError, text: str) -> None:
    """Check that a refusal has its three parts, and a caret that stands under the text."""
    assert all((error.problem, error.allowed, error.remedy, str(error))), repr(text)
    assert error.position is None or 0 <= error.position <= len(text), repr(text)


def is_described_or_refused(text: str, data: Any, functions: Any) -> bool:
    """Make a model of any text with data and describe it; only the package's own errors may come of it."""
    from speclet_formula.interpretation.explain import explain

    try:
        explanation = explain(text, data, functions=functions)
    except SpecletError as refusal:
        error = refusal
    else:
        error = None
    if error is not None:
        assert all((error.problem, error.allowed, error.remedy, str(error))), repr(text)
        return False
    assert explanation.words, repr(text)
    assert explanation.model, repr(text)
    return True
