"""Bases of smooths: their penalty is the identity, as the integral of squared second derivatives says."""

import numpy as np
import pytest
from scipy.integrate import quad

from speclet_formula.design.bases import (
    MOST_KNOTS,
    cubic_regression,
    cyclic,
    penalised_splines,
    rotated,
    thin_plate,
)


def values_at(basis, x):
    return basis.values(np.asarray(x, dtype=float)[:, None]) @ basis.wiggles


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(5).uniform(2, 9, 60)


def second(basis, at, step=1e-3):
    return (values_at(basis, [at + step]) - 2 * values_at(basis, [at]) + values_at(basis, [at - step]))[0] / step**2


@pytest.mark.parametrize("make", [cubic_regression, cyclic, lambda x, k: thin_plate(x[:, None], k)])
def test_the_penalty_is_the_integral_of_the_squared_second_derivative(x, make):
    """A weighted sum of columns has the penalty of its coefficients' sum of squares, whatever made it."""
    basis = make(x, 6)
    coefficients = np.random.default_rng(1).normal(size=basis.wiggles.shape[1])
    breaks = np.unique(np.concatenate([np.linspace(x.min(), x.max(), 40), np.sort(x)]))
    pieces = zip(breaks[:-1] + 1e-2 * np.diff(breaks), breaks[1:] - 1e-2 * np.diff(breaks), strict=True)
    total = sum(
        quad(lambda at: (second(basis, at, 1e-4 * np.ptp(x)) @ coefficients) ** 2, *piece, limit=20)[0] / 0.98
        for piece in pieces
    )
    assert total == pytest.approx(coefficients @ coefficients, rel=0.02)


@pytest.mark.parametrize("make", [cubic_regression, penalised_splines, lambda x, k: thin_plate(x[:, None], k)])
def test_beyond_the_data_curves_are_straight(x, make):
    basis = make(x, 7)
    beyond = values_at(basis, [12.0, 13.0, 14.0])
    np.testing.assert_allclose(beyond[2] - beyond[1], beyond[1] - beyond[0], rtol=1e-9, atol=1e-12)


def test_a_cycle_ends_as_it_begins(x):
    basis = cyclic(x, 8)
    low, high = x.min(), x.max()
    np.testing.assert_allclose(values_at(basis, [low]), values_at(basis, [high]), atol=1e-9)
    np.testing.assert_allclose(values_at(basis, [high + 0.3]), values_at(basis, [low + 0.3]), atol=1e-9)


def test_b_splines_have_the_penalty_of_their_differences(x):
    basis = penalised_splines(x, 9)
    differences = np.diff(np.eye(9), n=2, axis=0) @ basis.wiggles
    np.testing.assert_allclose(differences.T @ differences, np.eye(7), atol=1e-9)


def test_a_thin_plate_of_all_its_points_interpolates(x):
    """With as many coefficients as points it can be any curve; the least penalty is then a natural spline's."""
    points = np.unique(x)[:12, None]
    basis = thin_plate(points, 12)
    columns = np.column_stack([np.ones(12), points, basis.values(points) @ basis.wiggles])
    assert np.linalg.matrix_rank(columns) == 12


def test_a_large_table_is_made_of_some_of_its_points():
    x = np.random.default_rng(2).uniform(size=3 * MOST_KNOTS)
    few, all_points = thin_plate(x[:, None], 8), np.linspace(0.05, 0.95, 7)
    again = thin_plate(np.random.default_rng(3).permutation(x)[:, None], 8)
    first, second_ = values_at(few, all_points), values_at(again, all_points)
    np.testing.assert_allclose(first @ first.T, second_ @ second_.T, rtol=1e-6)


def test_a_rotation_is_the_same_whatever_turned_the_columns_before():
    rng = np.random.default_rng(4)
    columns, turn = rng.normal(size=(5, 5)), np.linalg.qr(rng.normal(size=(5, 5)))[0]
    first, then = columns @ rotated(columns), (columns @ turn) @ rotated(columns @ turn)
    np.testing.assert_allclose(first, then, atol=1e-10)
    assert (np.diag(first) > 0).all()
    np.testing.assert_allclose(np.triu(first, 1), 0, atol=1e-12)
