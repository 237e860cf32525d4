"""The search with gradients on functions whose minimum is known."""

import numpy as np
import pytest

from speclet_formula.inference.minimum import bent, descend, minimise_sloped


def searched(function, start, sizes=None):
    start = np.asarray(start, dtype=float)
    sizes = np.zeros(len(start), dtype=bool) if sizes is None else np.asarray(sizes)
    return descend(function, lambda x: function(x)[0], start, np.eye(len(start)), sizes, np.ones(len(start)))


def rosenbrock(x):
    a, b = 1 - x[0], x[1] - x[0] ** 2
    return a**2 + 100 * b**2, np.array([-2 * a - 400 * x[0] * b, 200 * b])


def test_a_curved_valley_is_followed_to_its_end():
    found = searched(rosenbrock, [-1.2, 1.0])
    np.testing.assert_allclose(found.point, [1, 1], atol=1e-5)
    np.testing.assert_allclose(found.hessian, [[802, -400], [-400, 200]], rtol=1e-3)
    assert found.converged
    assert found.free.all()


def test_a_size_whose_best_value_is_zero_is_exactly_zero():
    def function(x):
        return (x[1] - 2) ** 2 + x[0] ** 2, np.array([2 * x[0], 2 * (x[1] - 2)])

    found = searched(function, [0.7, 0.0], [True, False])
    assert found.point[0] == 0.0
    assert found.free.tolist() == [False, True]
    assert found.point[1] == pytest.approx(2, abs=1e-5)


def test_a_lower_minimum_beyond_zero_is_found():
    def function(x):  # a shallow minimum at 0, a deep one at 2
        s = x[0] ** 2
        return s * (s - 4) ** 2 / 8 - s / 2, np.array([x[0] * ((s - 4) ** 2 / 4 + s * (s - 4) / 2 - 1)])

    found = searched(function, [0.05], [True])
    assert abs(found.point[0]) > 1.9


def test_where_the_function_is_impossible_the_step_is_halved():
    def function(x):
        if x[0] <= 0:
            return np.inf, np.zeros(1)
        return x[0] - np.log(x[0]), np.array([1 - 1 / x[0]])

    assert searched(function, [20.0]).point[0] == pytest.approx(1, abs=1e-4)


def test_a_function_without_a_minimum_has_not_converged():
    found = searched(lambda x: (float(x[0]), np.array([1.0])), [0.0])
    assert not found.converged


def test_the_hessian_by_differences_is_that_of_the_gradient():
    point = np.array([0.3, -0.4])
    expected = [[2 - 400 * (point[1] - 3 * point[0] ** 2), -400 * point[0]], [-400 * point[0], 200]]
    np.testing.assert_allclose(bent(rosenbrock, point, np.eye(2) * 200, np.ones(2, dtype=bool)), expected, rtol=1e-3)


def test_with_a_gradient_directions_without_change_are_told():
    """Of three sizes one has no part, and of two others only the sum of their squares."""

    def function(x):
        level = x[0] ** 2 + x[1] ** 2 - 4
        return level**2 + 10.0, np.array([4 * level * x[0], 4 * level * x[1], 0.0])

    found = minimise_sloped(
        lambda points: np.array([function(x)[0] for x in points]), function, np.ones(3, dtype=bool), np.full(3, 4.0)
    )
    assert found.value == pytest.approx(10, abs=1e-8)
    assert found.converged
    assert any(abs(step[2]) > 0.99 * np.linalg.norm(step) for step in found.flat)
    assert np.linalg.norm(found.point[:2]) == pytest.approx(2, abs=1e-4)


def test_with_a_gradient_a_minimum_that_all_numbers_tell_has_no_such_directions():
    def function(x):
        return (x[0] ** 2 - 1) ** 2 * 50 + (x[1] + 0.3) ** 2 * 20, np.array([
            200 * x[0] * (x[0] ** 2 - 1), 40 * (x[1] + 0.3),
        ])  # fmt: skip

    found = minimise_sloped(
        lambda points: np.array([function(x)[0] for x in points]), function, np.array([True, False]), np.ones(2)
    )
    np.testing.assert_allclose(np.abs(found.point), [1, 0.3], atol=1e-5)
    assert not len(found.flat)
