"""Profile intervals of a fit by maximum likelihood: all values at which the likelihood is not too small.

For each value of a parameter a profile maximises the likelihood over all others. The table is left to `confint`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from statistics import NormalDist

import numpy as np
from scipy.optimize import brentq

from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.design import Design
from speclet_formula.design.design import replace_mean
from speclet_formula.errors import EstimateError
from speclet_formula.families import has_known_errors
from speclet_formula.inference.laplace.fit import fit_laplace
from speclet_formula.inference.laplace.profile import profiles_of
from speclet_formula.inference.maximum_likelihood import independent_columns
from speclet_formula.inference.minimum import minimise
from speclet_formula.inference.relative import angle_of, deviations_of, size_of, theta_at
from speclet_formula.inference.reml.criterion import Profiled, deviances, deviances_at, profile_of
from speclet_formula.inference.reml.fit import fit_point
from speclet_formula.posterior import PointFit
from speclet_formula.posterior.estimates import Array

MOST_CORRELATED = 2  # columns of a block whose correlation is profiled
_PRECISION = 1e-4  # of an end, in units of the estimate's scale
_MOST_STEPS = 60

type Profile = Callable[[float], float]


@dataclass(frozen=True, eq=False)
class _ProfiledSizes:
    """What psi is made from: standard deviations over sigma, and correlations' atanh, or the angle of a structure's."""

    criterion: Profiled
    deviations: tuple[tuple[int, int], ...]  # block and row
    correlations: tuple[int, ...]  # blocks

    @property
    def diagonal(self) -> np.ndarray:
        """Which are sizes."""
        return np.arange(len(self.deviations) + len(self.correlations)) < len(self.deviations)


@in_one_blas_thread
def profile_intervals(fit: PointFit, probability: float) -> tuple[Array, Array]:
    """Find the intervals of standard deviations, correlations and fixed effects.

    Parameters
    ----------
    fit : PointFit
        The profile is that of the full likelihood for a fit by REML too, as in lme4.
    probability : float
        Coverage that is aimed at.

    Returns
    -------
    low, high : ndarray of float, shape (parameters,)
        In the order of `confint`.

    Raises
    ------
    EstimateError
        Three effects or more are correlated, freely.
    """
    _check_profile(fit)
    if has_known_errors(fit.model.family) and fit.method != "laplace":
        fit = fit_laplace(fit.model)  # which is exact there
    if fit.method == "laplace":
        return _laplace_intervals(fit, probability)
    best = fit if fit.method == "ml" else fit_point(fit.model, method="ml")
    design, kept = independent_columns(fit.model.design)
    sizes = _sizes_of(design)
    target = best.deviance + NormalDist().inv_cdf((1 + probability) / 2) ** 2
    ends = []
    for place, block in enumerate(design.mean.groups):
        covariance = best.estimates.covariances[place]
        deviations = np.sqrt(np.diagonal(covariance))
        for row, deviation in enumerate(deviations[: 1 if block.hom else None]):
            index = sizes.deviations.index((place, row))
            profile = _of_deviation(sizes, index, best)
            unit = max(deviation, 1e-3 * float(best.estimates.sigma or 1.0))
            ends.append(_ends(profile, deviation, unit / 4, target, 0.0, np.inf))
        if block.correlated:
            index = len(sizes.deviations) + sizes.correlations.index(place)
            lowest = -1.0 if block.structure is None else block.structure.lowest(len(block.columns))
            product = deviations[0] * deviations[1]
            at = float(np.clip(covariance[0, 1] / product, 0.999 * lowest, 0.999)) if product > 0 else 0.0
            ends.append(_ends(_of_correlation(sizes, index), at, (1 - lowest) / 20, target, lowest, 1.0))
    sigma = float(best.estimates.sigma or 0.0)
    ends.append(_ends(_of_residual(sizes), sigma, sigma / 20, target, 0.0, np.inf))
    errors = np.sqrt(np.diagonal(best.estimates.covariance))
    fixed = [(np.nan, np.nan)] * len(errors)
    for column, place in enumerate(kept):
        at, error = float(best.estimates.coefficients[place]), float(errors[place])
        fixed[place] = _ends(_of_coefficient(design, column), at, error, target, -np.inf, np.inf)
    low, high = np.array([*_as_shown(design, ends), *fixed]).T
    return low, high


def _as_shown(design: Design, ends: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Repeat the ends of what columns share, an SD or a structure's correlation, as tables have a row for each."""
    left = iter(ends)
    for block in design.mean.groups:
        k = len(block.columns)
        sds = [next(left) for _ in range(1 if block.hom else k)]
        yield from sds * k if block.hom and not block.smooth else sds
        if block.correlated:
            low, high = next(left)
            far = block.structure is not None and block.structure.function == "ar1"
            yield from (_raised(low, high, j - i if far else 1) for i, j in combinations(range(k), 2))
    yield from left


def _raised(low: float, high: float, power: int) -> tuple[float, float]:
    """Return the ends of what a correlation between two ends may be to a power."""
    ends = sorted((low**power, high**power))
    return (0.0 if power % 2 == 0 and low < 0 < high else ends[0]), ends[1]


def _laplace_intervals(fit: PointFit, probability: float) -> tuple[Array, Array]:
    """Find the intervals of a fit by Laplace's approximation, or by quadrature."""
    profiles = profiles_of(fit)
    target = fit.deviance + NormalDist().inv_cdf((1 + probability) / 2) ** 2
    ends = []
    for known in profiles.parameters:
        low, high = _ends(partial(profiles.least, known.place), known.at, known.step, target, *known.bounds)
        ends.append((known.natural(low), known.natural(high)))
    ends = list(_as_shown(fit.model.design, ends))
    fixed = len(fit.model.design.mean.columns)
    rows = np.full((len(ends) + len(fit.estimates.dropped), 2), np.nan)
    dropped = len(rows) - fixed + np.array(fit.estimates.dropped, dtype=int)
    rows[np.setdiff1d(np.arange(len(rows)), dropped)] = ends
    return rows[:, 0], rows[:, 1]


def _check_profile(fit: PointFit) -> None:
    """Refuse models whose likelihood is not profiled."""
    groups = fit.model.design.mean.groups
    processes = [b.label for b in groups if b.stretches]
    if processes:
        raise EstimateError(
            f"this fit has no profile intervals: '{processes[0]}' is a Gaussian process.",
            "Profiles are of (x | g), (x || g), cs(), ar1() and smooths.",
            "Write method='wald', or fit the model with draws, which have intervals of every parameter.",
        )
    free = (b for b in groups if b.correlated and b.structure is None)
    wide = [b.label for b in free if len(b.columns) > MOST_CORRELATED]
    if wide:
        raise EstimateError(
            f"this fit has no profile intervals: '{wide[0]}' has three correlated effects or more.",
            "Profiles are of fits with at most two freely correlated effects in a block.",
            "Write method='wald', or fit the model with draws, which have intervals of every parameter.",
        )


def _sizes_of(design: Design) -> _ProfiledSizes:
    """Say which standard deviations and correlations a design has."""
    correlations = tuple(place for place, block in enumerate(design.mean.groups) if block.correlated)
    return _ProfiledSizes(profile_of(design, reml=False), deviations_of(design), correlations)


def _theta(sizes: _ProfiledSizes, values: Array, held: int | None = None) -> Array:
    """Make theta (N, size) from standard deviations over sigma and what stands for correlations (N, m).

    The signs of standard deviations mean nothing but where a free correlation is held, of that block: with one of the
    two below zero it would be the opposite one.
    """
    relative = sizes.criterion.relative
    if held is not None and relative.structures[sizes.correlations[held]] is None:
        both = [sizes.deviations.index((sizes.correlations[held], row)) for row in (0, 1)]
        values = values.copy()
        values[:, both] = np.abs(values[:, both])
    psi = np.zeros((len(values), len(relative.searched)))
    for entry, (block, row, column) in enumerate(relative.searched):
        if relative.structures[block] is not None and column < row:
            psi[:, entry] = values[:, len(sizes.deviations) + sizes.correlations.index(block)]
            continue
        deviation = values[:, sizes.deviations.index((block, row))] * size_of(relative, block, row)
        if block not in sizes.correlations or row == 0 or relative.structures[block] is not None:
            psi[:, entry] = deviation
            continue
        correlation = np.tanh(values[:, len(sizes.deviations) + sizes.correlations.index(block)])
        psi[:, entry] = deviation * (correlation if column < row else np.sqrt(1 - correlation**2))
    return theta_at(relative, psi)


def _smallest(function: Callable[[Array], Array], diagonal: np.ndarray) -> float:
    """Minimise over what is left; with nothing left it is a single value."""
    if not len(diagonal):
        return float(function(np.zeros((1, 0)))[0])
    return float(minimise(function, diagonal).value)


def _at_sigma(sizes: _ProfiledSizes, values: Array, sigma: Array | float) -> Array:
    """Return -2 log likelihood at sigma, not at its best."""
    return deviances_at(sizes.criterion, _theta(sizes, values), sigma)


def _of_residual(sizes: _ProfiledSizes) -> Profile:
    return lambda sigma: _smallest(lambda values: _at_sigma(sizes, values, sigma), sizes.diagonal)


def _of_deviation(sizes: _ProfiledSizes, index: int, best: PointFit) -> Profile:
    """Profile a standard deviation: sigma and the other sizes are free."""
    diagonal = np.append(np.delete(sizes.diagonal, index), True)
    scale = float(best.estimates.sigma or 1.0)

    def profile(deviation: float) -> float:
        def value(free: Array) -> Array:
            sigma = scale * np.maximum(np.abs(free[:, -1]), 1e-6)
            return _at_sigma(sizes, np.insert(free[:, :-1], index, deviation / sigma, axis=1), sigma)

        return _smallest(value, diagonal)

    return profile


def _of_correlation(sizes: _ProfiledSizes, index: int) -> Profile:
    """Profile a correlation: the standard deviations are free, and keep their signs."""
    diagonal = np.delete(sizes.diagonal, index)
    held, relative = index - len(sizes.deviations), sizes.criterion.relative
    block = sizes.correlations[held]

    def profile(correlation: float) -> float:
        if relative.structures[block] is not None:
            fixed = angle_of(relative, block, correlation)
        else:
            fixed = float(np.arctanh(np.clip(correlation, -1 + 1e-9, 1 - 1e-9)))
        return _smallest(
            lambda free: deviances(sizes.criterion, _theta(sizes, np.insert(free, index, fixed, axis=1), held)),
            diagonal,
        )

    return profile


def _of_coefficient(design: Design, column: int) -> Profile:
    """Profile a fixed effect: its column becomes part of the offset."""

    def profile(value: float) -> float:
        mean = design.mean
        offset = mean.offset + mean.X[:, column] * value
        rest = replace_mean(design, X=np.delete(mean.X, column, axis=1), fixed=(), offset=offset)
        sizes = _sizes_of(rest)
        return _smallest(lambda free: deviances(sizes.criterion, _theta(sizes, free)), sizes.diagonal)

    return profile


def _ends(
    profile: Profile, at: float, step: float, target: float, lowest: float, highest: float
) -> tuple[float, float]:
    """Find where the profile reaches the target on both sides of the estimate; a bound if it does not."""
    return _end(profile, at, -step, target, lowest), _end(profile, at, step, target, highest)


def _end(profile: Profile, at: float, step: float, target: float, bound: float) -> float:
    """Walk outwards in growing steps, then halve in."""
    inside = at
    for _ in range(_MOST_STEPS):
        outside = inside + step
        beyond = outside <= bound if step < 0 else outside >= bound
        outside = bound if beyond else outside
        height = _height(profile, outside, target)
        if beyond and height <= 0:
            return bound
        if height > 0:
            xtol = abs(step) * _PRECISION
            return float(brentq(lambda x: _height(profile, x, target), inside, outside, xtol=xtol))
        inside, step = outside, step * 1.5
    return float("nan")


def _height(profile: Profile, x: float, target: float) -> float:
    """Return how far the profile is above the target; where it is infinite (a sigma of zero) it is large."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = profile(x)
    return value - target if np.isfinite(value) else 1e10
