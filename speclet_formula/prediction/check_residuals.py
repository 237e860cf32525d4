"""Tests of a fit by responses that it makes itself, as R's DHARMa: shape, dispersion, zeros, outliers.

The observed response is one of S + 1 data sets, the others being simulated. Each is ranked among all of them in the
same way, so that a p-value is the rank of a statistic and holds whatever rows share: no distribution is assumed, and
rows of one level need not be independent. Drawing pictures is left to `reporting`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from speclet_formula.common.seeds import generator
from speclet_formula.common.table import SMALL, Printed, Sheet, text_table
from speclet_formula.design.merged import require_rows
from speclet_formula.errors import DataError
from speclet_formula.families import is_ordinal, specification_of
from speclet_formula.posterior.estimates import Array
from speclet_formula.prediction.linear_predictors import ModelDraws, at_rows, row_blocks
from speclet_formula.prediction.predict import predict
from speclet_formula.prediction.predictive import WITH_ZEROS
from speclet_formula.prediction.residuals import refuse_without_residuals
from speclet_formula.prediction.responses import draw_rows, response_parameters

if TYPE_CHECKING:
    from speclet_formula.posterior import Fit, PointFit

FEWEST = 20  # simulated responses: the smallest two-sided p-value is then 0.1
ALARM = 0.05
NEW = "Simulated with new group effects (use_u=False), as lme4's simulate; DHARMa calls it unconditional."
KEPT = (
    "Simulated with the fitted group effects (use_u=True), DHARMa's default from 0.5 on; these were fitted to the same "
    "rows, so that p-values are approximate."
)
HOW_MANY = "Where the model is right, one of four such p-values at least is below 0.05 in up to one case of five."


@dataclass(frozen=True, eq=False, repr=False)
class ResidualChecks(Printed):
    """A fit's tests by simulated responses.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each test, under its name; the columns are defined in `check_residuals`.
    scaled : pandas.Series
        For each row that was fitted, under its place in the given table, the share of simulated responses below the
        observed one, ties broken at random: uniform between 0 and 1 if the model holds.
    nsim : int
        Number of simulated responses.
    use_u : bool
        Whether they have the fitted group effects.
    """

    table: pd.DataFrame
    scaled: pd.Series
    nsim: int
    use_u: bool

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        shown = self.table[["statistic", "p_value"]].rename_axis("test").reset_index()
        title = f"Checks of {len(self.scaled):,} scaled residuals by {self.nsim:,} simulated responses"
        return Sheet(
            title, tuple(self.table["sentence"]), (text_table(shown),), (KEPT if self.use_u else NEW, HOW_MANY)
        )


def check_residuals(
    fit: "Fit | PointFit", *, nsim: int = 1000, use_u: bool = False, random_seed: int | None = None
) -> ResidualChecks:
    r"""Test a fit by responses that it makes itself: R's DHARMa.

    Parameters
    ----------
    fit : Fit or PointFit
        Not of a censored or truncated response.
    nsim : int
        Number of simulated responses, 20 at least; the smallest p-value is 1 / (nsim + 1), of two sides 2 / (nsim + 1).
    use_u : bool
        Group effects of the simulated responses. False draws new ones, DHARMa's `simulateREs="unconditional"`: all of
        the model is tested. True keeps the fitted ones, "conditional": the rows are tested within their levels, which
        finds overdispersion more easily; but the observed rows have shaped those effects, and the simulated have not.
    random_seed : int, optional
        The same seed gives the same responses.

    Returns
    -------
    ResidualChecks
        `table`, one row for each test:

        * "uniformity": `statistic` is Kolmogorov and Smirnov's D, the largest distance of the distribution of the
          scaled residuals from the uniform one, at the nsim + 1 places between simulated responses;
        * "dispersion": the variance of the response around its mean without group effects, over that of the simulated
          responses: above 1 there is overdispersion. Ordinal responses have none;
        * "zeros": the number of zeros over that of the simulated responses; only of responses that can be 0, and where
          there is a zero among them all;
        * "outliers": the number of rows outside all simulated responses.

        `p_value`: how often a data set of the model has so extreme a statistic, of two sides but for "uniformity";
        `sentence`: what that means. `scaled`: the scaled residuals.

    Raises
    ------
    EstimateError
        The response is censored or truncated.
    DataError
        `nsim` is no whole number of 20 or more, or rows were merged; or as `simulate`.

    Notes
    -----
    p-values are ranks of the observed statistic among those of the simulated responses. DHARMa takes Kolmogorov's and
    the binomial distribution for uniformity and for outliers of continuous responses, which hold for independent rows
    only: with new group effects rows of one level are not, and those p-values are too small. With draws each response
    has the parameters of another draw. As of all checks of a model by the data that it was fitted to, p-values are
    rather too large than too small.

    References
    ----------
    Hartig (2026), DHARMa 0.5: residual diagnostics for hierarchical regression models. Dunn and Smyth (1996),
    doi:10.1080/10618600.1996.10474708. Ranks of simulations: Besag and Clifford (1989), doi:10.1093/biomet/76.4.633.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)", data, method="reml")
    >>> checks = sf.check_residuals(fit, nsim=200, random_seed=1)
    >>> checks.table.index.to_list()
    ['uniformity', 'dispersion', 'outliers']
    """
    design = fit.model.design
    require_rows(design, "check_residuals()")
    refuse_without_residuals(design)
    if nsim != int(nsim) or nsim < FEWEST:
        raise DataError(
            f"nsim={nsim!r} is no number of simulated responses.",
            f"It is a whole number from {FEWEST} on; p-values are counted over them.",
            "Leave it out for 1,000.",
        )
    rng = generator(random_seed)
    ranked = _ranked(fit, response_parameters(fit, nsim, use_u, rng), rng)
    scaled = pd.Series(ranked.scaled, index=pd.Index(design.rows, name="row"), name="scaled_residual")
    return ResidualChecks(pd.DataFrame(_tests(ranked, len(scaled))).set_index("test"), scaled, nsim, use_u)


@dataclass(frozen=True, eq=False)
class _Ranked:
    """What is counted of S + 1 data sets, the observed one first."""

    scaled: Array  # (n,) of the observed one
    ranks: np.ndarray  # (S + 1, S + 1) how many rows of each have each rank
    variance: Array | None  # (S + 1,) around the mean without group effects
    zeros: Array | None  # (S + 1,)
    outside: Array  # (S + 1,) rows outside all others


def _ranked(fit: "Fit | PointFit", drawn: ModelDraws, rng: np.random.Generator) -> _Ranked:
    """Rank all data sets, some rows at a time."""
    design, family = fit.model.design, fit.model.family
    sets, n = len(drawn.predictors[0].coefficients) + 1, len(design.rows)
    ranks, sums = np.zeros(sets * sets, dtype=np.int64), np.zeros((2, sets))
    scaled, outside, zeros = np.empty(n), np.zeros(sets), np.zeros(sets)
    centre = None if is_ordinal(family) else _centre(fit)
    for rows in row_blocks(n, sets):
        mean, parameters = at_rows(drawn, design, family, rows)
        values = np.vstack([design.response[rows], draw_rows(family, design, rows, mean, parameters, rng)])
        places = _places(values, rng)
        ranks += np.bincount((np.arange(sets)[:, None] * sets + places).ravel(), minlength=sets * sets)
        scaled[rows] = (places[0] + rng.uniform(size=values.shape[1])) / sets
        outside += _outside(values)
        zeros += (values == 0).sum(axis=1)
        if centre is not None:
            apart = values - centre[rows]
            sums += [apart.sum(axis=1), (apart**2).sum(axis=1)]
    can_be_zero = specification_of(family).support in WITH_ZEROS and zeros.any()
    return _Ranked(
        scaled=scaled,
        ranks=ranks.reshape(sets, sets),
        variance=None if centre is None or n == 1 else (sums[1] - sums[0] ** 2 / n) / (n - 1),
        zeros=zeros if can_be_zero else None,
        outside=outside,
    )


def _centre(fit: "Fit | PointFit") -> Array:
    """Return each row's mean without group effects, of a proportion its successes."""
    means = predict(fit, re_form="~0")["estimate"].to_numpy()
    trials = fit.model.design.trials
    return np.asarray(means if trials is None else means * trials)


def _places(values: Array, rng: np.random.Generator) -> np.ndarray:
    """Rank the data sets (S + 1, r) in each row from 0, ties in any order."""
    order = np.lexsort((rng.uniform(size=values.shape), values), axis=0)
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(len(values))[:, None], axis=0)
    return places


def _outside(values: Array) -> Array:
    """Count for each data set the rows in which it is above all others, or below."""
    ordered = np.sort(values, axis=0)
    least, most = ordered[0] < ordered[1], ordered[-1] > ordered[-2]
    return np.asarray(((values == ordered[0]) & least).sum(axis=1) + ((values == ordered[-1]) & most).sum(axis=1))


def _tests(ranked: _Ranked, n: int) -> Iterator[dict[str, object]]:
    """Go through the tests that there are."""
    sets = len(ranked.ranks)
    even = np.arange(1, sets + 1) / sets
    distances = np.abs(np.cumsum(ranked.ranks, axis=1) / n - even).max(axis=1)
    p = float(np.mean(distances >= distances[0]))
    yield _row(
        "uniformity", distances[0], p, "the scaled residuals are not uniform", "the scaled residuals look uniform"
    )
    for name, values, what in (("dispersion", ranked.variance, "variance"), ("zeros", ranked.zeros, "zeros")):
        if values is not None and values[1:].mean() > 0:
            ratio = float(values[0] / values[1:].mean())
            yield _row(name, ratio, _two_sided(values), *_words(ratio, what))
    seen, expected = int(ranked.outside[0]), float(ranked.outside[1:].mean())
    counted = (
        f"{seen:,} row{' lies' if seen == 1 else 's lie'} outside all simulated responses, {expected:.1f} expected"
    )
    yield _row("outliers", seen, _two_sided(ranked.outside), counted, counted)


def _words(ratio: float, what: str) -> tuple[str, str]:
    """Say what a ratio to the simulated responses means, where it is an alarm and where it is none."""
    if what == "zeros":
        return (
            f"there are {'more' if ratio > 1 else 'fewer'} zeros than the model makes, {ratio:.2f} times as many",
            f"there are about as many zeros as the model makes, {ratio:.2f} times",
        )
    wide = "overdispersion" if ratio > 1 else "underdispersion"
    return (
        f"there is {wide}: the response's variance is {ratio:.2f} times what the model makes",
        f"the response varies about as the model makes it, {ratio:.2f} times",
    )


def _row(test: str, statistic: float, p: float, alarm: str, calm: str) -> dict[str, object]:
    """Return a test as a row of the table."""
    return {"test": test, "statistic": float(statistic), "p_value": p, "sentence": judged(test, alarm, calm, p)}


def judged(test: str, alarm: str, calm: str, p: float) -> str:
    """Say what a test found: the words of an alarm, or those of none."""
    if p >= ALARM:
        return f"{test.capitalize()}. Nothing amiss: {calm} (p = {p:.2f})."
    return f"{test.capitalize()}. Doubtful: {alarm} ({f'p = {p:.3f}' if p >= SMALL else f'p < {SMALL}'})."


def _two_sided(values: Array) -> float:
    """Return how often a data set has so extreme a value as the first, the first included."""
    return float(min(1.0, 2 * min(np.mean(values >= values[0]), np.mean(values <= values[0]))))
