"""How well a fit knows its fixed effects and those of its smooths together, given its variances, and tests of smooths.

Of a gaussian response that is what REML's equations say; of other families what those say of a gaussian response with
the weights that their log-likelihood has at the fit, minus its second derivatives by the linear predictor, as mgcv has
it (Wood 2017, section 6.10). Given the variances, effective degrees of freedom and p-values follow.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from speclet_formula.common.correlations import SEEN
from speclet_formula.common.recent import Recent
from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.design import Design, GroupBlock, Predictor
from speclet_formula.design.groups import centre_of
from speclet_formula.errors import EstimateError
from speclet_formula.families import inverse_link, is_linear
from speclet_formula.inference.chi_squares import tail_of_chi_squares
from speclet_formula.inference.maximum_likelihood import independent_columns
from speclet_formula.inference.reml.criterion import covariances_at, rows_given_variances, shrinkage_at
from speclet_formula.model.observation import observed_log_density
from speclet_formula.posterior.draws import Draws, Fitted, values_of
from speclet_formula.posterior.estimates import points_of

Array = np.ndarray
STEP = 0.03  # of the linear predictor, in units of 1 / sqrt(weight), for second derivatives
STENCIL = ((-2, -1 / 12), (-1, 4 / 3), (0, -5 / 2), (1, 4 / 3), (2, -1 / 12))  # of fourth order
_WHOLE = 1e-9  # from a whole number
_recent, _recent_tests = Recent[Array](4), Recent[tuple["SmoothTest", ...]](4)


@dataclass(frozen=True, eq=False)
class _Equivalent:
    """A gaussian response that stands for a fit's, with its variances."""

    design: Design  # its weights are those of the rows
    covariances: tuple[Array, ...]  # of each block, over `scale`
    scale: float  # the residual variance of a row of weight one


def no_smooth() -> EstimateError:
    """Say that a model has no curve."""
    return EstimateError(
        "the model has no smooth.", "Smooths are s(x), s(x, by = f), t2(x, z), gp(x).", "Write s(x) in the formula."
    )


def whole_coefficients(fit: Any) -> Array:
    """Return the fixed effects and behind them the effects of smooths, in the order of `Predictor.whole`."""
    points, mean = fit.estimates, fit.model.design.mean
    smooths = [modes.ravel() for block, modes in zip(mean.groups, points.modes, strict=True) if block.smooth]
    return np.concatenate([points.coefficients, *smooths])


def whole_covariance(fit: Any) -> Array:
    """Return their covariance for given variances, which is the posterior one under flat priors of the fixed effects.

    Parameters
    ----------
    fit : PointFit

    Raises
    ------
    EstimateError
        The fit has fixed columns that others make up, or rows whose likelihood is not curved downwards.
    """
    return _recent.of((fit.estimates, fit.model.design.mean), lambda: _covariance(fit))


def effective_freedom(fit: Fitted) -> dict[str, float]:
    """Return the trace of each penalised part's share in the smoother matrix, for the mean's smooths by their label.

    With P the precision of all coefficients the smoother's trace is that of P^-1 (P - D^-1), for a prior D: of each
    penalised coefficient one less its variance over the prior's. Of draws it is at the medians of the variances and
    the means of the linear predictors. Empty where it is not known.
    """
    design = fit.model.design
    if design.is_per_level or design.varying or design.merged is not None:
        return {}
    try:
        return dict(_traces(_given(fit, independent_columns(design)[0])))
    except EstimateError:
        return {}


@dataclass(frozen=True, eq=False)
class SmoothTerm:
    """A smooth, or of `by` a factor one of its curves, which is tested as one."""

    label: str  # "s(x)", "s(x, by = f)[a]"
    fixed: Array  # places in `Predictor.whole` of what its penalty does not see
    parts: tuple[GroupBlock, ...]
    effects: tuple[Array, ...]  # places there of the coefficients of each part

    @property
    def places(self) -> Array:
        """Of all its coefficients."""
        return np.concatenate([self.fixed, *self.effects]).astype(np.int64)


def smooth_terms(predictor: Predictor) -> Iterator[SmoothTerm]:
    """Go through the curves of a linear predictor."""
    start = predictor.X.shape[1]
    terms = {term.smooth: np.arange(term.start, term.stop) for term in predictor.fixed if term.smooth}
    for name, blocks in groupby(predictor.smooths, key=lambda block: block.smooth):
        parts, effects = tuple(blocks), []
        for block in parts:
            effects.append(np.arange(start, start + len(block.levels) * len(block.columns)))
            start = effects[-1][-1] + 1
        fixed = terms.get(name, np.zeros(0, dtype=np.int64))
        if "by = " in name and len(parts) > 1:
            for block, places, own in zip(parts, effects, np.split(fixed, len(parts)), strict=True):
                yield SmoothTerm(block.label, own, (block,), (places,))
        else:
            yield SmoothTerm(name, fixed, parts, tuple(effects))


@dataclass(frozen=True)
class SmoothTest:
    """A test that a smooth is zero."""

    smooth: str  # its label, "s(x)", of the curve of a level "s(x, by = f)[a]"
    edf: float  # effective degrees of freedom
    ref_df: float  # those of the statistic's distribution
    statistic: float  # F, or chi-squared
    residual_df: float  # infinite of chi-squared
    p_value: float


def smooth_tests(fit: Any) -> tuple[SmoothTest, ...]:
    """Test each smooth of the mean for being zero, as mgcv's `summary` does; nothing where that is not known.

    There is no test of a Gaussian process, whose length-scale is estimated.

    Parameters
    ----------
    fit : PointFit

    Notes
    -----
    The statistic is f' V^- f, for the curve f at the rows and its covariance V given the variances, whose inverse is
    taken in as many directions as the smooth has degrees of freedom: r = tr(2 F - F F), for its part of the smoother's
    F. The direction beyond the last whole one counts in part, in a way that has two signs: the p-value is the mean of
    those of both, and the statistic that of both statistics, of which mgcv shows one. Wood (2013),
    doi:10.1093/biomet/ass048. A smooth without columns that no penalty sees, of bs = "cc" and "fs", is tested as random
    effects are: b' V^- b, for its coefficients b. Wood (2013), doi:10.1093/biomet/ast038.
    """
    design = fit.model.design
    if design.is_per_level or design.varying or design.merged is not None or fit.estimates.dropped:
        return ()
    try:
        return _recent_tests.of((fit.estimates, design.mean), lambda: tuple(_tests(fit, _given(fit, design))))
    except EstimateError:
        return ()


@in_one_blas_thread
def _tests(fit: Any, known: _Equivalent) -> Iterator[SmoothTest]:
    mean, freedom = known.design.mean, effective_freedom(fit)
    V, b, residual = whole_covariance(fit), whole_coefficients(fit), np.inf
    if is_linear(fit.model.family) and "sigma" in fit.model.family.parameters:
        residual = len(known.design.response) - rows_given_variances(known.design, known.covariances).leverages.sum()
    X, roots = mean.whole, np.sqrt(1.0 if known.design.weights is None else known.design.weights)
    own = {block.label: (places, _priors(block, covariance)) for block, covariance, places in _parts(known)}
    unseen = []  # V less this is the covariance of estimates that have no prior
    for curve in smooth_terms(mean):
        for block, places in zip(curve.parts, curve.effects, strict=True):
            prior = own[block.label][1]
            seen = prior > SEEN * prior.max(initial=0.0)
            unseen.append((places[seen], prior[seen] * known.scale))
    for curve in (one for one in smooth_terms(mean) if not one.parts[0].stretches):
        at, edf = curve.places, len(curve.fixed) + sum(freedom[block.label] for block in curve.parts)
        if len(curve.fixed):
            ref_df = len(curve.fixed) + sum(_second_freedom(known, *own[block.label]) for block in curve.parts)
            columns = X[:, at] * roots[:, None] if known.design.weights is not None else X[:, at]
            found = _tested(b[at], columns, V[np.ix_(at, at)], min(ref_df, len(at)), residual)
        else:
            plain = V[np.ix_(at, at)] - sum((V[np.ix_(at, j)] / prior) @ V[np.ix_(j, at)] for j, prior in unseen)
            found = _tested_as_random(b[at], V[np.ix_(at, at)], plain, residual)
        statistic, rank, p_value = found
        yield SmoothTest(curve.label, edf, rank, statistic, float(residual), p_value)


def _traces(known: _Equivalent) -> Iterator[tuple[str, float]]:
    for block, covariance, places in _parts(known):
        if not block.smooth:
            continue
        prior = _priors(block, covariance)
        left = np.diagonal(covariances_at(known.design, known.covariances, places))
        yield block.label, float(np.sum(1 - left[prior > 0] / prior[prior > 0]))


def _priors(block: GroupBlock, covariance: Array) -> Array:
    """Return the prior variance of each of a block's coefficients: one of a smooth's, those of waves fall."""
    return np.tile(np.diagonal(covariance), len(block.levels))


def _second_freedom(known: _Equivalent, places: Array, prior: Array) -> float:
    """Return the trace of 2 F - F F over some coefficients of one prior variance, with I - F = V S."""
    if prior[0] <= 0:
        return 0.0
    return float(len(places) - shrinkage_at(known.design, known.covariances, places).sum() / prior[0])


def _tested(b: Array, X: Array, V: Array, rank: float, residual: float) -> tuple[float, float, float]:
    """Test coefficients with a covariance that shrinkage made small: statistic, its df and p, of rank above 1."""
    R = np.linalg.qr(X, mode="r")
    values, vectors = np.linalg.eigh(R @ V @ R.T)
    values, vectors = values[::-1], vectors[:, ::-1]
    able = int((values > values[0] * np.finfo(float).eps ** 0.9).sum())
    rank = min(round(rank) if abs(rank - round(rank)) < _WHOLE else rank, able)
    whole, part = int(rank), rank - int(rank)
    z = (vectors.T @ (R @ b))[: whole + (part > 0)] / np.sqrt(values[: whole + (part > 0)])
    if not part:
        return _shown(float(z @ z), float(rank), np.ones(whole), residual)
    middle = float(z[:-1] @ z[:-1] + part * z[-1] ** 2)
    either = 2 * np.sqrt(0.5 * part * (1 - part)) * z[-2] * z[-1]
    larger = (1 + part + np.sqrt((1 + part) * (1 - part))) / 2
    weights = np.append(np.ones(whole - 1), [larger, 1 + part - larger])
    p = [_shown(middle + sign * either, rank, weights, residual)[2] for sign in (1, -1)]
    return middle / (rank if np.isfinite(residual) else 1.0), rank, sum(p) / 2


def _tested_as_random(b: Array, V: Array, plain: Array, residual: float) -> tuple[float, float, float]:
    """Test coefficients that have a prior each: `plain` is the covariance of their estimates."""
    values, vectors = np.linalg.eigh(V)
    kept = values > max(values[-1], 0.0) * _WHOLE
    if not kept.any():  # the variance is zero
        return 0.0, 0.0, 1.0
    half = vectors[:, kept] / np.sqrt(values[kept])
    weights = np.maximum(np.linalg.eigvalsh(half.T @ plain @ half), 0.0)
    rank = int((weights > weights[-1] * np.finfo(float).eps ** 0.8).sum())
    return _shown(float(np.square(half.T @ b).sum()), float(rank), weights, residual)


def _shown(statistic: float, rank: float, weights: Array, residual: float) -> tuple[float, float, float]:
    """Return F or chi-squared, its degrees of freedom and the p-value of a weighted sum of squares."""
    if not np.isfinite(residual):
        return statistic, rank, tail_of_chi_squares(statistic, weights)
    residual = max(round(residual), 1)  # as mgcv's
    p = tail_of_chi_squares(0.0, np.append(weights, -statistic / residual), np.append(np.ones(len(weights)), residual))
    return statistic / rank, rank, p


def _parts(known: _Equivalent) -> Iterator[tuple[GroupBlock, Array, Array]]:
    """Go through the blocks with their covariance and the places of their effects among all coefficients."""
    start = known.design.mean.X.shape[1]
    for block, covariance in zip(known.design.mean.groups, known.covariances, strict=True):
        stop = start + len(block.levels) * len(block.columns)
        yield block, covariance, np.arange(start, stop)
        start = stop


@in_one_blas_thread
def _covariance(fit: Any) -> Array:
    design = fit.model.design
    if fit.estimates.dropped:
        raise EstimateError(
            f"'{design.mean.smooths[0].smooth}' has no standard errors beside columns that others make up.",
            "No fixed column can be made from the others.",
            "Leave the columns out that fixef(fit) has no estimate for.",
        )
    known, p = _given(fit, design), design.mean.X.shape[1]
    places = [np.arange(p), *(own for block, _, own in _parts(known) if block.smooth)]
    joint = covariances_at(known.design, known.covariances, np.concatenate(places))
    if p:
        carried = np.eye(len(joint))
        carried[0, :p] -= centre_of(design)
        joint = carried @ joint @ carried.T
    return np.asarray(known.scale * (joint + joint.T) / 2)


def _given(fit: Fitted, design: Design) -> _Equivalent:
    """Return the gaussian response that stands for a fit's; `design` has the columns that are kept."""
    model, values = fit.model, values_of(fit)
    covariances = tuple(np.median(values.covariances(block), axis=0) for block in design.mean.groups)
    if is_linear(model.family) and design.limits is None:
        sigma = float(np.median(values.parameter("sigma"))) if "sigma" in model.family.parameters else 1.0
        return _Equivalent(design, tuple(matrix / sigma**2 for matrix in covariances), sigma**2)
    return _Equivalent(replace(design, weights=_curvatures(fit, values)), covariances, 1.0)


def _curvatures(fit: Fitted, values: Draws) -> Array:
    """Return minus the second derivative of each row's log-likelihood by its linear predictor, at the fit."""
    model, design = fit.model, fit.model.design
    point = points_of(fit)
    mean = values if point is not None else values.mean()
    eta = _predictor_at(design, mean)
    numbers = {name: mean.parameter(name)[0] for name in model.family.parameters}

    def density(at: Array) -> Array:
        return observed_log_density(model.family, design, slice(None), inverse_link(model.family, at), numbers)

    rough = 1e-3 * max(float(eta.std()), 1.0)
    first = -(density(eta + rough) - 2 * density(eta) + density(eta - rough)) / rough**2
    step = STEP / np.sqrt(np.clip(first, 1e-6, None))
    curved = -sum(weight * density(eta + place * step) for place, weight in STENCIL) / step**2
    if not (np.isfinite(curved).all() and (curved > 0).all()):
        raise EstimateError(
            "the likelihood of some rows is not curved downwards at the fit: its smooths have no standard errors.",
            "Counts, proportions and positive numbers have one that is.",
            "Fit the model with method='hmc', and take the draws' intervals.",
        )
    return np.asarray(curved)


def _predictor_at(design: Design, values: Draws) -> Array:
    """Return the linear predictor (n,) of a single draw."""
    mean = design.mean
    eta = mean.offset + values.coefficients(mean)[0] @ mean.X.T
    for block in mean.groups:
        effects = np.stack([effect[0] for effect in values.effects(block)], axis=1)
        for codes, own in block.members():
            eta = eta + (own * effects[codes]).sum(axis=1)
    return np.asarray(eta)
