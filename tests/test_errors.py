"""Errors quote what they are about, and no more of it than fits."""

import pickle

import pytest

from speclet_formula.errors import DataError, FormulaError


@pytest.mark.parametrize(("before", "after"), [(0, 0), (30, 0), (500, 0), (0, 500), (500, 500)])
def test_a_long_formula_is_shown_around_the_place(before, after):
    text = "y ~ " + "a + " * before + "!" + " + b" * after
    error = FormulaError("what", "allowed", "remedy", text, text.index("!"))
    shown, caret, *message = str(error).split("\n")
    assert len(shown) <= 206
    assert shown[caret.index("^")] == "!"
    assert (shown.startswith("..."), shown.endswith("...")) == (before == 500, after == 500)
    assert message == ["what", "allowed", "remedy"]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_long_value_is_shown_by_its_ends():
    error = DataError(f"n={dict.fromkeys(range(3000), 'a')!r} is no number.", "It is one.", "Write n=1.")
    first, *others = str(error).split("\n")
    assert first.startswith("n={0: 'a', 1: ")
    assert first.endswith("2999: 'a'} is no number.")
    assert len(first) < len(error.problem) / 10
    assert others == ["It is one.", "Write n=1."]
