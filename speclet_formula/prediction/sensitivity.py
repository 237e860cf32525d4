"""How much a fit's estimates depend on its priors and on the data, by power scaling.

The measure is ArviZ's psense; the log prior and the log likelihood of the draws are computed here, for any engine.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from speclet_formula.model import Model
from speclet_formula.posterior.draws import Draws, draws_of, posterior_of
from speclet_formula.posterior.estimates import Array
from speclet_formula.posterior.prior_draws import log_prior
from speclet_formula.prediction.log_likelihood import log_likelihood_blocks

if TYPE_CHECKING:
    from speclet_formula.posterior import Fit

LIMIT = 0.05  # Kallioinen et al.: a change that can be seen
CONFLICT, STRONG, FINE = "prior and data disagree", "the prior leads", "ok"


def sensitivity(fit: "Fit") -> pd.DataFrame:
    """Say how much each parameter would move if the priors, or the data, counted a little more or less.

    The joint density of all priors of coefficients, SDs, correlations and the family's parameters is raised to a power
    near 1, and the draws are weighted accordingly; then the same with the likelihood. The normal distribution of group
    effects given their SD is part of the model and is not scaled.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    pandas.DataFrame
        One row for each coefficient, SD, mean, correlation and family parameter:

        * `parameter`: its name in the posterior;
        * `prior`, `likelihood`: change of its distribution (a distance of distributions, per doubling of the power);
          above 0.05 it can be seen;
        * `diagnosis`: "ok"; "the prior leads" (only the priors move it); "prior and data disagree" (both do, which they
          do too where a prior is informative on purpose).

    References
    ----------
    Kallioinen, Paananen, Bürkner and Vehtari (2024), doi:10.1007/s11222-023-10366-5.

    Examples
    --------
    >>> from speclet_formula.prediction import sensitivity
    >>> sensitivity(fit).columns.to_list()
    ['parameter', 'prior', 'likelihood', 'diagnosis']
    """
    from arviz import psense  # here, since it takes long to import

    posterior, draws = posterior_of(fit), draws_of(fit)
    effects = fit.model.design.effect_variables
    shown = posterior[[str(name) for name in posterior.data_vars if name not in effects]]
    tree = xr.DataTree.from_dict(
        {
            "posterior": shown,
            "log_prior": xr.Dataset({"total": (("chain", "draw"), log_prior(fit.model, draws))}),
            "log_likelihood": xr.Dataset({"total": (("chain", "draw"), _log_likelihood(fit.model, draws))}),
        }
    )
    names = list(map(str, shown.data_vars))
    frame = pd.DataFrame({"parameter": [label for name in names for label in draws.elements(name)]})
    for group in ("prior", "likelihood"):
        moves = psense(tree, group=group)
        frame[group] = np.concatenate([np.ravel(moves[name].to_numpy()) for name in names])
    words = [_diagnosis(*pair) for pair in zip(frame["prior"], frame["likelihood"], strict=True)]
    return frame.assign(diagnosis=words)


def _log_likelihood(model: Model, draws: Draws) -> Array:
    """Return the log likelihood of all rows, given the effects of the draw, (chains, draws)."""
    total = np.zeros(len(draws))
    for _, block in log_likelihood_blocks(model, draws):
        total += block.sum(axis=1)
    return draws.by_chain(total)


def _diagnosis(prior: float, likelihood: float) -> str:
    if prior < LIMIT:
        return FINE
    return CONFLICT if likelihood >= LIMIT else STRONG
