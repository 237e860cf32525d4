"""The DataTree with every group that ArviZ's functions read: likelihoods, priors and predictive draws, made on demand.

A fit keeps what its engine drew. All else follows from its model and these draws, whichever engine made them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from speclet_formula.common.seeds import generator
from speclet_formula.design.design import variable_name
from speclet_formula.design.evaluation import is_labels
from speclet_formula.design.merged import require_rows
from speclet_formula.errors import DataError, EstimateError, nearest
from speclet_formula.families import has_levels, specification_of
from speclet_formula.formula.terms import columns_of
from speclet_formula.model import Model
from speclet_formula.posterior.draws import POSTERIOR, STATISTICS, Draws, draws_in, draws_of, posterior_of
from speclet_formula.posterior.estimates import Array
from speclet_formula.posterior.prior_draws import check_draws, log_prior, prior_draws as draws_from_priors
from speclet_formula.prediction.linear_predictors import OBSERVATION_DIM, at_rows, gather
from speclet_formula.prediction.log_likelihood import check_size, log_likelihood
from speclet_formula.prediction.predictive import draw_replicates

if TYPE_CHECKING:
    from speclet_formula.posterior import Fit

GROUPS = ("log_likelihood", "log_prior", "posterior_predictive", "prior", "prior_predictive", "constant_data")
"""The groups that are made; `posterior`, `sample_stats` and `observed_data` are always there."""
_THERE = (POSTERIOR, STATISTICS, "observed_data")
_AT_ONCE = 200  # draws whose responses are drawn together


def to_arviz(
    fit: "Fit",
    groups: str | Sequence[str] = GROUPS,
    *,
    thin: int = 1,
    prior_draws: int = 1000,
    row_parameters: bool = False,
    random_seed: int | None = None,
) -> xr.DataTree:
    """Give a fit's draws to ArviZ, with the groups that its functions ask for.

    Parameters
    ----------
    fit : Fit
    groups : str or sequence of str
        Which groups to make beside `posterior`, `sample_stats` and `observed_data`; all by default:

        * `log_likelihood`: the log density of each row given the group effects of the draw, as PyMC and brms have it.
          `loo` of this package integrates effects out first and warns of fewer rows.
        * `log_prior`: the joint log density of all priors but that of the group effects, which is part of the model,
          as one variable, `joint`.
        * `posterior_predictive`, `prior_predictive`: a response of all rows for each draw, at the group effects of the
          draw, as `posterior_predictive` and `prior_predictive` draw them. Counts, answers and places of ordered levels
          are whole numbers.
        * `prior`: draws from the priors, of the variables that the posterior has.
        * `constant_data`: the columns of the table that the formula uses, but the response's own; `trials` and
          `weights` where there are any.
    thin : int
        Keep each `thin`-th draw of each chain, in all groups.
    prior_draws : int
        How many draws from the priors.
    row_parameters : bool
        Whether the posterior gets the mean of each row (`mu`, or what the family calls it), and its other parameters
        that have a formula, each of dimension `__obs__`: what `arviz.bayesian_r2` and `residual_r2` ask for, and Bambi
        calls `kind="response_params"`.
    random_seed : int, optional
        The same seed gives the same draws.

    Returns
    -------
    xarray.DataTree
        A new one: the fit's own is not changed. Rows have the dimension `__obs__`, whose coordinates are their places
        in the table as it was given. Of a prior draw whose mean the family cannot have there is no response, so that
        `prior_predictive` may have fewer draws than `prior`.

    Raises
    ------
    DataError
        There is no such group, `thin` or `prior_draws` is not a positive whole number, the rows were merged, or a group
        of draws x rows would take more than 2 GiB.
    PriorError
        A prior is flat: there are no draws from it.
    EstimateError
        It is a fit without draws, or one that kept no group effects, which most groups need; or `row_parameters` is
        asked for of a response of levels, which has no mean.

    Examples
    --------
    >>> from speclet_formula.prediction.to_arviz import to_arviz
    >>> list(to_arviz(fit, ["log_likelihood", "constant_data"]).children)  # fit: Reaction ~ Days + (1 | Subject)
    ['posterior', 'sample_stats', 'observed_data', 'log_likelihood', 'constant_data']
    """
    wanted = _wanted(groups)
    check_draws(prior_draws)
    model, posterior = fit.model, posterior_of(fit)
    require_rows(model.design, "to_arviz()")
    check_size(len(model.design.response), posterior.sizes["chain"], posterior.sizes["draw"], thin, "each group")
    made = {name: _own_group(node.to_dataset(), model, thin) for name, node in fit.idata.children.items()}
    drawn = _DrawnRows(model, draws_of(fit).thinned(thin), made[POSTERIOR], generator(random_seed))
    if row_parameters:
        made[POSTERIOR] = made[POSTERIOR].assign(_row_parameters(drawn))
    if "log_likelihood" in wanted:
        made["log_likelihood"] = log_likelihood(fit, thin=thin).to_dataset()
    if "log_prior" in wanted:
        joint = (("chain", "draw"), log_prior(model, drawn.draws))
        made["log_prior"] = xr.Dataset({"joint": joint}, drawn.coords)
    if "posterior_predictive" in wanted:
        made["posterior_predictive"] = _posterior_responses(drawn)
    if {"prior", "prior_predictive"} & wanted:
        priors = draws_from_priors(model, prior_draws, random_seed=int(drawn.rng.integers(2**32)))
        made |= {name: group for name, group in _of_priors(drawn, priors).items() if name in wanted}
    if "constant_data" in wanted:
        made["constant_data"] = _constant_data(model)
    return xr.DataTree.from_dict(made)


@dataclass(frozen=True, eq=False)
class _DrawnRows:
    """What several groups are made of."""

    model: Model
    draws: Draws
    posterior: xr.Dataset  # the same draws
    rng: np.random.Generator

    @property
    def coords(self) -> dict[str, Any]:
        """The numbers of chains and draws."""
        return {name: self.posterior[name].to_numpy() for name in ("chain", "draw")}

    def of_rows(self, values: Array) -> xr.DataArray:
        """Return values (draws, rows) as an array of chains, draws and rows; counts have their levels besides."""
        return _of_rows(self.model, self.draws.by_chain(values), self.coords)


def _of_rows(model: Model, values: Array, coords: Mapping[str, Any]) -> xr.DataArray:
    """Return values (chains, draws, rows) or, of counts of levels, (chains, draws, rows, levels) with their names."""
    rows = {OBSERVATION_DIM: model.design.rows}
    if values.ndim > 3:  # noqa: PLR2004
        rows[f"{model.design.response_variable}_dim"] = np.array(model.design.levels, dtype=object)
    return xr.DataArray(values, {**coords, **rows}, ("chain", "draw", *rows))


def _wanted(groups: str | Sequence[str]) -> set[str]:
    """Refuse groups that cannot be made; those that are always there may be named."""
    named = [groups] if isinstance(groups, str) else list(groups)
    for name in named:
        if name not in (*GROUPS, *_THERE):
            near = nearest(str(name), GROUPS)
            remedy = f"Nearest: '{near}'." if near else "Name some of them, or leave groups= out for all."
            raise DataError(f"groups names {name!r}.", f"Groups: {', '.join((*_THERE, *GROUPS))}.", remedy)
    return set(named)


def _own_group(group: xr.Dataset, model: Model, thin: int) -> xr.Dataset:
    """Return a group of the fit's own, thinned, with the numbers of its rows."""
    group = group.isel(draw=slice(None, None, thin)) if "draw" in group.dims else group
    name = model.design.response_variable
    if _is_whole(model) and name in group:
        group = group.assign({name: group[name].astype(np.int64)})
    return group.assign_coords({OBSERVATION_DIM: model.design.rows}) if OBSERVATION_DIM in group.dims else group


def _is_whole(model: Model) -> bool:
    """Tell whether the response is a whole number, for which ArviZ has other pictures."""
    return specification_of(model.family).responses.findings in (
        "binary", "count", "proportion", "ordinal", "levels"
    )  # fmt: skip


def _row_parameters(drawn: _DrawnRows) -> dict[str, xr.DataArray]:
    """Return the mean of each row, and the family's other parameters that have a formula."""
    design, family = drawn.model.design, drawn.model.family
    if has_levels(family):
        raise EstimateError(
            f"a response of the family '{family.name}' has no mean.",
            "It has a probability for each of its levels.",
            "Leave row_parameters= out; sf.predict(fit) gives these probabilities.",
        )
    mean, parameters = at_rows(gather(drawn.model, drawn.draws), design, family, slice(None))
    values = {family.parent: mean} | {name: parameters[name] for name in design.varying}
    return {name: drawn.of_rows(value) for name, value in values.items()}


def _posterior_responses(drawn: _DrawnRows) -> xr.Dataset:
    """Draw a response of all rows for each draw."""
    places, values = _responses(drawn, drawn.draws)
    if len(places) < len(drawn.draws):
        raise EstimateError(
            f"{len(drawn.draws) - len(places):,} draws have a mean that the family cannot have.",
            "A response is drawn for each draw of the posterior.",
            "Leave 'posterior_predictive' out of groups=, or choose another link.",
        )
    return drawn.of_rows(values).to_dataset(name=drawn.model.design.response_variable)


def _responses(drawn: _DrawnRows, draws: Draws) -> tuple[np.ndarray, Array]:
    """Draw responses of all rows for many draws, a block of them at a time; return which of them have one, too."""
    every = np.arange(len(draws))
    blocks = [every[start : start + _AT_ONCE] for start in range(0, len(draws), _AT_ONCE)]
    found = [draw_replicates(drawn.model, draws.take(block), drawn.rng) for block in blocks]
    places = np.concatenate([block[kept] for block, (kept, _) in zip(blocks, found, strict=True)])
    values = np.concatenate([values for _, values in found])
    return places, values.astype(np.int64) if _is_whole(drawn.model) else values


def _of_priors(drawn: _DrawnRows, priors: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return draws from the priors, of the variables that the posterior has, and the responses that they make."""
    model = drawn.model
    places, values = _responses(drawn, draws_in(priors))
    responses = _of_rows(model, values[np.newaxis], {"chain": [0], "draw": places})
    known = priors[[name for name in priors.data_vars if name in drawn.posterior]]
    return {
        "prior": known.assign_coords({name: drawn.posterior[name] for name in set(known.dims) - {"chain", "draw"}}),
        "prior_predictive": responses.to_dataset(name=model.design.response_variable),
    }


def _constant_data(model: Model) -> xr.Dataset:
    """Return the columns that the formula uses, but the response's own, and trials and weights."""
    design = model.design
    response = set() if model.formula.response is None else set(columns_of(model.formula.response))
    columns: dict[str, Any] = {
        variable_name(str(name)): np.asarray(column, dtype=object if is_labels(column) else None)
        for name, column in design.frame.items()
        if name not in response and not str(name).startswith("(")  # weights that were given as an array
    }
    more = {"trials": design.trials, "weights": design.weights}
    columns |= {name: values for name, values in more.items() if values is not None}
    return xr.Dataset({k: (OBSERVATION_DIM, v) for k, v in columns.items()}, {OBSERVATION_DIM: design.rows})
