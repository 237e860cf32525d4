"""Hypotheses as text, and how probable each is, brms' `hypothesis`; of fits without draws a test of each.

Reading a text is left to `expressions`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.special import ndtr

from speclet_formula.errors import EstimateError, listed
from speclet_formula.inference.exact.given_variances import (
    Addend,
    GivenVariances,
    given_variances,
    has_coefficient,
    moments,
)
from speclet_formula.interpretation.combinations import known_values, tabulate, tests_against_zero, told_of
from speclet_formula.interpretation.expressions import Compared, Expression, Operator, parameters_of, read_hypothesis
from speclet_formula.posterior.degrees_of_freedom import Estimated, Freedom, no_degrees, small_sample
from speclet_formula.posterior.draws import Fitted, draws_of
from speclet_formula.posterior.estimates import (
    ESTIMATES,
    Array,
    Interval,
    IntervalKind,
    interval_of,
    points_of,
    stack,
    summarise,
)

HYPOTHESES = ("hypothesis", *ESTIMATES, "post_prob", "evidence_ratio")
_ENDS = 2
type Texts = str | Sequence[str] | Mapping[str, str]


def hypothesis(
    fit: Fitted,
    hypotheses: Texts,
    *,
    rope: tuple[float, float] | None = None,
    df: Freedom | None = None,
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> pd.DataFrame:
    """Tell how probable hypotheses about parameters are, brms' `hypothesis`, or test them in a fit without draws.

    Parameters
    ----------
    fit : Fit or PointFit
    hypotheses : str, sequence of str, or dict of str to str
        Two expressions with ``<``, ``>`` or ``=`` between them: ``"cn < 0"``, ``"control[essential] -
        control[other] < -0.5"``, ``"1|gene_sigma > sigma"``, ``"1|gene[BRAF] + cn|gene[BRAF] < 0"``. They hold
        numbers, + - * /, parentheses and the names of parameters:

        * fixed effects and thresholds as in `fixef`: ``Intercept``, ``control[essential]``, ``sigma_cn``;
        * standard deviations of group effects: ``1|gene_sigma``; the family's parameters: ``sigma``, ``nu``;
        * the effect of a level: ``1|gene[BRAF]``, ``1|gene:cell_line[BRAF:A375]``.

        A dict names them.
    rope : tuple of two float, optional
        Region of practical equivalence of the difference between both sides, (low, high); of draws alone.
    df : {"satterthwaite", "kenward-roger", "asymptotic"}, optional
        Degrees of freedom of a fit by REML or ML, as for `fixef`.
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        One row per hypothesis:

        * `hypothesis`: its name, or its text;
        * `estimate`, `std_error`, `conf_low`, `conf_high`: of the left side less the right, as for `fixef`. The
          interval has two sides (brms gives 90 % where a hypothesis has a direction);
        * `post_prob`: probability of the hypothesis, the share of draws for which it holds; NaN for ``=``;
        * `evidence_ratio`: post_prob / (1 - post_prob), infinite where it holds for every draw; NaN for ``=``;
        * with `rope`, `p_rope`: share of draws whose difference lies within it, ends included.

        Of a fit by the exact engine, sums of coefficients with numbers are normal given the variances: their
        probabilities are those of normal distributions, averaged over up to 1,000 draws of the variances, and tell
        1e-4 from 1e-40.

        Of a fit without draws, whose hypotheses are sums of fixed effects, instead of the last two columns `df` (after
        REML and ML), `statistic`, the t or z value of the difference, and `p_value`: the probability of one that speaks
        as clearly for the hypothesis if both sides were equal, of ``=`` of one as far from zero on either side.
        `.attrs["tests"]` says by whose degrees of freedom.

        A point has no probability under a continuous posterior, so ``=`` is answered by `p_rope` alone. A Savage-Dickey
        ratio is not given: it needs the prior density of the difference, and depends on that prior's width more than
        on the data.

    Raises
    ------
    FormulaError
        A hypothesis cannot be read, or names what is no parameter of the model.
    EstimateError
        ``=`` without `rope`, or `rope` is not two numbers in order. Of a fit without draws: `rope`, or a hypothesis
        that is no sum of fixed effects.

    References
    ----------
    R's brms, Buerkner (2017), doi:10.18637/jss.v080.i01; region of practical equivalence: Kruschke (2018),
    doi:10.1177/2515245918771304.

    Examples
    --------
    >>> from speclet_formula.interpretation import hypothesis
    >>> hypothesis(fit, "Days > 5")["post_prob"].item()  # fit: Reaction ~ Days + (1 + Days | Subject)
    1.0
    """
    interval = interval_of(fit, ci_prob, ci_kind)
    texts = _named_texts(hypotheses)
    _check_rope(rope)
    no_degrees(fit, df)
    if points_of(fit) is not None:
        return _tested(fit, texts, rope, df, interval)
    n_draws = len(draws_of(fit))
    parameters = parameters_of(fit)
    read = {name: read_hypothesis(text, parameters, n_draws) for name, text in texts.items()}
    given = given_variances(fit) if any(compared.difference.weights for compared in read.values()) else None
    rows = [_row(name, texts[name], compared, given, rope, interval) for name, compared in read.items()]
    columns = HYPOTHESES if rope is None else (*HYPOTHESES, "p_rope")
    frame = stack(rows, columns, interval)
    frame.attrs["draws"] = n_draws
    return frame


def _tested(
    fit: Fitted, texts: Mapping[str, str], rope: tuple[float, float] | None, df: Freedom | None, interval: Interval
) -> pd.DataFrame:
    """Test hypotheses about a fit without draws."""
    if rope is not None:
        raise EstimateError(
            f"rope={rope!r} is given, and the fit has no draws.",
            "The share of a posterior within a region is counted over draws; of such a fit both ends can be tested.",
            "Write for example hypothesis(fit, ['x > -0.1', 'x < 0.1']), or fit with method='exact' or 'hmc'.",
        )
    parameters, mean = parameters_of(fit), fit.model.design.mean
    places = {
        (term.variable, column - term.start): column for term in mean.fixed for column in range(term.start, term.stop)
    }
    read = {name: read_hypothesis(text, parameters, 1) for name, text in texts.items()}
    L = np.zeros((len(read), len(places)))
    for row, (name, compared) in enumerate(read.items()):
        weights = compared.difference.weights
        if not weights or any(key not in places for key in weights):
            raise _no_sum(texts[name], mean.columns)
        for key, weight in weights.items():
            L[row, places[key]] = weight
    point = cast("Estimated", fit)
    values = known_values(fit, L, np.array([one.difference.draws[0] for one in read.values()]), small_sample(point, df))
    frame = tabulate(values, interval)
    tests, attributes = tests_against_zero(values), frame.attrs | told_of(values)
    tests["p_value"] = _one_sided([one.relation for one in read.values()], **tests)
    frame = frame.assign(hypothesis=list(texts), **tests)
    frame = frame[["hypothesis", *(name for name in frame if name != "hypothesis")]]
    frame.attrs.update(attributes)
    return frame


def _one_sided(relations: Sequence[Operator], statistic: Array, p_value: Array) -> Array:
    """Return the p-values of hypotheses with a direction, of those of both; of = they are these."""
    signs = np.array([{"<": -1.0, ">": 1.0, "=": 0.0}[relation] for relation in relations])
    one_side = np.where(signs * statistic > 0, p_value / 2, 1 - p_value / 2)
    return np.where(signs == 0, p_value, one_side)


def _no_sum(text: str, columns: tuple[str, ...]) -> EstimateError:
    return EstimateError(
        f"'{text}' is no sum of fixed effects, and the fit has no draws.",
        f"What is tested without draws are fixed effects times numbers: {listed(columns)}.",
        "Fit the model with method='exact' or 'hmc' for a hypothesis about anything else.",
    )


def _row(
    name: str,
    text: str,
    compared: Compared,
    given: GivenVariances | None,
    rope: tuple[float, float] | None,
    interval: Interval,
) -> pd.DataFrame:
    """Summarise one hypothesis."""
    difference = compared.difference.draws
    summary = summarise(difference[:, None], interval).assign(hypothesis=name, post_prob=np.nan, evidence_ratio=np.nan)
    if compared.relation == "=" and rope is None:
        raise EstimateError(
            f"'{text}' has no probability: under a continuous posterior no two numbers are equal.",
            "A hypothesis with = is judged by the share of draws within a region of practical equivalence.",
            "Give the region: rope=(-0.1, 0.1), or write < or >.",
        )
    normal = None if given is None else _given(given, compared.difference)
    if compared.relation != "=":
        below, above = _sides(difference, normal)
        holds, fails = (below, above) if compared.relation == "<" else (above, below)
        summary = summary.assign(post_prob=holds, evidence_ratio=holds / fails if fails else np.inf)
    if rope is not None:
        summary = summary.assign(p_rope=_between(rope, difference, normal))
    return summary


def _given(given: GivenVariances, difference: Expression) -> tuple[Array, Array] | None:
    """Return means and SDs of a sum of coefficients given draws of the variances; None of anything else."""
    used = [(key, weight) for key, weight in (difference.weights or {}).items() if weight]
    if not used or not all(has_coefficient(given, variable) for (variable, _), _ in used):
        return None
    addends = [Addend(name, np.array([element]), np.array([weight])) for (name, element), weight in used]
    means, sds = moments(given, addends)
    return means[:, 0] + difference.constant, sds[:, 0]


def _sides(draws: Array, normal: tuple[Array, Array] | None) -> tuple[float, float]:
    """Return the probabilities of being below and above zero: normal ones averaged, or the shares of draws."""
    if normal is None:
        above = float(np.mean(draws > 0))
        below = float(np.mean(draws < 0))
        return below, above
    z = normal[0] / normal[1]
    return float(ndtr(-z).mean()), float(ndtr(z).mean())


def _between(rope: tuple[float, float], draws: Array, normal: tuple[Array, Array] | None) -> float:
    """Return the probability of a region, in the same way."""
    if normal is None:
        return float(np.mean((draws >= rope[0]) & (draws <= rope[1])))
    low, high = ((end - normal[0]) / normal[1] for end in rope)
    return float(np.where(low > 0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low)).mean())


def _named_texts(hypotheses: Texts) -> dict[str, str]:
    """Return the hypotheses by name."""
    if isinstance(hypotheses, str):
        return {hypotheses: hypotheses}
    given: Any = hypotheses  # of any kind, from Python without types
    texts = given if np.iterable(given) else [given]
    named: dict[str, str] = dict(texts) if isinstance(texts, Mapping) else {text: text for text in texts}
    wrong = [text for text in cast(list[object], list(named.values())) if not isinstance(text, str)]
    if wrong or not named:
        raise EstimateError(
            f"{wrong[0]!r} is no hypothesis." if wrong else "no hypothesis is given.",
            "A hypothesis is text: two expressions of parameters with <, > or = between them.",
            "Write for example hypothesis(fit, 'Intercept > 0').",
        )
    return named


def _check_rope(rope: object) -> None:
    """Refuse a region that is not two numbers in order."""
    if rope is None:
        return
    ends = np.asarray(rope, dtype=object)
    good = ends.shape == (_ENDS,) and all(isinstance(end, (int, float, np.number)) for end in ends)
    if not good or not ends[0] < ends[1]:
        raise EstimateError(
            f"rope={rope!r} is no region.",
            "It is two numbers, the lower first, in units of the difference between both sides.",
            "Write for example rope=(-0.1, 0.1).",
        )
