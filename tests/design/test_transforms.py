"""The functions that a formula can call, against what R documents of them."""

import numpy as np
import pandas as pd
import pytest

from speclet_formula.design.transforms import STATEFUL, STATELESS
from speclet_formula.formula.terms import FUNCTIONS

X = np.random.default_rng(1).gamma(3.0, size=50)


def test_every_function_of_the_grammar_is_computed_somewhere() -> None:
    # These are parts of the formula's structure, not functions of a column.
    structure = {"offset", "cbind", "censored", "truncated"}
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


def test_interaction_has_observed_combinations_with_the_last_factor_fastest() -> None:
    crossed = STATELESS["interaction"](pd.Categorical(["b", "a", "a"]), pd.Categorical(["x", "y", "x"]))
    assert list(crossed.categories) == ["a:x", "a:y", "b:x"]


@pytest.mark.parametrize("name", ["log", "sqrt", "round", "pmin", "scale", "poly"])
def test_labels_are_not_numbers(name: str) -> None:
    labels = pd.Categorical(["a", "b"])
    call = (lambda: STATELESS[name](labels)) if name in STATELESS else (lambda: STATEFUL[name]({}, labels))
    with pytest.raises(ValueError, match="it needs numbers, not labels"):
        call()
