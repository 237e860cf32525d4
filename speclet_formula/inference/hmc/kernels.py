"""Rows' log densities and their derivatives by the linear predictors, as compiled loops and as calls back to numpy.

A kernel fills `out` (1 + 2 K, n) with the log density of each row, up to a constant that no linear predictor changes,
then the first derivatives by each of K linear predictors, then the second ones.
"""

import math
import warnings
from collections.abc import Callable

import numpy as np
from numba import cfunc, njit, objmode, types
from numba.core.errors import NumbaWarning

from speclet_formula.inference.algebra.symbolic import Array

_VECTOR = types.float64[::1]
_TABLE = types.float64[:, ::1]
SIGNATURE = types.void(_TABLE, _VECTOR, _VECTOR, _VECTOR, _VECTOR, _TABLE)
type Slopes = Callable[[Array, Array, Array], None]  # (eta (K, n), numbers (e,), out)

_called_back: dict[int, Slopes] = {}


@cfunc(SIGNATURE, cache=True)
def poisson_log(eta, y, trials, weights, numbers, out):
    for i in range(len(y)):
        mean = math.exp(eta[0, i])
        out[0, i] = y[i] * eta[0, i] - mean
        out[1, i] = y[i] - mean
        out[2, i] = -mean


@cfunc(SIGNATURE, cache=True)
def binomial_logit(eta, y, trials, weights, numbers, out):
    for i in range(len(y)):
        x = eta[0, i]
        small = math.exp(-abs(x))
        p = (1.0 if x > 0 else small) / (1.0 + small)
        out[0, i] = y[i] * x - trials[i] * (max(x, 0.0) + math.log1p(small))
        out[1, i] = y[i] - trials[i] * p
        out[2, i] = -trials[i] * small / (1.0 + small) ** 2


@cfunc(SIGNATURE, cache=True)
def negativebinomial_log(eta, y, trials, weights, numbers, out):
    alpha = numbers[0]
    log_alpha = math.log(alpha)
    for i in range(len(y)):
        x = eta[0, i] - log_alpha
        small = math.exp(-abs(x))
        p = (1.0 if x > 0 else small) / (1.0 + small)
        total = y[i] + alpha
        out[0, i] = y[i] * eta[0, i] - total * (max(x, 0.0) + math.log1p(small))
        out[1, i] = y[i] - total * p
        out[2, i] = -total * small / (1.0 + small) ** 2


def _call(eta, numbers, out):
    _called_back[int(numbers[-1])](eta, numbers[:-1], out)


with warnings.catch_warnings():
    warnings.simplefilter("ignore", NumbaWarning)  # that a call back holds Python's lock

    @njit(SIGNATURE, cache=True, nogil=True)
    def _hold_lock(eta, y, trials, weights, numbers, out):
        with objmode():
            _call(eta, numbers, out)


@cfunc(SIGNATURE, cache=True)
def called_back(eta, y, trials, weights, numbers, out):
    _hold_lock(eta, y, trials, weights, numbers, out)


KERNELS = {
    ("poisson", "log"): poisson_log,
    ("bernoulli", "logit"): binomial_logit,
    ("binomial", "logit"): binomial_logit,
    ("negativebinomial", "log"): negativebinomial_log,
}
