"""How well a fit by REML or maximum likelihood knows its fixed effects and those of its smooths together."""

from typing import Any

import numpy as np

from speclet_formula.common.recent import Recent
from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.design.groups import centre_of
from speclet_formula.errors import EstimateError
from speclet_formula.inference.reml.criterion import covariances_at
from speclet_formula.posterior.estimates import PointEstimates

Array = np.ndarray
_recent = Recent[Array](4)


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
        By REML or maximum likelihood.

    Raises
    ------
    EstimateError
        It is a fit by Laplace's approximation, or has fixed columns that others make up.
    """
    points: PointEstimates = fit.estimates
    label = fit.model.design.mean.smooths[0].smooth
    if fit.method not in ("reml", "ml"):
        raise EstimateError(
            f"a fit by {points.criterion} has no standard errors of the smooth '{label}'.",
            "Fits by REML, and all that have draws, know how uncertain a curve is.",
            "Fit the model with method='hmc'; sf.predict(fit) has the curve itself.",
        )
    if points.dropped:
        raise EstimateError(
            f"the standard errors of the smooth '{label}' are not known beside columns that others make up.",
            "No fixed column can be made from the others.",
            "Leave the columns out that fixef(fit) has no estimate for.",
        )
    return _recent.of((points, fit.model.design.mean), lambda: _covariance(fit))


@in_one_blas_thread
def _covariance(fit: Any) -> Array:
    design, points = fit.model.design, fit.estimates
    p, s2 = design.mean.X.shape[1], points.sigma**2
    places, start = [np.arange(p)], p
    for block in design.mean.groups:
        stop = start + len(block.levels) * len(block.columns)
        places += [np.arange(start, stop)] if block.smooth else []
        start = stop
    joint = covariances_at(design, tuple(matrix / s2 for matrix in points.covariances), np.concatenate(places))
    if p:
        carried = np.eye(len(joint))
        carried[0, :p] -= centre_of(design)
        joint = carried @ joint @ carried.T
    return np.asarray(s2 * (joint + joint.T) / 2)
