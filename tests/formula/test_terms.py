"""Records print as canonical R text, name their columns, and combine as R combines terms."""

import dataclasses
import pickle

import pytest

from speclet_formula.formula.terms import (
    FUNCTIONS,
    Argument,
    Call,
    Flag,
    Formula,
    GroupTerm,
    Name,
    Number,
    Operation,
    Term,
    Text,
    by_degree,
    columns_of,
    crossed,
    distinct,
    interacted,
    nested,
    text_of,
    within,
)

A, B, C = (Term((Name(name),)) for name in "abc")
X, Y, Z = (Name(name) for name in "xyz")


def operation(operator, *operands):
    return Operation(operator, operands)


def call(function, *values):
    return Call(function, tuple(Argument(None, value) for value in values))


def names(terms):
    return [text_of(term) for term in terms]


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (Name("log_fc"), "log_fc"),
        (Name(".hidden"), ".hidden"),
        (Name("größe"), "größe"),
        (Name("."), "`.`"),
        (Name("sgRNA id"), "`sgRNA id`"),
        (Name("gene:sgRNA"), "`gene:sgRNA`"),
        (Name("_x"), "`_x`"),
        (Name(".2way"), "`.2way`"),
        (Name("2way"), "`2way`"),
        (Name("TRUE"), "`TRUE`"),
        (Name("if"), "`if`"),
        (Name("a`b\\c"), r"`a\`b\\c`"),
        (Name("two\nlines"), r"`two\nlines`"),
        (Number(2), "2"),
        (Number(0.001), "0.001"),
        (Number(1e-10), "1e-10"),
        (Number(1e20), "1e+20"),
        (Text('a"b'), r'"a\"b"'),
        (Text("it's"), '"it\'s"'),
        (Flag(value=True), "TRUE"),
        (Flag(value=False), "FALSE"),
        (Argument("degree", Number(2)), "degree = 2"),
        (Argument("a b", X), "`a b` = x"),
        (Call("poly", (Argument(None, X), Argument("raw", Flag(value=True)))), "poly(x, raw = TRUE)"),
        (Term((Name("cn"), call("poly", X, Number(2)))), "cn:poly(x, 2)"),
        (GroupTerm(True, (), A, True), "(1 | a)"),
        (GroupTerm(True, (A,), Term((Name("g"), Name("h"))), True), "(1 + a | g:h)"),
        (GroupTerm(False, (A, B), C, False), "(0 + a + b || c)"),
        (Formula(None, True, (A,), (), (), ()), "~ 1 + a"),
        (Formula(Y, False, (), (), (), ()), "y ~ 0"),
        (Formula(Y, True, (A,), (), (call("log", X),), ()), "y ~ 1 + a + offset(log(x))"),
        (
            Formula(Y, True, (), (), (), (("sigma", Formula(None, True, (A,), (), (), ())),)),
            "y ~ 1; sigma ~ 1 + a",
        ),
    ],
)
def test_text_of_each_record(node, text):
    assert text_of(node) == text


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (operation("/", X, Y), "x / y"),
        (operation("-", operation("-", X, Y), Z), "x - y - z"),
        (operation("-", X, operation("-", Y, Z)), "x - (y - z)"),
        (operation("*", operation("+", X, Y), Z), "(x + y) * z"),
        (operation("+", operation("*", X, Y), Z), "x * y + z"),
        (operation("^", X, operation("^", Y, Z)), "x^y^z"),
        (operation("^", operation("^", X, Y), Z), "(x^y)^z"),
        (operation("^", X, operation("-", Number(2))), "x^-2"),
        (operation("^", X, operation("+", Y, Z)), "x^(y + z)"),
        (operation("-", operation("^", X, Number(2))), "-x^2"),
        (operation("^", operation("-", X), Number(2)), "(-x)^2"),
        (operation("-", operation("+", X, Y)), "-(x + y)"),
        (operation("*", X, operation("-", Y)), "x * -y"),
        (operation("!", operation("==", X, Y)), "!x == y"),
        (operation("==", operation("!", X), Y), "(!x) == y"),
        (operation("<", operation("<", X, Y), Z), "(x < y) < z"),
        (operation("<", X, operation("<", Y, Z)), "x < (y < z)"),
        (operation("&", operation("|", X, Y), Z), "(x | y) & z"),
        (operation("|", operation("&", X, Y), Z), "x & y | z"),
        (operation("%in%", X, call("c", Text("a"))), 'x %in% c("a")'),
    ],
)
def test_operations_print_with_the_parentheses_that_they_need_and_no_more(node, text):
    assert text_of(node) == text


def test_formula_prints_itself():
    formula = Formula(Y, True, (A,), (GroupTerm(True, (), B, True),), (), ())
    assert str(formula) == text_of(formula) == "y ~ 1 + a + (1 | b)"


def test_columns_stand_in_order_of_first_use_and_none_twice():
    response = operation("/", Name("treated"), Name("control"))
    group_term = GroupTerm(True, (A,), Term((Name("g"), call("factor", Name("h")))), True)
    sigma = Formula(None, True, (Term((Name("s"),)), A), (), (), ())
    formula = Formula(response, True, (B, A), (group_term,), (call("log", Name("n")),), (("sigma", sigma),))
    assert columns_of(formula) == ("treated", "control", "b", "a", "g", "h", "n", "s")


@pytest.mark.parametrize("node", [Number(1), Text("x"), Flag(value=True), call("c", Number(1), Text("y"))])
def test_constants_use_no_column(node):
    assert columns_of(node) == ()


def test_names_of_arguments_and_functions_are_not_columns():
    assert columns_of(Call("poly", (Argument("x", Y), Argument("degree", Number(2))))) == ("y",)


def test_records_are_frozen_and_survive_pickling():
    formula = Formula(Y, True, (A,), (GroupTerm(True, (A,), B, False),), (X,), ())
    with pytest.raises(dataclasses.FrozenInstanceError):
        formula.intercept = False
    assert pickle.loads(pickle.dumps(formula)) == formula
    assert hash(pickle.loads(pickle.dumps(formula))) == hash(formula)


def test_algebra_is_that_of_r():
    assert names(crossed((A,), (B,))) == ["a", "b", "a:b"]
    assert names(nested((A, B), (C,))) == ["a", "b", "a:b:c"]
    assert names(within((A, B), (C,))) == ["a:c", "b:c"]
    assert names(within((A,), (B, C))) == ["a:b:c"]
    assert names(interacted((A, B), (B, C))) == ["a:b", "a:c", "b", "b:c"]


def test_a_repeated_interaction_keeps_its_first_spelling():
    assert names(distinct((*interacted((B,), (A,)), A, *interacted((A,), (B,)), A))) == ["b:a", "a"]


def test_terms_are_ordered_by_degree_and_then_stay():
    assert names(by_degree((*interacted((A,), (B,)), C, A))) == ["c", "a", "a:b"]


def test_every_function_has_a_meaning():
    assert all(meaning and not meaning.endswith(".") for meaning in FUNCTIONS.values())
    with pytest.raises(TypeError):
        FUNCTIONS["system"] = "no"
