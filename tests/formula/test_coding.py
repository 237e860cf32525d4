"""C(): the codings of R, patsy, formulae and statsmodels read as one of three calls, all else refused by name."""

import pytest

from speclet_formula.errors import FormulaError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import CODINGS, Call, coding_of, columns_of, text_of


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("C(f)", "factor(f)"),
        ("C(f, treatment)", "factor(f)"),
        ("C(f, contr.treatment)", "factor(f)"),
        ("C(f, Treatment())", "factor(f)"),
        ('C(f, Treatment("b"))', 'relevel(f, "b")'),
        ("C(f, Treatment(reference='b'))", 'relevel(f, "b")'),
        (r"C(f, Treatment('it\'s'))", 'relevel(f, "it\'s")'),
        *((f"C(f, {word})", f"C(f, {ours})") for ours, words in CODINGS.items() for word in (ours, *words)),
        ("C(f, Sum())", "C(f, sum)"),
        ("C(f, 'contr.sum')", "C(f, sum)"),
        ("C(f, contr = contr.sum)", "C(f, sum)"),
        ("C(`a b`, poly)", "C(`a b`, poly)"),
        ("C(factor(k), sum)", "C(factor(k), sum)"),
        ("C(f, Sum):x", "C(f, sum):x"),
    ],
)
def test_words_for_a_coding_are_read(written, read):
    formula = parse_formula(f"y ~ {written} + (1 | g)")
    assert text_of(formula.terms[0]) == read
    assert parse_formula(str(formula)) == formula


def test_a_coding_is_no_column():
    formula = parse_formula("y ~ C(f, sum) + (C(f, poly) | g)")
    assert columns_of(formula) == ("y", "f", "g")
    assert [coding_of(term.factors[0]) for term in formula.terms] == ["sum"]
    assert coding_of(parse_formula("y ~ relevel(f, 'b')").terms[0].factors[0]) is None


def test_a_function_of_the_users_own_keeps_its_name():
    call = parse_formula("y ~ C(f, sum)", functions=["C"]).terms[0].factors[0]
    assert isinstance(call, Call)
    assert columns_of(call) == ("f", "sum")


CODINGS_ARE = "Codings: treatment, sum, helmert, poly, sdif; contr.sum and Sum mean sum, and so on."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "y ~ C(f, suum)",
            f"y ~ C(f, suum)\n         ^\n'suum' is not a coding.\n{CODINGS_ARE}\nWrite sum.",
        ),
        (
            "y ~ C(f, x + z)",
            f"y ~ C(f, x + z)\n         ^\n'x + z' is not a coding.\n{CODINGS_ARE}\nChoose one of them.",
        ),
        (
            "y ~ C(f, sum, 2)",
            "y ~ C(f, sum, 2)\n    ^\n'C(f, sum, 2)' is not a factor with a coding.\n"
            f"C takes a factor and a coding. {CODINGS_ARE}\n"
            "Write C(f, sum), or relevel(f, 'control') for another reference.",
        ),
        (
            "y ~ C()",
            f"y ~ C()\n    ^\n'C()' is not a factor with a coding.\nC takes a factor and a coding. {CODINGS_ARE}\n"
            "Write C(f, sum), or relevel(f, 'control') for another reference.",
        ),
        (
            "y ~ C(f, Treatment(0))",
            "y ~ C(f, Treatment(0))\n         ^\n'Treatment(0)' has arguments that are not read.\n"
            "Treatment contrasts may name their reference level, a text; the other codings take nothing.\n"
            "Name the level: relevel(f, 'control').",
        ),
        (
            "y ~ C(f, Sum(omit='b'))",
            "y ~ C(f, Sum(omit='b'))\n         ^\n\"Sum(omit='b')\" has arguments that are not read.\n",
        ),
    ],
)
def test_all_else_is_refused(text, message):
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    assert str(caught.value).startswith(message.replace("\"Sum(omit='b')\"", "'Sum(omit='b')'"))
