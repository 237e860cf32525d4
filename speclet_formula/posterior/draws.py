"""The reader of draws: every parameter of a fit under the design's labels, and the counts of rows and levels.

What an estimate needs of a fit is said by `Fitted`. Summarising the draws is left to the files beside this one.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from speclet_formula.design import Predictor
from speclet_formula.design.design import Design, FixedTerm, GroupBlock, sd_name, slot_of_sd
from speclet_formula.design.merged import row_count
from speclet_formula.families import Family
from speclet_formula.formula.terms import Formula
from speclet_formula.posterior.intervals import Array, EstimateError


class FittedModel(Protocol):
    """What estimates read of a model."""

    @property
    def formula(self) -> Formula:
        """The parsed formula."""

    @property
    def design(self) -> Design:
        """The rows, terms and levels that were fitted."""

    @property
    def n_dropped(self) -> int:
        """How many rows were left out for missing values."""

    @property
    def family(self) -> Family:
        """Family and link."""


class Fitted(Protocol):
    """What estimates read of a fit."""

    @property
    def model(self) -> FittedModel:
        """The model."""

    @property
    def idata(self) -> Any:
        """The DataTree with the group "posterior"."""


def nobs(fit: Fitted) -> int:
    """Count the observations that were fitted.

    Parameters
    ----------
    fit : Fit or PointFit

    Returns
    -------
    int
        Rows left out for missing values are not counted; rows that were merged are.

    Examples
    --------
    >>> from speclet_formula.posterior.draws import nobs
    >>> nobs(fit)  # fit: Reaction ~ Days + (1 + Days | Subject), 18 subjects on 10 days
    180
    """
    return row_count(fit.model.design)


def ngrps(fit: Fitted) -> dict[str, int]:
    """Count the levels of each grouping factor.

    Parameters
    ----------
    fit : Fit or PointFit

    Returns
    -------
    dict of str to int
        By grouping factor, in the formula's order; only levels that occur in the data.

    Examples
    --------
    >>> from speclet_formula.posterior.draws import ngrps
    >>> ngrps(fit)  # fit: Reaction ~ Days + (1 + Days | Subject), 18 subjects
    {'Subject': 18}
    """
    return {block.group: len(block.levels) for block in fit.model.design.blocks}


def draws_of(fit: Fitted, name: str) -> Array:
    """Return a variable's draws, chains first.

    Parameters
    ----------
    fit : Fit
    name : str
        The variable's name in the posterior.

    Returns
    -------
    ndarray of float, shape (chains, draws, elements)
        One element for a scalar.

    Raises
    ------
    EstimateError
        The posterior has no such variable.
    """
    posterior = fit.idata["posterior"]
    if name not in posterior.data_vars:
        if parts := not_kept(posterior, name):
            raise EstimateError(*parts)
        raise EstimateError(
            f"the posterior holds no variable '{name}'.",
            f"It holds: {', '.join(map(str, posterior.data_vars))}.",
            "Fit the model again, or hand over the fit that these draws belong to.",
        )
    ordered = posterior[name].transpose("chain", "draw", ...)
    return np.asarray(ordered.values, dtype=np.float64).reshape(*ordered.shape[:2], -1)


def pooled(draws: Array) -> Array:
    """Put all chains together.

    Parameters
    ----------
    draws : ndarray of float, shape (chains, draws, elements)

    Returns
    -------
    ndarray of float, shape (chains * draws, elements)
    """
    return draws.reshape(-1, draws.shape[-1])


def fixed_draws(fit: Fitted) -> Iterator[tuple[FixedTerm, Array]]:
    """Go through the fixed terms in the order of X, then those of parameters with formulas of their own.

    Parameters
    ----------
    fit : Fit

    Yields
    ------
    term : FixedTerm
    draws : ndarray of float, shape (chains, draws, columns of the term)
    """
    for predictor in fit.model.design.predictors:
        yield from side_draws(fit, predictor)


def side_draws(fit: Fitted, predictor: Predictor) -> Iterator[tuple[FixedTerm, Array]]:
    """Go through the fixed terms of one linear predictor.

    Parameters
    ----------
    fit : Fit
    predictor : Predictor
        The mean's, or that of a parameter.

    Yields
    ------
    term : FixedTerm
    draws : ndarray of float, shape (chains, draws, columns of the term)
    """
    for term in predictor.fixed:
        yield term, draws_of(fit, term.variable)


def group_draws(fit: Fitted, block: GroupBlock) -> Iterator[tuple[str, Array]]:
    """Go through the columns of a group block.

    Parameters
    ----------
    fit : Fit
    block : GroupBlock

    Yields
    ------
    term : str
        The column's label: "Intercept", "Days", "sigma_Intercept".
    draws : ndarray of float, shape (chains * draws, levels)
    """
    for column, slot in zip(block.columns, block.slots, strict=True):
        yield block.term_of(column), pooled(draws_of(fit, slot))


def has_draws(fit: Fitted, block: GroupBlock) -> bool:
    """Tell whether a fit kept the draws of a group block's effects.

    Parameters
    ----------
    fit : Fit
    block : GroupBlock

    Returns
    -------
    bool
    """
    return not any(is_left_out(fit.idata["posterior"], slot) for slot in block.slots)


def require_kept(fit: Fitted, blocks: Iterable[GroupBlock]) -> None:
    """Raise an EstimateError unless a fit kept the draws of the effects of some group blocks.

    Parameters
    ----------
    fit : Fit
    blocks : iterable of GroupBlock

    Raises
    ------
    EstimateError
    """
    for slot in (slot for block in blocks for slot in block.slots):
        if parts := not_kept(fit.idata["posterior"], slot):
            raise EstimateError(*parts)


def term_label(column: str) -> str:
    """Label a group block's column as the fixed effects are labelled.

    Parameters
    ----------
    column : str
        "1" or a column's label.

    Returns
    -------
    str
    """
    return "Intercept" if column == "1" else column


type Parts = tuple[str, str, str]  # of an error: what is wrong, what is allowed, what to do


def is_left_out(posterior: Mapping[str, Any], name: str) -> bool:
    """Tell whether a variable is that of group effects whose draws were not kept.

    Parameters
    ----------
    posterior : xarray.Dataset
    name : str
        A variable's name, "1|gene".

    Returns
    -------
    bool
    """
    return name not in posterior and sd_name(name) in posterior


def not_kept(posterior: Mapping[str, Any], name: str) -> Parts | None:
    """Word the error of group effects whose draws were not kept; None where that is not what is wrong.

    Parameters
    ----------
    posterior : xarray.Dataset
    name : str
        The variable that is needed.

    Returns
    -------
    tuple of str, or None
    """
    if not is_left_out(posterior, name):
        return None
    slots = [slot for variable in posterior if (slot := slot_of_sd(str(variable)))]
    kept = [slot for slot in slots if slot in posterior]
    needed = dict.fromkeys(slot.rpartition("|")[2] for slot in slots if slot in (*kept, name))
    return (
        f"the fit kept no draws of '{name}'.",
        f"It kept: {', '.join(kept) or 'no group effects'}.",
        f"Fit the model again with keep={tuple(needed)!r}, or leave keep= out to keep all.",
    )
