"""Changed formulas against those that R's update.formula gives, put down by hand."""

import pytest

from speclet_formula.errors import FormulaError
from speclet_formula.formula.parse import parse_formula
from tests.formula.messages import each_message

FORMER = "y ~ x + z + (1|g) + (x|h) + offset(w)"
REST = "(1 | g) + (1 + x | h) + offset(w)"

AS_R = [
    (". ~ .", f"y ~ 1 + x + z + {REST}"),
    ("~ .", f"y ~ 1 + x + z + {REST}"),
    (". ~ . - x", f"y ~ 1 + z + {REST}"),
    (". ~ . - (1|g)", "y ~ 1 + x + z + (1 + x | h) + offset(w)"),
    (". ~ . - (x|h)", "y ~ 1 + x + z + (1 | g) + offset(w)"),
    (". ~ . + x:z", f"y ~ 1 + x + z + x:z + {REST}"),
    (". ~ . - 1", f"y ~ 0 + x + z + {REST}"),
    (". ~ 0 + .", f"y ~ 0 + x + z + {REST}"),
    (". ~ . + (1|g)", f"y ~ 1 + x + z + {REST}"),
    (". ~ . + (0 + z|g)", "y ~ 1 + x + z + (1 | g) + (1 + x | h) + (0 + z | g) + offset(w)"),
    (". ~ . + q", f"y ~ 1 + x + z + q + {REST}"),
    (". ~ q", "y ~ 1 + q"),
    ("log(.) ~ .", f"log(y) ~ 1 + x + z + {REST}"),
    (". + 1 ~ .", f"y + 1 ~ 1 + x + z + {REST}"),
    ("q ~ .", f"q ~ 1 + x + z + {REST}"),
]

BEYOND_R = [
    (". ~ . - (1 + x|h)", "y ~ 1 + x + z + (1 | g) + offset(w)"),  # R keeps (x | h), spelled otherwise
    (". ~ . - (1||g)", "y ~ 1 + x + z + (1 + x | h) + offset(w)"),
    (". ~ . - offset(w)", "y ~ 1 + x + z + (1 | g) + (1 + x | h)"),  # R never takes an offset away
    (". ~ .*q", f"y ~ 1 + x + z + q + x:q + z:q + {REST}"),  # R makes (1 | g:q) of this
    (". ~ (.)^2", f"y ~ 1 + x + z + x:z + {REST}"),
    (". ~ . - (x + z)", f"y ~ 1 + {REST}"),
    (". ~ .; sigma ~ x", f"y ~ 1 + x + z + {REST}; sigma ~ 1 + x"),
]


@pytest.mark.parametrize(("change", "expected"), AS_R + BEYOND_R)
def test_a_change_gives_the_formula(change, expected):
    assert str(parse_formula(change, former=parse_formula(FORMER))) == expected


@pytest.mark.parametrize(
    ("former", "change", "expected"),
    [
        ("y ~ 0 + x", ". ~ 1 + .", "y ~ 0 + x"),
        ("y ~ 0 + x", ". ~ . + 1", "y ~ 1 + x"),
        ("y ~ x*z", ". ~ . - z:x", "y ~ 1 + x + z"),
        ("y ~ x + (1|a/b)", ". ~ . - (1|a/b)", "y ~ 1 + x"),
        ("y ~ x + (1|a/b)", ". ~ . - (1|b:a)", "y ~ 1 + x + (1 | a)"),
        ("cbind(s, f) ~ x", ". ~ . - x", "cbind(s, f) ~ 1"),
        ("y ~ x; sigma ~ x", ". ~ . - x; sigma ~ . + z", "y ~ 1; sigma ~ 1 + x + z"),
        ("y ~ x; sigma ~ x", ". ~ . + z", "y ~ 1 + x + z; sigma ~ 1 + x"),
    ],
)
def test_other_formulas_change_as_well(former, change, expected):
    assert str(parse_formula(change, former=parse_formula(former))) == expected


MESSAGES = """
. ~ . - xx
        ^
'xx' is not in the formula that is changed.
It has x, z.
Nearest: 'x'.

. ~ . - (x || h)
        ^
'(1 + x || h)' is not in the formula that is changed.
It has (1 | g), (1 + x | h).
Nearest: '(1 + x | h)'.

. ~ . - offset(q)
        ^
'offset(q)' is not in the formula that is changed.
It has offset(w).
Nearest: 'offset(w)'.

. ~ . + (x | g)
        ^
the intercept of 'g' appears twice, in (1 | g) and in (1 + x | g).
Each column of a grouping factor belongs to one group term.
Write (1 + x | g), or (1 | g) + (0 + x | g) without correlation between them.

. ~ log(.)
        ^
'.' is not a column.
'.' stands for all other columns as a term of its own, y ~ .
Name the column.
"""


@each_message(MESSAGES)
def test_messages(message):
    with pytest.raises(FormulaError) as error:
        parse_formula(message.split("\n")[0], former=parse_formula(FORMER))
    assert str(error.value) == message


def test_without_a_former_formula_group_terms_are_not_taken_away():
    with pytest.raises(FormulaError, match=r"stands next to '-'"):
        parse_formula("y ~ x - (1|g)")
