"""A fit goes in; linear predictors, fitted values and pointwise log densities of its rows come out, draw by draw.

All work goes by blocks of rows, so that memory beside the posterior and the result is a few arrays of BLOCK_BYTES.
Group effects are taken as drawn: a level that was not fitted is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from speclet_formula.design import Design, GroupBlock
from speclet_formula.design.records import sides, variable_name
from speclet_formula.errors import DataError
from speclet_formula.estimates.fitted import Fitted, FittedModel
from speclet_formula.estimates.intervals import ESTIMATES, Array, choose_interval, stack, summarise
from speclet_formula.estimates.kept import not_kept
from speclet_formula.estimates.points import PointEstimates, points_of
from speclet_formula.families import Family, expected_response, inverse_link, inverse_parameter_link, is_ordinal
from speclet_formula.observation import observed_log_density

if TYPE_CHECKING:
    import xarray

type Rows = slice | np.ndarray | None

BLOCK_BYTES = 32 * 2**20  # of an array of draws x rows; four of them exist at a time here, nine in leave-one-out
# ArviZ makes five to eight copies of a log-likelihood, so that more than this fills the memory of a workstation.
LARGEST_LOG_LIKELIHOOD = 2 * 2**30
OBSERVATION_DIM = "__obs__"  # Bambi's name for it
_NAMED = 5


@dataclass(frozen=True, eq=False)
class _Draws:
    """The draws of all chains, first chain first, as the linear predictor reads them."""

    coefficients: Array  # (draws, p), in the order of X
    effects: tuple[tuple[Array, ...], ...]  # for each block and column (draws, levels)


@dataclass(frozen=True, eq=False)
class _ModelDraws:
    """The draws of all linear predictors, and of the parameters that are one number."""

    sides: tuple[_Draws, ...]  # the mean's, then those of the design's parameters
    parameters: dict[str, Array]  # the family's other parameters, (draws, 1); thresholds (draws, levels - 1)


def linear_predictor(
    model: FittedModel,
    posterior: Any,
    rows: Rows = None,
    *,
    parameter: str | None = None,
    design: Design | None = None,
    draws: Rows = None,
) -> Array:
    """Compute the linear predictor of each row for each draw.

    Parameters
    ----------
    model : Model
        The model that the posterior belongs to.
    posterior : xarray.Dataset
        Its draws, under the names of the design.
    rows : slice or array of int, optional
        Rows of the design; all by default. The result takes draws x rows x 8 bytes: give blocks of rows for large data.
    parameter : str, optional
        A parameter that has a formula of its own, "sigma"; by default the mean.
    design : Design, optional
        Other rows, as `replay_design` makes them; the model's own by default.
    draws : slice or array of int, optional
        Draws to use, counted over all chains, the first chain's first; all by default.

    Returns
    -------
    ndarray of float, shape (draws, rows)
        On the link scale, offset included.

    Raises
    ------
    DataError
        A row has a group level that was not fitted, the posterior lacks a variable of the design, or the parameter has
        no formula.

    Examples
    --------
    >>> from speclet_formula.prediction import linear_predictor
    >>> linear_predictor(fit.model, fit.idata["posterior"], slice(0, 10)).shape  # 4 chains of 1,000 draws
    (4000, 10)
    """
    used = _side_of(model.design if design is None else design, parameter)
    _refuse_new_levels(used)
    gathered = _gather_side(used, posterior, slice(None) if draws is None else draws)
    return _predictor(gathered, used, slice(None) if rows is None else rows)


def fitted(
    fit: Fitted, *, parameter: str | None = None, ci_prob: float | None = None, ci_kind: str | None = None
) -> pd.DataFrame:
    """Summarise the mean of each observation: lme4's `fitted`, with its uncertainty.

    Parameters
    ----------
    fit : Fit or PointFit
    parameter : str, optional
        A parameter that has a formula of its own, such as "sigma", instead of the mean.
    ci_prob : float, optional
        Credible mass; ArviZ's setting by default.
    ci_kind : {"eti", "hdi"}, optional
        Equal-tailed or highest-density interval; ArviZ's setting by default.

    Returns
    -------
    pandas.DataFrame
        One row per observation, the index its row in the given table, on the scale of the response: E[y], with the
        zeros that a zero-inflated family or a hurdle adds (`psi * mu` and so on), and before a response was censored or
        truncated; or on the parameter's. For a proportion it is the probability of a success, for the family "t" its
        centre. An ordinal response has no mean: there is one row per observation and level, with the level's
        probability, and a column `level` that names it.

        * `estimate`: the posterior mean of the observation's mean;
        * `std_error`: its posterior standard deviation;
        * `conf_low`, `conf_high`: its interval, which `.attrs["interval"]` names. It is narrower than that of a new
          observation, since the residual is left out.

        Of a fit by maximum likelihood: the mean at the estimates and conditional modes, as lme4 has it; the other
        columns are missing.

    Raises
    ------
    DataError
        The posterior lacks a variable of the design, or the parameter has no formula.

    Examples
    --------
    >>> from speclet_formula.prediction import fitted
    >>> fitted(fit).columns.to_list()
    ['estimate', 'std_error', 'conf_low', 'conf_high']
    """
    interval, points = choose_interval(ci_prob, ci_kind), points_of(fit)
    design, family = fit.model.design, fit.model.family
    if points is not None and parameter is None:
        return _fitted_point(fit.model, points)
    levels = 1 if parameter is not None else len(design.levels) or 1
    rows = _expectations(fit, levels) if parameter is None else _parameter_values(fit, parameter)
    frame = stack([summarise(part.reshape(len(part), -1), interval) for part in rows], ESTIMATES, interval)
    frame.index = pd.Index(np.repeat(design.rows, levels), name="row")
    if is_ordinal(family) and parameter is None:
        frame.insert(0, "level", np.tile(np.asarray(design.levels, dtype=object), len(design.rows)))
    return frame


def _fitted_point(model: FittedModel, points: PointEstimates) -> pd.DataFrame:
    """Tabulate the means at estimates of maximum likelihood."""
    eta = model.design.offset + model.design.X @ points.coefficients
    for block, modes in zip(model.design.groups, points.modes, strict=True):
        eta = eta + (block.values * modes[block.codes]).sum(axis=1)
    frame = pd.DataFrame({"estimate": inverse_link(model.family, eta)}, index=pd.Index(model.design.rows, name="row"))
    frame = frame.reindex(columns=list(ESTIMATES))
    frame.attrs.update(interval="none", point_estimate=points.criterion)
    return frame


def log_likelihood(fit: Fitted, *, thin: int = 1) -> "xarray.DataArray":
    """Compute the log density of each observation for each draw, given the group effects of that draw.

    `loo` does not need it: it goes by blocks of rows and keeps none of them.

    Parameters
    ----------
    fit : Fit
    thin : int
        Keep each `thin`-th draw of each chain.

    Returns
    -------
    xarray.DataArray
        Dimensions "chain", "draw" and "__obs__", whose coordinates are the rows of the given table. The name is the
        response's; assigned to the DataTree's group "log_likelihood" it serves ArviZ.

    Raises
    ------
    DataError
        It would take more than 2 GiB, `thin` is not a positive whole number, or the posterior lacks a variable.

    Examples
    --------
    >>> from speclet_formula.prediction import log_likelihood
    >>> log_likelihood(fit, thin=10).dims
    ('chain', 'draw', '__obs__')
    """
    from xarray import DataArray

    posterior = fit.idata["posterior"]
    chains, length = posterior.sizes["chain"], posterior.sizes["draw"]
    n = len(fit.model.design.response)
    _check_size(n, chains, length, thin)
    kept = np.arange(chains * length).reshape(chains, length)[:, ::thin]
    values = np.empty((kept.size, n))
    for rows, block in log_likelihood_blocks(fit, draws=kept.ravel()):
        values[:, rows] = block
    return DataArray(
        values.reshape(*kept.shape, n),
        dims=("chain", "draw", OBSERVATION_DIM),
        coords={
            "chain": posterior["chain"].values,
            "draw": posterior["draw"].values[::thin],
            OBSERVATION_DIM: fit.model.design.rows,
        },
        name=variable_name(fit.model.design.response_name),
    )


def log_likelihood_blocks(
    fit: Fitted, *, draws: Rows = None, chosen: np.ndarray | None = None
) -> Iterator[tuple[slice, Array]]:
    """Go through the observations in blocks of rows, with the log density of each for each draw.

    Parameters
    ----------
    fit : Fit
    draws : slice or array of int, optional
        Draws to use, counted over all chains; all by default.
    chosen : array of int, optional
        Some of the rows; all by default.

    Yields
    ------
    rows : slice
        Of the chosen rows.
    values : ndarray of float, shape (draws, rows)
        At most BLOCK_BYTES, unless one row alone takes more.

    Examples
    --------
    >>> from speclet_formula.prediction import log_likelihood_blocks
    >>> sum(block.mean(axis=0).sum() for rows, block in log_likelihood_blocks(fit)) < 0
    True
    """
    design, family = fit.model.design, fit.model.family
    gathered = _gather(fit.model, fit.idata["posterior"], slice(None) if draws is None else draws)
    n = len(design.response if chosen is None else chosen)
    for rows in _row_blocks(n, len(gathered.sides[0].coefficients)):
        places = rows if chosen is None else chosen[rows]
        mean, parameters = _at_rows(gathered, design, family, places)
        yield rows, observed_log_density(family, design, places, mean, parameters)


def _row_blocks(n: int, n_draws: int) -> Iterator[slice]:
    """Cut n rows so that draws x rows stays below BLOCK_BYTES."""
    size = max(1, BLOCK_BYTES // (8 * n_draws))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def _side_of(design: Design, parameter: str | None) -> Design:
    """Return the linear predictor of the mean, or of a parameter."""
    if parameter is None:
        return design
    varying = dict(design.parameters)
    if parameter not in varying:
        raise DataError(
            f"'{parameter}' has no formula in this model.",
            f"Parameters with one: {', '.join(varying) or 'none'}.",
            "Leave parameter= out for the mean.",
        )
    return varying[parameter]


def _expectations(fit: Fitted, levels: int) -> Iterator[Array]:
    """Go through the expectations of blocks of rows, of each level for an ordinal response."""
    design, family = fit.model.design, fit.model.family
    drawn = _gather(fit.model, fit.idata["posterior"])
    for rows in _row_blocks(len(design.response), levels * len(drawn.sides[0].coefficients)):
        yield expected_response(family, *_at_rows(drawn, design, family, rows))


def _parameter_values(fit: Fitted, parameter: str) -> Iterator[Array]:
    """Go through the values of a parameter that has a formula, by blocks of rows."""
    side = _side_of(fit.model.design, parameter)
    drawn = _gather_side(side, fit.idata["posterior"])
    for rows in _row_blocks(len(side.response), len(drawn.coefficients)):
        yield inverse_parameter_link(parameter, _predictor(drawn, side, rows))


def _at_rows(
    drawn: _ModelDraws, design: Design, family: Family, rows: slice | np.ndarray
) -> tuple[Array, dict[str, Array]]:
    """Return the mean of each row for each draw, and the family's other parameters there."""
    mean, *others = (_predictor(part, side, rows) for part, side in zip(drawn.sides, sides(design), strict=True))
    varying = {
        name: inverse_parameter_link(name, eta) for (name, _), eta in zip(design.parameters, others, strict=True)
    }
    return inverse_link(family, mean), drawn.parameters | varying


def _gather(model: FittedModel, posterior: Any, draws: slice | np.ndarray = slice(None)) -> _ModelDraws:
    """Take what the density of an observation needs out of the posterior."""
    varying = dict(model.design.parameters)
    constant = [name for name in model.family.parameters if name not in varying]
    sizes = {"threshold": len(model.design.levels) - 1}
    return _ModelDraws(
        tuple(_gather_side(side, posterior, draws) for side in sides(model.design)),
        {name: _draws_of(posterior, name, sizes.get(name, 1))[draws] for name in constant},
    )


def _gather_side(design: Design, posterior: Any, draws: slice | np.ndarray = slice(None)) -> _Draws:
    """Take what a linear predictor needs out of the posterior; whole variables are views, not copies."""
    terms = [_draws_of(posterior, term.variable, term.stop - term.start)[draws] for term in design.fixed]
    n_draws = len(np.empty(posterior.sizes["chain"] * posterior.sizes["draw"], dtype=bool)[draws])
    return _Draws(
        coefficients=np.hstack([np.empty((n_draws, 0)), *terms]),
        effects=tuple(
            tuple(_draws_of(posterior, slot, len(block.levels))[draws] for slot in block.slots)
            for block in design.groups
        ),
    )


def _draws_of(posterior: Mapping[str, Any], name: str, size: int) -> Array:
    """Return a variable as (draws of all chains, elements)."""
    if name not in posterior:
        if parts := not_kept(posterior, name):
            raise DataError(*parts)
        raise DataError(
            f"the posterior holds no variable '{name}'.",
            "It holds one for each term of the model, under the design's names.",
            "Fit the model again, or hand over the model that these draws belong to.",
        )
    array = posterior[name].transpose("chain", "draw", ...)
    values = np.asarray(array.values, dtype=np.float64).reshape(array.shape[0] * array.shape[1], -1)
    if values.shape[1] != size:
        raise DataError(
            f"the posterior's '{name}' has {values.shape[1]:,} elements for {size:,} of the model.",
            "Draws and model have the same levels and columns.",
            "Fit the model again, or hand over the model that these draws belong to.",
        )
    return values


def _predictor(draws: _Draws, design: Design, rows: slice | np.ndarray) -> Array:
    """Add up fixed part, group effects and offset: (draws, rows)."""
    total: Array = draws.coefficients @ design.X[rows].T
    total += design.offset[rows]
    for block, effects in zip(design.groups, draws.effects, strict=True):
        codes = block.codes[rows]
        for column, values in enumerate(effects):
            part = values[:, codes]
            part *= block.values[rows, column]
            total += part
    return total


def _refuse_new_levels(design: Design) -> None:
    for block in design.groups:
        unknown = np.flatnonzero(block.codes < 0)
        if len(unknown):
            raise DataError(
                f"'{block.group}' has levels that were not fitted: {_new_levels(block, design, unknown)}.",
                "Group effects are known for the fitted levels.",
                "Leave those rows out, or fit the model with them.",
            )


def _new_levels(block: GroupBlock, design: Design, rows: np.ndarray) -> str:
    """Name the levels as the table spells them."""
    if not set(block.factors) <= set(design.frame.columns):  # computed in the formula, for example factor(x)
        return f"rows {', '.join(str(row) for row in rows[:_NAMED])}"
    labels = design.frame.iloc[rows][list(block.factors)].astype(str).agg(":".join, axis=1).unique()
    return ", ".join(f"'{label}'" for label in labels[:_NAMED]) + (", ..." if len(labels) > _NAMED else "")


def _check_size(n: int, chains: int, length: int, thin: int) -> None:
    if thin < 1:
        raise DataError(f"thin={thin!r} is out of range.", "thin is a whole number of at least 1.", "Leave it out.")
    size = 8 * n * chains * len(range(0, length, thin))
    if size > LARGEST_LOG_LIKELIHOOD:
        wanted = -(-8 * n * chains * length // LARGEST_LOG_LIKELIHOOD)
        raise DataError(
            f"the log-likelihood of {n:,} rows and {size // (8 * n):,} draws takes {size / 2**30:.1f} GiB.",
            f"It may take {LARGEST_LOG_LIKELIHOOD / 2**30:g} GiB, since ArviZ copies it several times.",
            f"loo(fit) works by blocks of rows and needs none of it; or keep fewer draws with thin={wanted}.",
        )
