"""Operators among the terms expand as R defines them, and what is not a term is refused."""

import itertools

import pytest
from hypothesis import given, strategies as st

from speclet_formula.errors import FormulaError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import columns_of, text_of
from tests.formula.messages import each_message, refusal


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("y ~ .", "y ~ 1 + x + z + `a b`"),
        ("y ~ . - x", "y ~ 1 + z + `a b`"),
        ("log(y / x) ~ .", "log(y / x) ~ 1 + z + `a b`"),
        ("y ~ (.)^2 - `a b`:z", "y ~ 1 + x + z + `a b` + x:z + x:`a b`"),
        ("y ~ z + .", "y ~ 1 + z + x + `a b`"),
        ("y ~ . + (1 | x)", "y ~ 1 + x + z + `a b` + (1 | x)"),
        ("y ~ 1; sigma ~ .", "y ~ 1; sigma ~ 1 + x + z + `a b`"),
    ],
)
def test_a_dot_is_all_columns_that_the_response_does_not_use(text, canonical):
    assert text_of(parse_formula(text, columns=["y", "x", "z", "a b"])) == canonical


@pytest.mark.parametrize("column", [3, "", "a\0b", ("a", "b"), None])
def test_a_dot_refuses_columns_that_a_formula_cannot_hold(column):
    with pytest.raises(FormulaError) as error:
        parse_formula("y ~ .", columns=["y", column])
    assert error.value.problem == f"'.' covers the column {column!r}, whose name a formula cannot hold."
    assert error.value.position == 4


# Each block is a formula with its whole message, which begins with that formula.
MESSAGES = r"""
y ~ x|g
     ^
'|' stands outside parentheses.
A group term stands in parentheses: (x | g).
Write (x | g) for correlated effects, (x || g) for uncorrelated ones.

y ~ a + x || g
          ^
'||' stands outside parentheses.
A group term stands in parentheses: (x | g).
Write (x | g) for correlated effects, (x || g) for uncorrelated ones.

y ~ x + 1e-3*z + (1|g)
        ^
'1e-3' is a number, not a term.
The only numbers among the terms are 1 and 0, with and without intercept.
Write arithmetic inside I(), such as I(1e-3 * x).

y ~ .
    ^
'.' needs the data's columns, which are not known here.
'.' stands for all columns of the data that are not on the left of '~', as a term of its own.
Pass columns=, or name the columns.

y ~ x/2
      ^
'2' is a number, not a term.
The only numbers among the terms are 1 and 0, with and without intercept.
Write arithmetic inside I(), such as I(2 * x).

y ~ x^z
      ^
'z' is not an order of interaction.
'^' takes a whole number from 1 on: (a + b)^2.
Write I(x^z) for arithmetic.

y ~ x^0
      ^
'0' is not an order of interaction.
'^' takes a whole number from 1 on: (a + b)^2.
Write I(x^0) for arithmetic.

y ~ 1:a
    ^
':' has no term to combine in '1'.
':' combines terms, not numbers.
Add or remove the intercept with + 1, + 0 or - 1; write arithmetic inside I().

y ~ 'a'
    ^
''a'' is not a term.
Terms are joined by + - * / : ^ and %in%; group terms stand in parentheses, (1 | g).
Write `a` if that is a column.

y ~ x > 3
    ^
'x > 3' is not a term.
Terms are joined by + - * / : ^ and %in%; group terms stand in parentheses, (1 | g).
Write I(x > 3) to compute it first.

y ~ !x
    ^
'!x' is not a term.
Terms are joined by + - * / : ^ and %in%; group terms stand in parentheses, (1 | g).
Write I(!x) to compute it first.

y ~ cbind(a, b)
    ^
'cbind(a, b)' stands where cbind has no meaning.
cbind(successes, failures) is a whole response, on the left of '~'.
Write the columns as terms of their own.

y ~ a:offset(b)
      ^
'offset(b)' is not an offset.
offset takes one argument without a name and is added to the formula with '+'.
Write y ~ x + offset(log(n)).

y ~ offset(a, b)
    ^
'offset(a, b)' is not an offset.
offset takes one argument without a name and is added to the formula with '+'.
Write y ~ x + offset(log(n)).

y ~ (offset(x) | g)
     ^
'offset(x)' is not an offset.
offset takes one argument without a name and is added to the formula with '+'.
Write y ~ x + offset(log(n)).

y ~ (0|g)
     ^
'(0|g)' has no column.
The left of the bar has an intercept, 1, or columns that vary by group.
Write (1 | g), or leave the group term out.

y ~ (.|g)
     ^
'.' stands inside a group term.
'.' stands for all columns of the data that are not on the left of '~', as a term of its own.
Name the columns that vary by group.

y ~ (1|g|h)
        ^
'(1|g|h)' has more than one bar.
A group term has one bar, | or ||.
Write two group terms.

y ~ (x + (1|g) | h)
         ^
the group term '(1|g)' stands inside another group term.
Group terms are added to a formula with '+'.
Write it as a term alone.

y ~ a*(1|g)
      ^
the group term '(1|g)' stands next to '*'.
Group terms are added to a formula with '+'.
Write it as a term alone.

y ~ x - (1|g)
        ^
the group term '(1|g)' stands next to '-'.
Group terms are added to a formula with '+'.
Write it as a term alone.

y ~ (a1+a2+a3+a4+a5+a6+a7+a8+a9+b1+b2+b3+b4+b5+b6+b7)^12
                                                     ^
the terms would fill more than 500000 characters.
Operators expand to less.
Name the interactions that matter.
"""


@each_message(MESSAGES)
def test_messages(message):
    assert refusal(message) == message


TREES = st.recursive(
    st.sampled_from("abcd"),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "*", ":", "/", "%in%"]), inner),
    max_leaves=6,
)


def written(tree):
    return tree if isinstance(tree, str) else f"({written(tree[0])} {tree[1]} {written(tree[2])})"


def expanded(tree):
    """R's definition of each operator, on sets of sets of columns."""
    if isinstance(tree, str):
        return {frozenset(tree)}
    left, right = expanded(tree[0]), expanded(tree[2])
    products = {one | other for one in left for other in right}
    return {
        "+": left | right,
        "*": left | right | products,
        ":": products,
        "/": left | {frozenset.union(*left) | other for other in right},
        "%in%": {one | frozenset.union(*right) for one in left},
    }[tree[1]]


def factors(formula):
    return [frozenset(columns_of(term)) for term in formula.terms]


@given(TREES, TREES)
def test_expansion_is_that_of_r(tree, removed):
    formula = parse_formula(f"y ~ {written(tree)}")
    assert set(factors(formula)) == expanded(tree)
    assert len(formula.terms) == len(expanded(tree))
    degrees = [len(term.factors) for term in formula.terms]
    assert degrees == sorted(degrees)
    assert set(factors(parse_formula(f"y ~ {written(tree)} - {written(removed)}"))) == expanded(tree) - expanded(
        removed
    )


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("order", [1, 2, 3, 9])
def test_power_is_all_interactions_up_to_its_order(size, order):
    names = "abcd"[:size]
    degrees = range(1, min(order, size) + 1)
    expected = [":".join(subset) for degree in degrees for subset in itertools.combinations(names, degree)]
    assert [text_of(term) for term in parse_formula(f"y ~ ({'+'.join(names)})^{order}").terms] == expected
