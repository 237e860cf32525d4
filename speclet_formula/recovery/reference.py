"""A model goes in; lme4's estimates of its scalar parameters come out, by the names that a truth gives them.

They are a second opinion without priors. How far they are from the truth is left to `parameters`.
"""

import numpy as np

from speclet_formula.errors import SamplingError
from speclet_formula.inference.reml.fitting import fit_point, why_not_reml
from speclet_formula.model import Model
from speclet_formula.posterior.points import PointEstimates, labels_of, stated_coefficients
from speclet_formula.recovery.parts import model_means
from speclet_formula.recovery.scalars import correlations_by_key


def reml_estimates(model: Model) -> dict[str, float]:
    """Return the REML estimates of coefficients, SDs, correlations and sigma.

    Empty where lme4 has no answer: for other families, where the data cannot tell variances apart, and for models that
    learn the means of group effects.
    """
    if why_not_reml(model) is not None or model_means(model):
        return {}
    try:
        points = fit_point(model).estimates
    except SamplingError:  # collinear columns, or no residual
        return {}
    found = dict(zip(labels_of(model.design), stated_coefficients(points).tolist(), strict=True))
    residual = {} if points.sigma is None else {"sigma": points.sigma}
    return found | _variances(model, points) | residual


def _variances(model: Model, points: PointEstimates) -> dict[str, float]:
    """Return SDs and correlations; a correlation with an SD of zero is NaN."""
    found: dict[str, float] = {}
    for block, matrix in zip(model.design.groups, points.covariances, strict=True):
        sds = np.sqrt(np.diagonal(matrix))
        found |= {f"{slot}_sigma": float(sd) for slot, sd in zip(block.slots, sds, strict=True)}
        if block.correlated:
            with np.errstate(invalid="ignore", divide="ignore"):
                found |= correlations_by_key(block, matrix / np.outer(sds, sds))
    return found
