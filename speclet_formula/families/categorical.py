"""Levels without an order, one in a row or counts of all of them: log densities, probabilities, simulations.

Each level has a linear predictor of its own. Of a categorical and a multinomial response it is the logarithm of how
often the level occurs for each time that the first level does, whose own is 0 (softmax). Of a Dirichlet-multinomial one
it is the logarithm of the level's concentration, and the first level has one too. The parent parameter is that of the
first linear predictor; those of the others follow in the levels' order.
"""

from typing import Any

import numpy as np
from scipy import special

from speclet_formula.design.response import PerLevel
from speclet_formula.families.specification import FamilySpecification, Parameters, Spelling


def _log_weights(first: np.ndarray, p: Parameters) -> np.ndarray:
    """Return the linear predictors of all levels, (K, ..., n), the first level's 0 among them."""
    others = [np.asarray(value, dtype=float) for value in p.values()]
    return np.stack(np.broadcast_arrays(np.zeros(1), np.asarray(first, dtype=float), *others))


def _log_shares(first: np.ndarray, p: Parameters) -> np.ndarray:
    """Return the log probability of each level, (K, ..., n)."""
    weights = _log_weights(first, p)
    shares: np.ndarray = weights - special.logsumexp(weights, axis=0)
    return shares


def _categorical(y: np.ndarray, first: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """P(y = k) = exp(eta_k) / sum of exp(eta)."""
    shares = _log_shares(first, p)
    level = np.asarray(y, dtype=int)
    shape = np.broadcast_shapes(level.shape, shares.shape[1:])
    shares = np.broadcast_to(shares, (len(shares), *shape))
    return np.take_along_axis(shares, np.broadcast_to(level, shape)[np.newaxis], axis=0)[0]


def _multinomial(y: np.ndarray, first: np.ndarray, p: Parameters, trials: Any) -> Any:
    """Counts (n, K) out of (n,) trials."""
    return _ways(y, trials) + (np.moveaxis(y, -1, 0)[:, *[None] * (np.ndim(first) - 1)] * _log_shares(first, p)).sum(0)


def _ways(y: np.ndarray, trials: Any) -> Any:
    return special.gammaln(np.asarray(trials) + 1.0) - special.gammaln(y + 1.0).sum(axis=-1)


def _dirichlet_multinomial(y: np.ndarray, first: np.ndarray, p: Parameters, trials: Any) -> Any:
    """Counts whose shares have a Dirichlet distribution; levels' concentrations are the parameters."""
    total: Any = 0.0
    log_density: Any = _ways(y, trials)
    for level, concentration in enumerate((first, *p.values())):
        total = total + concentration
        log_density = log_density + _log_rising(y[..., level], concentration)
    return log_density - _log_rising(np.asarray(trials), total)


def _log_rising(count: Any, a: Any) -> Any:
    """Return the log of a (a + 1) ... (a + count - 1), whose digits a difference of two Gamma functions would lose."""
    some = np.maximum(count, 1)
    return np.where(count > 0, special.gammaln(some) - special.betaln(a, some), 0.0)


def _probabilities(first: np.ndarray, p: Parameters) -> Any:
    """Return the probability of each level, (..., n, K)."""
    return np.moveaxis(np.exp(_log_shares(first, p)), 0, -1)


def _mean_shares(first: np.ndarray, p: Parameters) -> Any:
    """Return the expected share of each level, (..., n, K)."""
    concentrations = _concentrations(first, p)
    return concentrations / concentrations.sum(axis=-1, keepdims=True)


def _concentrations(first: np.ndarray, p: Parameters) -> np.ndarray:
    """Return the concentrations (..., n, K)."""
    return np.stack(np.broadcast_arrays(first, *p.values()), axis=-1)


def _draw_categorical(rng: np.random.Generator, first: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Draw the level whose log probability and a Gumbel number are the largest together."""
    shares = _log_shares(first, p)
    return np.argmax(shares + rng.gumbel(size=shares.shape), axis=0)


def _draw_multinomial(rng: np.random.Generator, first: np.ndarray, p: Parameters, trials: Any) -> Any:
    return rng.multinomial(np.asarray(trials, dtype=np.int64), _probabilities(first, p))


def _draw_dirichlet_multinomial(rng: np.random.Generator, first: np.ndarray, p: Parameters, trials: Any) -> Any:
    gammas = rng.standard_gamma(_concentrations(first, p))
    total = gammas.sum(axis=-1, keepdims=True)
    even = np.full(gammas.shape, 1 / gammas.shape[-1])
    shares = np.divide(gammas, total, out=even, where=total > 0)  # concentrations near 0 may all come to 0
    return rng.multinomial(np.asarray(trials, dtype=np.int64), shares / shares.sum(axis=-1, keepdims=True))


CATEGORICAL = FamilySpecification(
    "categorical", "p", (), ("softmax",), "unordered",
    _categorical, _draw_categorical,
    Spelling("Categorical", ("p",), "categorical"),
    _probabilities,
    per_level=PerLevel("mu", reference=True, counts=False),
)  # fmt: skip

MULTINOMIAL = FamilySpecification(
    "multinomial", "p", (), ("softmax",), "levels",
    _multinomial, _draw_multinomial,
    Spelling("Multinomial", ("n", "p"), "multinomial"),
    _probabilities,
    per_level=PerLevel("mu", reference=True, counts=True),
)  # fmt: skip

DIRICHLET_MULTINOMIAL = FamilySpecification(
    "dirichlet_multinomial", "a", (), ("log",), "levels",
    _dirichlet_multinomial, _draw_dirichlet_multinomial,
    Spelling("DirichletMultinomial", ("n", "a"), ""),
    _mean_shares,
    per_level=PerLevel("a", reference=False, counts=True),
)  # fmt: skip
