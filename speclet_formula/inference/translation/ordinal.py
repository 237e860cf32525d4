"""A design of ordered levels goes in; what makes Bambi put thresholds' prior at the predictors' means comes out.

As the intercept of other models, a threshold is known best where the predictors are at their means; far from there it
trades places with the coefficients. Which of Bambi's families this serves is left to `models`.
"""

from typing import Any

import numpy as np
import pymc as pm

from speclet_formula.design import Design
from speclet_formula.priors import Prior

# What is sampled; Bambi leaves variables of such names out of its draws.
_AT_MEANS = "threshold_offset"


def threshold_hook(prior: Prior, count: int, *, increasing: bool) -> Any:
    """Return the function that Bambi calls for the prior of thresholds.

    Parameters
    ----------
    prior : Prior
        Of each threshold at the predictors' means.
    count : int
        Number of thresholds.
    increasing : bool
        Whether each is greater than the one before.
    """
    start = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    order = {"transform": pm.distributions.transforms.ordered, "initval": start} if increasing and count > 1 else {}

    def build(_name: str, *, dims: str, **arguments: Any) -> Any:
        return getattr(pm, prior.name)(_AT_MEANS, dims=dims, **arguments, **order)

    return build


def centred_family(kind: Any, design: Design) -> Any:
    """Return a family of Bambi whose thresholds belong to the predictors as they are, made from those at their means.

    Parameters
    ----------
    kind : type
        bambi's Cumulative or StoppingRatio.
    design : Design
    """

    class Centred(kind):  # type: ignore[misc]
        """The family, with thresholds moved."""

        @staticmethod
        def transform_backend_eta(eta: Any, kwargs: dict[str, Any]) -> Any:
            moved = kwargs["threshold"] + _at_means(design)
            threshold = pm.Deterministic("threshold", moved, dims="threshold_dim")
            return kind.transform_backend_eta(eta, {**kwargs, "threshold": threshold})

    return Centred


def _at_means(design: Design) -> Any:
    """Return the fixed part of the linear predictor at the predictors' means, in the model that is being built."""
    variables = pm.modelcontext(None).named_vars
    total: Any = 0.0
    for term in design.fixed:
        means = design.X[:, term.start : term.stop].mean(axis=0)
        total = total + (variables[term.variable] * (means if term.dim else means[0])).sum()
    return total
