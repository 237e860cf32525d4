"""How well a fit knows its fixed effects and those of its smooths together, given its variances.

Of a gaussian response that is what REML's equations say; of other families what those say of a gaussian response with
the weights that their log-likelihood has at the fit, minus its second derivatives by the linear predictor, as mgcv has
it (Wood 2017, section 6.10). Given the variances, effective degrees of freedom follow.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from speclet_formula.common.recent import Recent
from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.design import Design, GroupBlock
from speclet_formula.design.groups import centre_of
from speclet_formula.errors import EstimateError
from speclet_formula.families import inverse_link, is_linear
from speclet_formula.inference.maximum_likelihood import independent_columns
from speclet_formula.inference.reml.criterion import covariances_at
from speclet_formula.model.observation import observed_log_density
from speclet_formula.posterior.draws import Draws, Fitted, values_of
from speclet_formula.posterior.estimates import points_of

Array = np.ndarray
STEP = 0.03  # of the linear predictor, in units of 1 / sqrt(weight), for second derivatives
STENCIL = ((-2, -1 / 12), (-1, 4 / 3), (0, -5 / 2), (1, 4 / 3), (2, -1 / 12))  # of fourth order
_recent = Recent[Array](4)


@dataclass(frozen=True, eq=False)
class _Equivalent:
    """A gaussian response that stands for a fit's, with its variances."""

    design: Design  # its weights are those of the rows
    covariances: tuple[Array, ...]  # of each block, over `scale`
    scale: float  # the residual variance of a row of weight one


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


def _traces(known: _Equivalent) -> Iterator[tuple[str, float]]:
    for block, covariance, places in _parts(known):
        if not block.smooth:
            continue
        prior = np.tile(np.diagonal(covariance), len(block.levels))
        left = np.diagonal(covariances_at(known.design, known.covariances, places))
        yield block.label, float(np.sum(1 - left[prior > 0] / prior[prior > 0]))


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
