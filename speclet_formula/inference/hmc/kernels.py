"""Rows' log densities and their derivatives by the linear predictors, as functions that compiled loops can be handed.

A kernel fills `out` with the log density of each row, up to a constant that no linear predictor changes, then the first
derivatives by each of K linear predictors, then the second ones. Those of one linear predictor are the families' own
loops; where other parameters have formulas there is one for gaussian responses, and a call back to numpy for the rest.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from numba import cfunc, njit, objmode, types

from speclet_formula.families import kernels as loops
from speclet_formula.families.kernels.special import IDENTITY, mean_of
from speclet_formula.inference.algebra.symbolic import Array

_VECTOR = types.float64[::1]
_TABLE = types.float64[:, ::1]
# eta (K, n), response (n,), of counts of levels those of each row after those of the one before, trials, weights (n,),
# numbers (e + 2,), out (4 or 1 + 2 K, n). The last two numbers are the places of link and kind of zeros; of a call back
# the last one is its own.
SIGNATURE = types.void(_TABLE, _VECTOR, _VECTOR, _VECTOR, _VECTOR, _TABLE)
NEAR_A_KINK = 0.1  # of the spread, for a gradient that trajectories follow; bends are of the whole spread
type Slopes = Callable[[Array, Array, Array], None]  # (eta (K, n), numbers (e,), out)

CALLED_BACK: dict[int, Slopes] = {}  # by number, while a fit needs them


def _beta(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.beta(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _beta_binomial(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.beta_binomial(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _binomial(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.binomial(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _categorical(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    loops.categorical(eta, response, out)


def _cumulative(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.cumulative(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _dirichlet_multinomial(
    eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    loops.dirichlet_multinomial(eta, response, trials, out)


def _exgaussian(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.exgaussian(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _gamma(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.gamma(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _gaussian(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.gaussian(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _gaussian_with_errors(
    eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array
) -> None:
    link, zeros = int(numbers[0]), int(numbers[1])
    loops.gaussian_with_errors(link, zeros, eta[0], response, trials, weights, numbers[:0], out)


def _lognormal(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.lognormal(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _multinomial(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    loops.multinomial(eta, response, trials, out)


def _negativebinomial(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.negativebinomial(
        int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out
    )


def _poisson(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.poisson(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _sratio(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.sratio(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _t(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.t(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _vonmises(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.vonmises(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _wald(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.wald(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _weibull(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    own = len(numbers) - 2
    loops.weibull(int(numbers[own]), int(numbers[own + 1]), eta[0], response, trials, weights, numbers[:own], out)


def _varying_sigma(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    for row in range(len(response)):
        precision = weights[row] * math.exp(-2.0 * eta[1, row])
        rest = response[row] - eta[0, row]
        square = precision * rest * rest
        out[0, row] = -eta[1, row] - 0.5 * square
        out[1, row], out[2, row] = precision * rest, square - 1.0
        out[3, row], out[4, row] = -precision, -2.0 * square


@njit(cache=True)
def _kinked_row(link: int, eta: float, y: float, above: float, below: float) -> tuple[float, float, float]:
    """Return a log density that falls with these rates on either side of its parent, and its levelled slopes.

    At a kink and away from it slopes say nothing of how the density bends: over its own spread they do, and no row may
    promise to gain more than what it lacks to its peak.
    """
    mean, slope, _, _ = mean_of(link, eta)
    width = 1.0 / (math.sqrt(above * below) * abs(slope))
    if link != IDENTITY:
        width = min(width, 1.0)
    near = NEAR_A_KINK * width
    here = _fallen(y - mean, above, below)
    first = _fallen(y - mean_of(link, eta + near)[0], above, below)
    first = (first - _fallen(y - mean_of(link, eta - near)[0], above, below)) / (2 * near)
    second = _fallen(y - mean_of(link, eta + width)[0], above, below) - 2 * here
    second += _fallen(y - mean_of(link, eta - width)[0], above, below)
    return here, first, min(second / width**2, -0.5 * first * first / max(-here, 1.0))


@njit(cache=True)
def _fallen(distance: float, above: float, below: float) -> float:
    return -above * distance if distance > 0 else below * distance


def _laplace(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    rate, link = 1.0 / numbers[0], int(numbers[1])
    for row in range(len(response)):
        out[0, row], out[1, row], out[2, row] = _kinked_row(link, eta[0, row], response[row], rate, rate)


def _asymmetriclaplace(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    above, below, link = numbers[0] * numbers[1], numbers[0] / numbers[1], int(numbers[2])
    for row in range(len(response)):
        out[0, row], out[1, row], out[2, row] = _kinked_row(link, eta[0, row], response[row], above, below)


def _call(eta: Array, numbers: Array, out: Array) -> None:
    CALLED_BACK[int(numbers[-1])](eta, numbers[:-1], out)


@njit(SIGNATURE, cache=True)
def _hold_lock(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    with objmode():
        _call(eta, numbers, out)


def _called_back(eta: Array, response: Array, trials: Array, weights: Array, numbers: Array, out: Array) -> None:
    _hold_lock(eta, response, trials, weights, numbers, out)


_OF_OTHERS = {"": _called_back, "varying_sigma": _varying_sigma}


@cache
def kernel_of(name: str) -> Any:
    """Return a kernel by the name of the family's loop, "varying_sigma", or "" for a call back."""
    return cfunc(SIGNATURE, cache=True)(_OF_OTHERS.get(name) or globals()[f"_{name}"])
