"""Predictive checks: responses that a model's priors or its posterior would make, beside the observed one.

Drawing pictures of them is left to `reporting`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from speclet_formula.common.seeds import generator
from speclet_formula.common.table import Printed, Sheet, text_table
from speclet_formula.design.merged import require_rows
from speclet_formula.errors import DataError, PriorError, listed, nearest
from speclet_formula.families import FAMILIES, draw_response, specification_of
from speclet_formula.model import Model
from speclet_formula.model.observation import draw_between
from speclet_formula.posterior.draws import Draws, draws_in, draws_of
from speclet_formula.posterior.estimates import Array, points_of
from speclet_formula.posterior.prior_draws import check_draws, prior_draws
from speclet_formula.prediction.linear_predictors import ModelDraws, at_rows, gather
from speclet_formula.prediction.responses import response_parameters

if TYPE_CHECKING:
    from speclet_formula.posterior import Fit, PointFit

type Statistic = Callable[[Array], float]

STATISTICS: Mapping[str, Statistic] = {"mean": np.mean, "sd": np.std, "smallest": np.min, "largest": np.max}
ZEROS = "share of zeros"
WITH_ZEROS = ("count", "proportion", "nonnegative")  # supports in which zero is a value among others
BAND = (0.05, 0.95)


TITLES = {
    "prior": "Prior predictive check",
    "posterior": "Posterior predictive check",
    "estimates": "Predictive check at the estimates",
}
type Kind = Literal["prior", "posterior", "estimates"]


@dataclass(frozen=True, eq=False, repr=False)
class Predictive(Printed):
    """Responses drawn from a model, beside the observed one.

    Attributes
    ----------
    kind : {"prior", "posterior", "estimates"}
        Where the parameters were drawn from; of a PointFit all are at the estimates.
    response : str
        The response's name.
    discrete : bool
        Whether it is a count, a binary response, successes or a level, which stands for its place 0, 1, ...
    observed : ndarray, shape (n,)
        Of counts of K levels (n, K).
    replicates : ndarray, shape (draws, n)
        Of counts of K levels (draws, n, K).
        One drawn response of all rows for each draw; of a truncated response between its bounds, of a censored one as
        it is before it is censored.
    impossible : int
        Draws whose mean the family cannot have (a count with an infinite mean); they have no replicate.
    table : pandas.DataFrame
        One row for each of mean, sd, smallest and largest value, of counts the share of zeros, of unordered levels for
        the share of each instead, and each statistic that was asked for: `statistic`, `observed`, `lo`, `median` and
        `hi` (5 %, 50 % and 95 % of the replicates), `tail` (share of replicates at or above the observed value, half of
        the ties counted: near 0 or 1 the model does not make such data).
    statistics : mapping of str to callable
        By the names in the table, what is computed of a response (n,).
    """

    kind: Kind
    response: str
    discrete: bool
    observed: Array
    replicates: Array
    impossible: int
    table: pd.DataFrame
    index: pd.Index | None = None  # the labels of the n rows in the table as it was given
    levels: tuple[str, ...] = ()  # of a response whose levels have no order
    statistics: Mapping[str, Statistic] = field(default_factory=lambda: STATISTICS)

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        title = f"{TITLES[self.kind]} of {self.response}: {len(self.replicates):,} replicates"
        return Sheet(title, (), (text_table(self.table),), (describe_check(self),))


def prior_predictive(
    model: Model,
    draws: int = 200,
    *,
    statistics: Mapping[str, Statistic] | None = None,
    random_seed: int | None = None,
) -> Predictive:
    """Draw responses from a model's priors: what it expects before it has seen the data.

    Parameters
    ----------
    model : Model
    draws : int
        Number of replicates, each of all rows.
    statistics : mapping of str to callable, optional
        As in `posterior_predictive`.
    random_seed : int, optional
        The same seed gives the same replicates.

    Returns
    -------
    Predictive

    Raises
    ------
    PriorError
        A prior is improper (flat), or no draw has a mean that the family can have.
    DataError
        `draws` is not a positive whole number, or a statistic is no number.

    References
    ----------
    Gabry, Simpson, Vehtari, Betancourt and Gelman (2019), doi:10.1111/rssa.12378.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> sf.prior_predictive(sf.Model("log_fc ~ (1 | gene)", data), 50, random_seed=1).replicates.shape
    (50, 1100)
    """
    check_draws(draws)
    require_rows(model.design, "prior_predictive()")
    prior = draws_in(prior_draws(model, draws, random_seed=random_seed))
    rng = np.random.default_rng(None if random_seed is None else [random_seed, 1])
    return _check("prior", model, gather(model, prior), rng, statistics)


def posterior_predictive(
    fit: "Fit | PointFit",
    draws: int = 200,
    *,
    statistics: Mapping[str, Statistic] | None = None,
    use_u: bool = True,
    random_seed: int | None = None,
) -> Predictive:
    """Draw responses from a fit: whether it makes data like those that it was fitted to.

    Parameters
    ----------
    fit : Fit or PointFit
    draws : int
        Number of replicates, from evenly spaced draws of all chains; at most as many as there are draws. Of a PointFit
        all are drawn at the estimates.
    statistics : mapping of str to callable, optional
        What else is compared, by name: functions of a response (n,) that return a number, such as
        ``{"above 10": lambda y: (y > 10).mean()}``.
    use_u : bool
        Group effects: True keeps those of the fit, new rows of the same levels, as brms' `pp_check`. False draws new
        ones, rows of other levels, as `simulate` does by default; then draws are chosen at random.
    random_seed : int, optional
        The same seed gives the same replicates.

    Returns
    -------
    Predictive

    Raises
    ------
    DataError
        `draws` is not a positive whole number, or a statistic is no number.

    References
    ----------
    Gelman, Meng and Stern (1996), Statistica Sinica 6, 733-807.

    Examples
    --------
    >>> from speclet_formula.prediction.predictive import posterior_predictive
    >>> posterior_predictive(fit, 20, random_seed=1).replicates.shape  # fit: 180 rows
    (20, 180)
    """
    check_draws(draws)
    require_rows(fit.model.design, "posterior_predictive()")
    rng = generator(random_seed)
    if points_of(fit) is not None:
        return _check("estimates", fit.model, response_parameters(fit, draws, use_u, rng), rng, statistics)
    known = draws_of(fit)
    count = min(draws, len(known))
    if not use_u:
        return _check("posterior", fit.model, response_parameters(fit, count, use_u, rng), rng, statistics)
    chosen = np.unique(np.linspace(0, len(known) - 1, count).astype(np.int64))
    return _check("posterior", fit.model, gather(fit.model, known.take(chosen)), rng, statistics)


def describe_check(check: Predictive) -> str:
    """Say in a sentence which of the statistics the replicates do not reach."""
    table = check.table
    outside = table[(table["observed"] < table["lo"]) | (table["observed"] > table["hi"])]
    words = [f"{row['statistic']} ({row['observed']:.3g})" for _, row in outside.iterrows()]
    if words:
        lie = "lies" if len(words) == 1 else "lie"
        found = f"Outside the middle 90 % of the replicates {lie} the observed {listed(words)}."
    else:
        found = f"The observed {listed(table['statistic'])} lie within the middle 90 % of the replicates."
    lost = f" {check.impossible:,} draws have a mean that the family cannot have." if check.impossible else ""
    return found + lost


def check_of_rows(check: Predictive, rows: np.ndarray) -> Predictive:
    """Return a check of some of its rows; impossible draws, which concern all, are told by the whole one."""
    observed, replicates = check.observed[rows], check.replicates[:, rows]
    return replace(
        check,
        observed=observed,
        replicates=replicates,
        impossible=0,
        table=_statistics(observed, replicates, check.statistics),
        index=None if check.index is None else check.index[rows],
    )


def statistic_of(check: Predictive, name: str) -> tuple[float, Array]:
    """Return a statistic of the observed response, and of each replicate, (draws,).

    Raises
    ------
    DataError
        The check has no such statistic.
    """
    if name not in check.statistics:
        near = nearest(str(name), check.statistics)
        raise DataError(
            f"the check has no statistic '{name}'.",
            f"Its statistics: {listed(check.statistics)}.",
            f"Nearest: '{near}'."
            if near
            else "Name a function of your own: posterior_predictive(fit, statistics=...).",
        )
    compute = check.statistics[name]
    return _number(name, compute, check.observed), np.array([_number(name, compute, y) for y in check.replicates])


def _number(name: str, compute: Statistic, response: Array) -> float:
    """Return a statistic of a response."""
    try:
        return float(compute(response))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the statistic '{name}' is no number: {error}.",
            "It is a function that takes a response, an array of all rows, and returns a number.",
            'For example statistics={"above 10": lambda y: (y > 10).mean()}.',
        ) from error


def _check(
    kind: Kind,
    model: Model,
    drawn: ModelDraws,
    rng: np.random.Generator,
    statistics: Mapping[str, Statistic] | None,
) -> Predictive:
    """Draw one response for each draw of the parameters."""
    design, family = model.design, model.family
    _, replicates = _replicates(model, drawn, rng)
    n_draws = len(drawn.predictors[0].coefficients)
    if not len(replicates):
        raise PriorError(
            f"none of {n_draws:,} {kind} draws has a mean that a {family.name} response can have.",
            "A probability lies between 0 and 1, and the mean of a count is finite and not negative.",
            "Give the coefficients narrower priors, or choose another link.",
        )
    levels = design.levels if design.is_per_level else ()
    with_zeros = specification_of(family).support in WITH_ZEROS and (
        (replicates == 0).any() or (design.response == 0).any()
    )
    usual = {**STATISTICS, **({ZEROS: _share_of_zeros} if with_zeros else {})}
    known = {**(of_levels(levels) if levels else usual), **(statistics or {})}
    return Predictive(
        kind=kind,
        response=design.response_name,
        discrete=FAMILIES[family.name].support != "real",
        observed=design.response,
        replicates=replicates,
        impossible=n_draws - len(replicates),
        table=_statistics(design.response, replicates, known),
        index=model.index[design.rows],
        statistics=known,
        levels=levels,
    )


def _share_of_zeros(response: Array) -> float:
    return float(np.mean(response == 0))


def draw_replicates(model: Model, draws: Draws, rng: np.random.Generator) -> tuple[np.ndarray, Array]:
    """Draw one response of all rows for each draw of the parameters.

    Returns
    -------
    places : ndarray of int, shape (m,)
        The draws that have one: those whose mean the family can have.
    replicates : ndarray of float, shape (m, n), or (m, n, K) of counts of levels
    """
    return _replicates(model, gather(model, draws), rng)


def _replicates(model: Model, drawn: ModelDraws, rng: np.random.Generator) -> tuple[np.ndarray, Array]:
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        means, parameters = at_rows(drawn, model.design, model.family, slice(None))
    found = {}
    for place, mean in enumerate(means):
        try:
            new = _draw_once(model, rng, mean, {name: values[place] for name, values in parameters.items()})
        except ValueError:  # numpy's, of a mean that the family cannot have
            continue
        if np.isfinite(new).all():
            found[place] = new
    replicates = np.array(list(found.values())).reshape(len(found), *model.design.response.shape)
    return np.array(list(found), dtype=np.int64), replicates


def _draw_once(model: Model, rng: np.random.Generator, mean: Array, parameters: Mapping[str, Array]) -> Array:
    """Draw one response of all rows; one of a truncated response lies between its bounds."""
    design, family = model.design, model.family
    if design.limits is not None and design.limits.status is None:
        return draw_between(family, rng, mean, dict(parameters), design.limits, weights=design.weights)
    return draw_response(family, rng, mean, parameters, trials=design.trials, weights=design.weights)


def of_levels(levels: Sequence[str]) -> dict[str, Statistic]:
    """Return the statistics of a response whose levels have no order: the share of each, of rows or of counts."""
    return {f"share of {level}": partial(_share_of_level, level=place) for place, level in enumerate(levels)}


def _share_of_level(response: Array, *, level: int) -> float:
    if response.ndim == 1:
        return float((response == level).mean())
    return float(response[:, level].sum() / max(response.sum(), 1))


def _statistics(observed: Array, replicates: Array, statistics: Mapping[str, Statistic]) -> pd.DataFrame:
    """Tabulate each statistic of the observed response among those of the replicates."""
    rows = []
    for name, compute in statistics.items():
        seen = _number(name, compute, observed)
        drawn = np.array([_number(name, compute, response) for response in replicates])
        lo, median, hi = np.quantile(drawn, (BAND[0], 0.5, BAND[1]))
        tail = float(np.mean(drawn > seen) + np.mean(drawn == seen) / 2)
        rows.append((name, seen, lo, median, hi, tail))
    return pd.DataFrame(rows, columns=["statistic", "observed", "lo", "median", "hi", "tail"])
