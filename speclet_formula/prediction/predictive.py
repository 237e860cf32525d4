"""Predictive checks: responses that a model's priors or its posterior would make, beside the observed one.

Drawing pictures of them is left to `reporting`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.common.seeds import generator
from speclet_formula.common.table import Printed, Sheet, text_table
from speclet_formula.design.merged import require_rows
from speclet_formula.errors import PriorError
from speclet_formula.families import FAMILIES, draw_response
from speclet_formula.model import Model
from speclet_formula.model.observation import draw_between
from speclet_formula.posterior.draws import Draws, draws_in, draws_of
from speclet_formula.posterior.estimates import Array
from speclet_formula.posterior.prior_draws import check_draws, prior_draws
from speclet_formula.prediction.linear_predictors import at_rows, gather

if TYPE_CHECKING:
    from speclet_formula.posterior import Fit

STATISTICS: Mapping[str, Callable[..., Any]] = {"mean": np.mean, "sd": np.std, "smallest": np.min, "largest": np.max}
BAND = (0.05, 0.95)


@dataclass(frozen=True, eq=False, repr=False)
class Predictive(Printed):
    """Responses drawn from a model, beside the observed one.

    Attributes
    ----------
    kind : {"prior", "posterior"}
        Where the parameters were drawn from.
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
        One row for each of mean, sd, smallest and largest value, of unordered levels for the share of each:
        `statistic`, `observed`, `lo`, `median` and `hi` (5 %, 50 % and 95 % of the replicates), `tail` (share of
        replicates at or above the observed value, half of the ties counted: near 0 or 1 the model does not make such
        data).
    """

    kind: Literal["prior", "posterior"]
    response: str
    discrete: bool
    observed: Array
    replicates: Array
    impossible: int
    table: pd.DataFrame
    index: pd.Index | None = None  # the labels of the n rows in the table as it was given
    levels: tuple[str, ...] = ()  # of a response whose levels have no order

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        title = f"{self.kind.capitalize()} predictive check of {self.response}: {len(self.replicates):,} replicates"
        return Sheet(title, (), (text_table(self.table),), (describe_check(self),))


def prior_predictive(model: Model, draws: int = 200, *, random_seed: int | None = None) -> Predictive:
    """Draw responses from a model's priors: what it expects before it has seen the data.

    Parameters
    ----------
    model : Model
    draws : int
        Number of replicates, each of all rows.
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
        `draws` is not a positive whole number.

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
    return _check("prior", model, prior, rng)


def posterior_predictive(fit: "Fit", draws: int = 200, *, random_seed: int | None = None) -> Predictive:
    """Draw responses from a fit: whether it makes data like those that it was fitted to.

    Parameters
    ----------
    fit : Fit
    draws : int
        Number of replicates, from evenly spaced draws of all chains; at most as many as there are draws.
    random_seed : int, optional
        The same seed gives the same replicates.

    Returns
    -------
    Predictive
        Group effects are as drawn: new rows of the same levels.

    Raises
    ------
    DataError
        `draws` is not a positive whole number.

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
    known = draws_of(fit)
    chosen = np.unique(np.linspace(0, len(known) - 1, min(draws, len(known))).astype(np.int64))
    return _check("posterior", fit.model, known.take(chosen), generator(random_seed))


def describe_check(check: Predictive) -> str:
    """Say in a sentence which of the statistics the replicates do not reach."""
    table = check.table
    outside = table[(table["observed"] < table["lo"]) | (table["observed"] > table["hi"])]
    words = [f"{row['statistic']} ({row['observed']:.3g})" for _, row in outside.iterrows()]
    if words:
        found = f"Outside the middle 90 % of the replicates lies the observed {', '.join(words)}."
    else:
        what = "Mean, SD, smallest and largest observed value lie"
        what = "The observed share of each level lies" if check.levels else what
        found = f"{what} within the middle 90 % of the replicates."
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
        table=_statistics(observed, replicates, check.levels),
        index=None if check.index is None else check.index[rows],
    )


def _check(kind: Literal["prior", "posterior"], model: Model, draws: Draws, rng: np.random.Generator) -> Predictive:
    """Draw one response for each draw of the parameters."""
    design, family = model.design, model.family
    _, replicates = draw_replicates(model, draws, rng)
    if not len(replicates):
        raise PriorError(
            f"none of {len(draws):,} {kind} draws has a mean that a {family.name} response can have.",
            "A probability lies between 0 and 1, and the mean of a count is finite and not negative.",
            "Give the coefficients narrower priors, or choose another link.",
        )
    levels = design.levels if design.is_per_level else ()
    return Predictive(
        kind=kind,
        response=design.response_name,
        discrete=FAMILIES[family.name].support != "real",
        observed=design.response,
        replicates=replicates,
        impossible=len(draws) - len(replicates),
        table=_statistics(design.response, replicates, levels),
        index=model.index[design.rows],
        levels=levels,
    )


def draw_replicates(model: Model, draws: Draws, rng: np.random.Generator) -> tuple[np.ndarray, Array]:
    """Draw one response of all rows for each draw of the parameters.

    Returns
    -------
    places : ndarray of int, shape (m,)
        The draws that have one: those whose mean the family can have.
    replicates : ndarray of float, shape (m, n), or (m, n, K) of counts of levels
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        means, parameters = at_rows(gather(model, draws), model.design, model.family, slice(None))
    found = {}
    for place, mean in enumerate(means):
        try:
            drawn = _draw_once(model, rng, mean, {name: values[place] for name, values in parameters.items()})
        except ValueError:  # numpy's, of a mean that the family cannot have
            continue
        if np.isfinite(drawn).all():
            found[place] = drawn
    replicates = np.array(list(found.values())).reshape(len(found), *model.design.response.shape)
    return np.array(list(found), dtype=np.int64), replicates


def _draw_once(model: Model, rng: np.random.Generator, mean: Array, parameters: Mapping[str, Array]) -> Array:
    """Draw one response of all rows; one of a truncated response lies between its bounds."""
    design, family = model.design, model.family
    if design.limits is not None and design.limits.status is None:
        return draw_between(family, rng, mean, dict(parameters), design.limits, weights=design.weights)
    return draw_response(family, rng, mean, parameters, trials=design.trials, weights=design.weights)


def level_shares(check: Predictive) -> tuple[Array, Array]:
    """Return the share of each unordered level, observed (K,) and in the replicates (draws, K)."""
    return _shares(check.observed, check.replicates, len(check.levels))


def _shares(observed: Array, replicates: Array, count: int) -> tuple[Array, Array]:
    if observed.ndim > 1:
        totals = (part.sum(axis=-2) for part in (observed, replicates))
        seen, drawn = (total / np.maximum(total.sum(axis=-1, keepdims=True), 1) for total in totals)
    else:
        seen, drawn = (
            np.stack([(part == level).mean(axis=-1) for level in range(count)], axis=-1)
            for part in (observed, replicates)
        )
    return seen, drawn


def _statistics(observed: Array, replicates: Array, levels: tuple[str, ...]) -> pd.DataFrame:
    """Tabulate each statistic of the observed response among those of the replicates."""
    if levels:
        shares, of_replicates = _shares(observed, replicates, len(levels))
        of_levels = zip(shares, of_replicates.T, strict=True)
        found = {f"share of {level}": share for level, share in zip(levels, of_levels, strict=True)}
    else:
        found = {name: (compute(observed), compute(replicates, axis=1)) for name, compute in STATISTICS.items()}
    rows = []
    for name, (value, values) in found.items():
        seen, drawn = float(value), np.asarray(values)
        lo, median, hi = np.quantile(drawn, (BAND[0], 0.5, BAND[1]))
        tail = float(np.mean(drawn > seen) + np.mean(drawn == seen) / 2)
        rows.append((name, seen, lo, median, hi, tail))
    return pd.DataFrame(rows, columns=["statistic", "observed", "lo", "median", "hi", "tail"])
