"""Singular fits: which standard deviations may be zero, and which correlations may be 1, with words.

lme4 calls such a fit singular. Of draws it is a share of the posterior, of a fit by maximum likelihood the estimate.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from speclet_formula.design.design import GroupBlock
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.draws import Draws, draws_of
from speclet_formula.posterior.estimates import Array
from speclet_formula.posterior.variances import has_residual

SMALL = 0.1  # of the residual SD, or on the link's scale: effects that hardly move a single observation
EXTREME = 0.95  # correlations beyond it, to either side, say that two effects are one
SHARE = 0.05  # of the posterior there, from which on the fit is called near-singular
COLUMNS = ("grp", "var1", "var2", "limit", "mass", "near_singular", "words", "remedy")


def is_singular(fit: Fit | PointFit) -> bool:
    """Say whether a variance may be zero, or a correlation 1: lme4's `isSingular`.

    Parameters
    ----------
    fit : Fit or PointFit

    Returns
    -------
    bool
        Of a fit by maximum likelihood: whether an estimate lies on the boundary. Of draws, which never do: whether
        `near_singular` flags any parameter.

    Raises
    ------
    EstimateError
        The posterior lacks a parameter.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> sf.is_singular(sf.lmer("log_fc ~ (1 | gene) + (1 | cell_line)", data, method="reml"))
    False
    """
    return bool(fit.singular) if isinstance(fit, PointFit) else bool(near_singular(fit)["near_singular"].any())


def near_singular(fit: Fit) -> pd.DataFrame:
    """Say how much of the posterior has a standard deviation near zero, or a correlation near 1 or -1.

    A standard deviation is near zero where the effects move a typical row by less than a tenth of the residual SD; for
    families without one, and in formulas of parameters, by less than 0.1 on the scale of the link. A correlation is
    near 1 or -1 beyond 0.95.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    pandas.DataFrame
        One row for each standard deviation of a group term, then one for each correlation of its block:

        * `grp`, `var1`, `var2`: as in `varcorr`; `var2` is missing for a standard deviation;
        * `limit`: what counts as near; for a standard deviation in its own units (posterior mean), so that of a slope
          is divided by the root mean square of its predictor;
        * `mass`: share of the posterior nearer than that;
        * `near_singular`: whether it is more than 0.05;
        * `words`, `remedy`: what that says and what to do; empty where nothing is near.

    Raises
    ------
    EstimateError
        It is a fit without draws, or the posterior lacks a parameter.

    References
    ----------
    Chung, Rabe-Hesketh, Dorie, Gelman and Liu (2013). A nondegenerate penalized likelihood estimator for variance
    parameters in multilevel models. Psychometrika 78, 685-709. doi:10.1007/s11336-013-9328-2.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1 | gene) + (1 | cell_line)", data, random_seed=1)
    >>> sf.near_singular(fit)["near_singular"].to_list()
    [False, False]
    """
    draws, design = draws_of(fit), fit.model.design
    unit = draws.parameter("sigma") if has_residual(fit.model) else np.array(1.0)
    rows = [
        row
        for predictor in design.predictors
        for block in predictor.factors
        for row in (
            *_deviations(draws, block, np.array(1.0) if predictor.name else unit),
            *_correlations(draws, block),
        )
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    text = dict.fromkeys(("grp", "var1", "var2", "words", "remedy"), "str")
    return frame.astype({**text, "limit": float, "mass": float, "near_singular": bool})


def _deviations(draws: Draws, block: GroupBlock, unit: Array) -> Iterator[tuple[object, ...]]:
    """Go through the standard deviations of a block, in units of the residual's where there is one."""
    sds = draws.sds(block)
    for column, label in enumerate(block.terms):
        size = float(np.sqrt(np.mean(block.loads[:, column] ** 2)))
        limits = SMALL * unit / size
        mass = float((sds[:, [column]] < limits).mean())
        near = mass > SHARE
        words = (
            f"The SD of '{label}' between levels of '{block.label}' may be zero: {mass:.0%} of the posterior says so."
        )
        remedy = (
            f"The other estimates have taken that into account. To do without it, leave '{label}' out of the term of "
            f"'{block.group}' and compare both models by loo."
        )
        yield block.label, label, None, float(limits.mean()), mass, near, words * near, remedy * near


def _correlations(draws: Draws, block: GroupBlock) -> Iterator[tuple[object, ...]]:
    """Go through the correlations of a block."""
    if not block.correlated:
        return
    for values, names in zip(draws.correlation(block).T, combinations(block.terms, 2), strict=True):
        mass = float((np.abs(values) > EXTREME).mean())
        near = mass > SHARE
        words = (
            f"'{names[0]}' and '{names[1]}' of '{block.label}' may be one effect: {mass:.0%} of the posterior has a "
            f"correlation beyond {EXTREME:g}."
        )
        instead = "Write || instead of |" if block.structure is None else "Write diag()"
        remedy = f"{instead} in the term of '{block.group}', or leave one out, and compare the models by loo."
        yield block.label, *names, EXTREME, mass, near, words * near, remedy * near
