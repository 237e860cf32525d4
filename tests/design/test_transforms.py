"""The functions that a formula can call, against what R documents of them."""

import numpy as np
import pandas as pd
import pytest

from speclet_formula.design import build_design, replay_design
from speclet_formula.design.transforms import STATEFUL, STATELESS
from speclet_formula.errors import DataError, FormulaError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import FUNCTIONS

X = np.random.default_rng(1).gamma(3.0, size=50)


def test_every_function_of_the_grammar_is_computed_somewhere() -> None:
    # These are parts of the formula's structure, not functions of a column.
    structure = {"offset", "cbind", "censored", "truncated", "se", "s", "t2", "gp", "hsgp"}
    assert set(STATELESS) | set(STATEFUL) | structure == set(FUNCTIONS)


def test_scale_divides_by_the_sd_with_n_minus_1() -> None:
    assert np.allclose(STATEFUL["scale"]({}, X), (X - X.mean()) / X.std(ddof=1))


def test_poly_is_orthonormal_spans_the_powers_and_leads_with_positive_signs() -> None:
    basis = STATEFUL["poly"]({}, X, 3)
    assert np.allclose(basis.T @ basis, np.eye(3), atol=1e-10)
    assert np.allclose(basis.sum(axis=0), 0, atol=1e-10)
    powers = np.column_stack([X**k for k in range(4)])
    coefficients, *_ = np.linalg.lstsq(powers, basis, rcond=None)
    assert np.allclose(powers @ coefficients, basis)
    assert (np.diag(coefficients[1:]) > 0).all()


def test_bs_is_a_partition_of_unity() -> None:
    basis = STATEFUL["bs"]({}, X, df=6, intercept=True)
    assert basis.shape == (50, 6)
    assert np.allclose(basis.sum(axis=1), 1)


def test_ns_is_linear_at_the_ends() -> None:
    learnt: dict[str, object] = {}
    assert STATEFUL["ns"](learnt, X, df=4).shape == (50, 4)
    step = (X.max() - X.min()) / 1e3
    for end, inwards in ((X.min(), step), (X.max(), -step)):
        points = STATEFUL["ns"](learnt, end + inwards * np.arange(3))
        curvature = (points[0] - 2 * points[1] + points[2]) / step**2
        # The second derivative is zero at the end and grows linearly from there: a thousandth of its size inside.
        middle = STATEFUL["ns"](learnt, np.median(X) + step * np.arange(3))
        inside = np.abs((middle[0] - 2 * middle[1] + middle[2]) / step**2).max()
        assert np.abs(curvature).max() < 0.05 * inside + 1e-6


def test_given_knots_are_used() -> None:
    learnt: dict[str, object] = {}
    STATEFUL["bs"](learnt, X, knots=np.array([2.0, 4.0]))
    assert np.allclose(learnt["knots"][4:-4], [2.0, 4.0])  # type: ignore[index]


def test_factor_turns_numbers_into_labels_in_order() -> None:
    factor = STATEFUL["factor"]({}, np.array([10.0, 2.0, 10.0]))
    assert list(factor.categories) == ["2", "10"]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((), [[0, 0], [1, 0], [0, 1], [1, 0]]),  # as model.matrix(~ dummy(f)) has them in R
        (("b",), [0, 1, 0, 1]),
        ((np.array(["c", "a"]),), [[0, 1], [0, 0], [1, 0], [0, 0]]),
    ],
)
def test_dummy_has_a_column_for_each_level_as_in_lme4(levels: tuple, expected: list) -> None:
    assert STATEFUL["dummy"]({}, pd.Categorical(["a", "b", "c", "b"]), *levels).tolist() == expected


def test_dummy_knows_its_levels_again_in_new_rows() -> None:
    table = pd.DataFrame({"y": [1.0, 2, 3, 5], "k": [1, 2, 3, 1], "g": list("uuvv")})
    design = build_design(parse_formula("y ~ dummy(k, 2) + (0 + dummy(k) | g)"), table)
    assert design.mean.X[:, 1].tolist() == [0, 1, 0, 0]
    new = replay_design(design, pd.DataFrame({"k": [2, 2], "g": ["u", "v"]}))
    assert new.mean.X[:, 1].tolist() == [1, 1]
    assert new.mean.groups[0].values.tolist() == [[1, 0], [1, 0]]
    with pytest.raises(FormulaError, match="level '4' was not in the data"):
        replay_design(design, pd.DataFrame({"k": [4], "g": ["u"]}))


def test_dummy_refuses_a_level_that_is_not_there() -> None:
    with pytest.raises(FormulaError, match="'z' is not one of the levels a, b"):
        build_design(parse_formula("y ~ dummy(f, 'z')"), pd.DataFrame({"y": [1.0, 2], "f": ["a", "b"]}))
    with pytest.raises(FormulaError, match="its factor has one level"):
        build_design(parse_formula("y ~ dummy(f)"), pd.DataFrame({"y": [1.0, 2], "f": ["a", "a"]}))


def test_interaction_has_observed_combinations_with_the_last_factor_fastest() -> None:
    crossed = STATELESS["interaction"](pd.Categorical(["b", "a", "a"]), pd.Categorical(["x", "y", "x"]))
    assert list(crossed.categories) == ["a:x", "a:y", "b:x"]


@pytest.mark.parametrize("name", ["log", "sqrt", "round", "pmin", "scale", "poly"])
def test_labels_are_not_numbers(name: str) -> None:
    labels = pd.Categorical(["a", "b"])
    call = (lambda: STATELESS[name](labels)) if name in STATELESS else (lambda: STATEFUL[name]({}, labels))
    with pytest.raises(ValueError, match="it needs numbers, not labels"):
        call()


def made(text: str, n: int = 60) -> np.ndarray:
    """Return the fixed columns of a formula for two numeric columns and a factor."""
    rng = np.random.default_rng(6)
    table = {"y": rng.normal(size=n), "x": rng.normal(size=n), "z": rng.normal(size=n), "g": ["a", "b", "c"] * (n // 3)}
    return build_design(parse_formula(text), table).mean.X


def test_a_basis_of_one_column_is_a_column_as_in_r() -> None:
    x, z = made("y ~ x")[:, 1], made("y ~ poly(z, 1)")[:, 1]
    np.testing.assert_allclose(made("y ~ I(x * poly(z, 1))")[:, 1:], (x * z)[:, None])
    np.testing.assert_allclose(made("y ~ pmax(x, poly(z, 1))")[:, 1:], np.maximum(x, z)[:, None])
    np.testing.assert_allclose(
        made("y ~ scale(poly(z, 2))"), np.c_[np.ones(60), made("y ~ poly(z, 2)")[:, 1:] * 59**0.5]
    )


@pytest.mark.parametrize("text", ["x * poly(z, 2)", "poly(z, 2) + x", "pmax(x, poly(z, 2))", "poly(z, 2) > x"])
def test_a_basis_of_several_columns_is_refused_beside_a_column(text: str) -> None:
    with pytest.raises(FormulaError) as caught:
        made(f"y ~ I({text})")
    assert str(caught.value) == (
        f"'{text}' computes with 'poly(z, 2)', which has 2 columns, and with others.\n"
        "Arithmetic and functions take one column, or sets of as many columns, row by row.\n"
        "Write an interaction as terms, a:b, or a basis of one column: poly(x, 1)."
    )


def test_a_basis_may_be_computed_with_numbers_and_its_like() -> None:
    twice = made("y ~ I(2 * poly(z, 2))")[:, 1:]
    np.testing.assert_allclose(twice, made("y ~ I(poly(z, 2) + poly(z, 2))")[:, 1:])


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("poly(x, 100000000)", "degree is a whole number from 1 to 100, not 1e+08"),
        ("poly(x, 100000000, raw = TRUE)", "degree is a whole number from 1 to 100, not 1e+08"),
        ("poly(x, -1)", "degree is a whole number from 1 to 100, not -1"),
        ("poly(x, 1.5)", "degree is a whole number from 1 to 100, not 1.5"),
        ("poly(x, z)", "degree is a whole number from 1 to 100, not 60 values"),
        ("poly(x, 59)", "floating-point numbers do not tell the powers up to 59 of these values apart"),
        ("poly(poly(x, 2), 2)", "it takes one column, not 2"),
        ("bs(x, df = 100000000)", "df is a whole number from 1 to 2,000, not 1e+08"),
        ("bs(x, df = 1e300)", "df is a whole number from 1 to 2,000, not 1e+300"),
        ("bs(x, degree = 1000000)", "degree is a whole number from 1 to 100, not 1e+06"),
        ("bs(x, degree = 0)", "degree is a whole number from 1 to 100, not 0"),
        ("ns(x, df = 100000000)", "df is a whole number from 1 to 2,000, not 1e+08"),
        ("ns(x, df = 2.5)", "df is a whole number from 1 to 2,000, not 2.5"),
        ("round(x, 1000)", "digits is a whole number from -300 to 300, not 1000"),
        ("scale(x, 'a')", "center is TRUE or FALSE"),
        ("relevel(g, c('a', 'b'))", "ref is one level, not 2 values"),
        ("factor(poly(x, 2))", "it takes one column, not 2"),
        ("center(x, x)", "too many positional arguments"),
        ("sqrt(x, z)", "too many positional arguments"),
    ],
)
def test_arguments_are_checked_before_anything_is_made(call: str, reason: str) -> None:
    with pytest.raises(FormulaError) as caught:
        made(f"y ~ {call}")
    spelled = call.replace("'", '"').replace("1e300", "1e+300")
    assert str(caught.value).splitlines()[0] == f"'{spelled}' cannot be computed: {reason}."


def test_an_interaction_of_very_many_factors_has_the_observed_levels() -> None:
    assert np.array_equal(made(f"y ~ interaction({', '.join(['g'] * 100)})"), made("y ~ g"))


@pytest.mark.parametrize("text", ["y ~ {}", "y ~ x + offset({})", "{} ~ x", "y ~ x + (0 + {} | g)"])
def test_values_whose_squares_are_not_finite_are_refused(text: str) -> None:
    with pytest.raises(DataError) as caught:
        made(text.format("I(1e100 * x * 1e80)"))
    term = "offset(I(1e+100 * x * 1e+80))" if "offset" in text else "I(1e+100 * x * 1e+80)"
    assert str(caught.value) == (
        f"'{term}' has values beyond 1e+150.\nThe squares of all values must be finite numbers.\n"
        "Change the unit of its columns, or take logarithms."
    )


@pytest.mark.parametrize("text", ["y ~ {}", "y ~ x + offset({})", "{} ~ x", "y ~ x + (0 + {} | g)"])
def test_values_whose_squares_are_all_zero_are_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"has no value beyond 1e-150 but zero\.\n"):
        made(text.format("I(1e-100 * x * 1e-80)"))


@pytest.mark.parametrize("text", ["x - c(7, 2)", "pmax(x, c(7, 2))"])
def test_a_column_is_not_computed_with_a_few_numbers(text: str) -> None:
    with pytest.raises(FormulaError) as caught:
        made(f"y ~ I({text})")
    assert str(caught.value) == (
        f"'{text}' computes with 60 and 2 values.\n"
        "Columns are computed with row by row, and single numbers with every row.\n"
        "Leave c() out: it is for arguments such as knots = c(1, 2)."
    )


@pytest.mark.parametrize("text", ["y ~ factor(log(x))", "y ~ (1 | factor(log(x)))", "y ~ (1 | factor(log(x)):g)"])
def test_a_factor_without_a_level_in_some_rows_is_refused(text: str) -> None:
    with pytest.raises(DataError) as caught:
        made(text)
    assert str(caught.value).startswith("'factor(log(x))' has no level in ")
