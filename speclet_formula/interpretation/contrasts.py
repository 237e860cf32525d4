"""Contrasts of marginal means or of slopes, draw by draw: emmeans' `contrast` and `pairs`."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import comb, gcd, lcm
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.transforms import text_of_value
from speclet_formula.errors import EstimateError, listed, nearest
from speclet_formula.formula.terms import bare_name
from speclet_formula.interpretation.adjustment import (
    NAMES,
    STEPWISE,
    ContrastFamily,
    adjusted_p,
    checked_adjustment,
    reach,
    simultaneous,
)
from speclet_formula.interpretation.combinations import (
    Function,
    Values,
    degrees_of,
    tabulate,
    tested_by,
    tests_against_zero,
    told_of,
    weighted,
)
from speclet_formula.interpretation.means import Means, Names, named

METHODS = ("pairwise", "revpairwise", "reference", "consec", "eff", "poly")
DEGREES = ("linear", "quadratic", "cubic", "quartic", "degree 5", "degree 6")
RATIOS = {"log": "ratio", "logit": "odds ratio"}  # what the exponential of a difference on these links is
_SHOWN = 6

type Weights = Mapping[str, Mapping[str, float] | Sequence[float]]
type Interaction = str | Sequence[str] | Mapping[str, str]


@dataclass(frozen=True, eq=False)
class _Together:
    """The contrasts of one group of `by`: which they are, and how many means or slopes they compare."""

    contrasts: np.ndarray
    estimates: int


def contrasts(
    means: Means,
    method: str | Weights = "pairwise",
    *,
    by: Names = None,
    reference: str | None = None,
    interaction: Interaction | None = None,
    adjust: str | None = None,
) -> Means:
    """Compare marginal means or slopes with each other: emmeans' `contrast`.

    Parameters
    ----------
    means : Means
        As from `marginal_means` or `slopes`.
    method : {"pairwise", "revpairwise", "reference", "consec", "eff", "poly"} or dict
        "pairwise": each with all later ones, first - second; "revpairwise": second - first; "reference": each of the
        others less the reference (R's "trt.vs.ctrl"); "consec": each less the one before it; "eff": each less the mean
        of all; "poly": linear, quadratic and further trends over levels at equal distances, up to the sixth degree, in
        the smallest whole weights, for four levels -3, -1, 1 and 3. Or weights by the contrast's name,
        `{"essential against the rest": {"essential": 1, "other": -0.5, "nonessential": -0.5}}`; a level that is not
        named has the weight 0, a plain sequence has one weight for each row of a group in order.
    by : str or sequence of str, optional
        The variables within whose levels contrasts are made; those of the means by default.
    reference : str, optional
        The level that "reference" compares with; the first by default.
    interaction : str, sequence or dict, optional
        Contrasts of contrasts, emmeans' `interaction`: a method for all variables that are compared, one for each in
        order, or by name, `{"arm": "pairwise", "visit": "consec"}`: how the differences between arms change from visit
        to visit. It stands in the place of `method`.
    adjust : str, optional
        How p-values and intervals of a fit by maximum likelihood account for there being several contrasts within each
        group of `by`: "tukey", "dunnett", "mvt" (the joint t distribution), "scheffe", "sidak", "bonferroni", "holm",
        "fdr" or "none". By default as in emmeans "tukey" of "pairwise", "mvt" of "consec", "fdr" of "eff", "none" of
        "poly", of interactions and of weights of your own, and Dunnett's of "reference", which is exact here. Of "holm"
        and "fdr" the intervals are Bonferroni's. Of a fit with draws "none" (the default) or "simultaneous": intervals
        that hold all contrasts at once, as wide, in posterior SDs, as holds all of them in that share of the joint
        draws.

    Returns
    -------
    Means
        Its `table` has one row per contrast: `contrast`, "w - v", the columns of `by`, `estimate`, `std_error`,
        `conf_low`, `conf_high` and

        * `p_negative`: probability that the difference is below zero (a ratio below 1): of an exact fit normal
          probabilities, averaged over draws of the variances, of any other the share of draws;
        * of a fit by maximum likelihood instead `df` (after REML and ML), `statistic`, the t value, or z value, and
          `p_value`, that of a larger one of either sign if there were no difference, adjusted.

        Differences of means are taken on the link scale. Of means with type="response" and a log or logit link, or of
        a response that is a logarithm, log2(y + 5), they are given as ratios or odds ratios, "w / v", as in emmeans: of
        y + 5, not of y. Of other links and computed responses they stay on the link scale.

        `table.attrs["tests"]` says whose degrees of freedom the tests have, `table.attrs["adjustment"]` how they are
        adjusted and for how many, as do sentence and foot.

    Raises
    ------
    EstimateError
        The method or the adjustment does not exist, a level is not among the means, or there is nothing to compare.

    References
    ----------
    R's emmeans; marginaleffects calls them hypotheses of `avg_predictions`. Simultaneous intervals of draws: Montiel
    Olea and Plagborg-Møller (2019), doi:10.1002/jae.2656.

    Examples
    --------
    >>> from speclet_formula.interpretation import contrasts, marginal_means
    >>> contrasts(marginal_means(fit, "Days", at={"Days": [0, 9]})).table["contrast"].to_list()
    ['0 - 9']
    """
    if means.kind == "contrasts":
        raise EstimateError(
            "these are contrasts already.",
            "Marginal means and slopes are compared.",
            "Give what contrasts() was given.",
        )
    within = means.by if by is None else tuple(bare_name(name, means.names) for name in named(by))
    focal = _focal(means, within)
    ratio, function = _ratio(means)
    if not isinstance(method, str | Mapping):
        raise _no_method(method)
    each = None if interaction is None else _of_each(interaction, focal, method, reference)
    method = method if each is None else "interaction"
    adjust = checked_adjustment(_usual(means, method) if adjust is None else adjust, method, draws=_has_draws(means))
    rows: list[dict[str, Any]] = []
    weights: list[np.ndarray] = []
    families: list[_Together] = []
    for cell, places in _groups(means.table, within):
        compared, sign = means.table.iloc[places], " / " if ratio else " - "
        made_of = (
            _contrasts_of(_labels(compared, focal), method, reference, sign)
            if each is None
            else _interactions(compared, each, sign)
        )
        for name, chosen in made_of:
            row = np.zeros(len(means.table))
            row[places] = chosen
            weights.append(row)
            rows.append({"contrast": name, **cell})
        made = sum(family.contrasts.size for family in families)
        families.append(_Together(np.arange(made, len(rows)), len(places)))
    values = weighted(means.values, np.array(weights))
    far, adjusted, told = _adjusted(values, adjust, families, means.interval.probability)
    summary = tabulate(values, means.interval, function, far)
    table = pd.concat([pd.DataFrame(rows), summary], axis=1).assign(**(tests_against_zero(values) | adjusted))
    for name in within:
        table[name] = table[name].astype(means.table[name].dtype)
    table.attrs.update(summary.attrs, **told_of(values), **told)
    if far is not None and not _has_draws(means):
        table.attrs["interval"] = _simultaneous(str(summary.attrs["interval"]), adjust)
    what = {"ratio": "Ratios", "odds ratio": "Odds ratios"}.get(ratio or "", "Differences")
    response = means.response if means.back is None else means.back.inside if ratio else means.back.text
    return replace(
        means,
        table=table,
        sentence=f"{what} of: {_of(means, response).removesuffix(tested_by(values))}{tested_by(values)}",
        response=response,
        kind="contrasts",
        names=("contrast", *within),
        by=within,
        scale="response" if ratio or _is_identity(means) else "link",
        values=values,
    )


def pairs(means: Means, *, by: Names = None, reverse: bool = False, adjust: str | None = None) -> Means:
    """Compare each marginal mean or slope with every other: `contrasts(means, "pairwise")`, emmeans' `pairs`.

    Parameters
    ----------
    means : Means
    reverse : bool
        Whether differences are second - first.
    by, adjust : optional
        As for `contrasts`: Tukey's adjustment by default, of a fit with draws none.

    Returns
    -------
    Means

    Raises
    ------
    EstimateError
        As for `contrasts`.

    Examples
    --------
    >>> from speclet_formula.interpretation import marginal_means, pairs
    >>> pairs(marginal_means(fit, "Days", at={"Days": [0, 4, 9]})).table["contrast"].to_list()
    ['0 - 4', '0 - 9', '4 - 9']
    """
    return contrasts(means, "revpairwise" if reverse else "pairwise", by=by, adjust=adjust)


def _has_draws(means: Means) -> bool:
    return means.values.draws is not None


def _usual(means: Means, method: str | Weights) -> str:
    """Return the adjustment that belongs to a method of contrasts, as in emmeans; none of draws."""
    usual = {"pairwise": "tukey", "revpairwise": "tukey", "reference": "dunnett", "consec": "mvt", "eff": "fdr"}
    return "none" if _has_draws(means) or isinstance(method, Mapping) else usual.get(method, "none")


def _adjusted(
    values: Values, adjust: str, families: list[_Together], probability: float
) -> tuple[np.ndarray | None, dict[str, np.ndarray], dict[str, str]]:
    """Return how far intervals reach, adjusted p-values, and what is to be said of them.

    None and nothing where nothing is adjusted.
    """
    if adjust == "none" or all(family.contrasts.size == 1 and adjust != "scheffe" for family in families):
        return None, {}, {}
    rows = sum(family.contrasts.size for family in families)
    far, p = np.full(rows, np.nan), np.full(rows, np.nan)
    for family in families:
        own = family.contrasts
        if values.draws is not None:
            draws = values.draws[:, own]
            far[own] = simultaneous(draws, draws.mean(axis=0), draws.std(axis=0, ddof=1), probability)
            continue
        tested = _tested(values, family)
        far[own], p[own] = reach(adjust, probability, tested), adjusted_p(adjust, tested)
    told = {"adjust": adjust, "adjustment": _told(adjust, families)}
    return far, {} if values.draws is not None else {"p_value": p}, told


def _tested(values: Values, family: _Together) -> ContrastFamily:
    """Return what an adjustment needs of the contrasts of one group of `by`."""
    own = family.contrasts
    covariance = values.covariance[np.ix_(own, own)]
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.sqrt(np.diagonal(covariance))
        statistic, correlation = values.estimates[own] / errors, covariance / np.outer(errors, errors)
    L = np.zeros((0, 0)) if values.sums is None else values.sums.L[own]
    rank = int(np.linalg.matrix_rank(L[np.isfinite(statistic)])) if L.size else 0
    return ContrastFamily(statistic, degrees_of(values)[own], correlation, family.estimates, max(rank, 1))


def _simultaneous(interval: str, adjust: str) -> str:
    """Name an adjustment's interval: "95% simultaneous t interval (Kenward-Roger, Tukey's method)"."""
    mass, _, kind = interval.partition(" ")
    by = NAMES["bonferroni" if adjust in STEPWISE else adjust]
    named = f"{kind.removesuffix(')')}, {by})" if kind.endswith(")") else f"{kind} ({by})"
    return f"{mass} simultaneous {named}"


def _told(adjust: str, families: list[_Together]) -> str:
    """Say how several contrasts are accounted for, and of how many."""
    compared = adjust == "tukey"
    sizes = sorted({family.estimates if compared else family.contrasts.size for family in families})
    count = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    of = f"a family of {count} {'estimates' if compared else 'contrasts'}"
    each = " in each group" if len(families) > 1 else ""
    if adjust == "simultaneous":
        return f"Intervals hold all of {of} at once{each}, in that share of the joint draws."
    if adjust in STEPWISE:
        return f"p_value is adjusted by {NAMES[adjust]}, intervals by Bonferroni's method, for {of}{each}."
    return f"p_value and intervals are adjusted by {NAMES[adjust]} for {of}{each}."


def _ratio(means: Means) -> tuple[str | None, Function | None]:
    """Return what differences are the logarithm of, if they are, and the function that leads there."""
    if means.scale != "response" or means.family is None:
        return None, None
    if means.back is not None:
        base = means.back.base
        return (None, None) if base is None else ("ratio", lambda values: np.power(base, values))
    ratio = RATIOS.get(means.family.link)
    return ratio, np.exp if ratio else None


def _of(means: Means, response: str) -> str:
    """Name in the means' sentence what is compared: of a computed response not what it was taken back to."""
    if means.back is None:
        return means.sentence
    shorter = means.sentence.replace(f", taken back from {means.back.text}", "", 1)
    return shorter.replace(f" of {means.back.response}", f" of {response}", 1)


def _is_identity(means: Means) -> bool:
    direct = means.family is None or means.family.link == "identity"
    return means.scale == "response" and means.back is None and direct


def _focal(means: Means, within: tuple[str, ...]) -> list[str]:
    """Return the columns that name what is compared."""
    unknown = next((name for name in within if name not in means.names), None)
    focal = [name for name in means.names if name not in within]
    if unknown is None and focal:
        return focal
    problem = f"by='{unknown}' is no column of these means." if unknown else "by= leaves nothing to compare."
    raise EstimateError(problem, f"Their columns: {listed(means.names) or 'none'}.", "Name some of these, but not all.")


def _groups(table: pd.DataFrame, within: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Go through the rows by the levels of `by`, in the table's order."""
    if not within:
        yield {}, np.arange(len(table))
        return
    keys = list(zip(*(table[name] for name in within), strict=True))
    for key in dict.fromkeys(keys):
        yield dict(zip(within, key, strict=True)), np.flatnonzero([row == key for row in keys])


def _labels(table: pd.DataFrame, focal: list[str]) -> list[str]:
    """Name the rows by their levels and values."""
    columns = [[text_of_value(value) for value in table[name]] for name in focal]
    return [" ".join(parts) for parts in zip(*columns, strict=True)]


def _contrasts_of(
    labels: list[str], method: str | Weights, reference: str | None, sign: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Go through the contrasts of some labelled rows: name and weights."""
    if isinstance(method, Mapping):
        yield from ((str(name), _given_weights(str(name), weights, labels)) for name, weights in method.items())
        return
    if method not in METHODS:
        raise _no_method(method)
    if len(labels) < 2:  # noqa: PLR2004 - a difference needs two
        raise EstimateError(
            f"'{labels[0]}' has nothing to be compared with.",
            "A contrast needs two rows or more.",
            "Name a factor, or give several values of a number: at={'x': [0, 1]}.",
        )
    unit = np.eye(len(labels))
    if method == "eff":
        yield from ((f"{label} effect", row) for label, row in zip(labels, unit - 1 / len(labels), strict=True))
        return
    if method == "poly":
        yield from zip(DEGREES, _trends(len(labels)), strict=False)
        return
    for first, second in _compared(len(labels), method, 0 if reference is None else _place(reference, labels)):
        yield f"{labels[first]}{sign}{labels[second]}", unit[first] - unit[second]


def _compared(n_rows: int, method: str, base: int) -> Iterator[tuple[int, int]]:
    """Go through the pairs of rows whose difference a method takes."""
    if method == "pairwise":
        yield from itertools.combinations(range(n_rows), 2)
    elif method == "revpairwise":
        yield from ((later, row) for later in range(n_rows) for row in range(later))
    elif method == "consec":
        yield from ((row, row - 1) for row in range(1, n_rows))
    else:
        yield from ((row, base) for row in range(n_rows) if row != base)


def _trends(n: int) -> Iterator[np.ndarray]:
    """Go through the orthogonal polynomials of n levels, discrete Chebyshev ones in the smallest whole numbers."""
    for degree in range(1, min(n, len(DEGREES) + 1)):
        exact = [
            sum(
                (-1) ** (degree + j) * Fraction(comb(degree, j) * comb(degree + j, j) * comb(x, j), comb(n - 1, j))
                for j in range(degree + 1)
            )
            for x in range(n)
        ]
        scale = lcm(*(share.denominator for share in exact))
        whole = [int(share * scale) for share in exact]
        yield np.array([weight // gcd(*whole) for weight in whole], dtype=np.float64)


def _of_each(
    interaction: Interaction, focal: list[str], method: str | Weights, reference: str | None
) -> dict[str, str]:
    """Return the method of each variable that is compared, by its name."""
    if method != "pairwise" or reference is not None:
        raise EstimateError(
            f"{'method=' if reference is None else 'reference='} and interaction= were both given.",
            "interaction= names the method of each variable.",
            "Leave one of them out.",
        )
    if isinstance(interaction, Mapping):
        methods = {bare_name(name, focal): chosen for name, chosen in interaction.items()}
    else:
        chosen = [interaction] * len(focal) if isinstance(interaction, str) else list(interaction)
        methods = dict(zip(focal, chosen, strict=False)) if len(chosen) == len(focal) else {}
    if set(methods) != set(focal) or len(focal) < 2:  # noqa: PLR2004 - an interaction needs two
        raise EstimateError(
            f"interaction={interaction!r} does not name a method for each of two variables or more.",
            f"Compared are: {listed(focal)}.",
            "Write interaction='pairwise' for all, or one for each: "
            f"{dict.fromkeys(focal if len(focal) > 1 else [*focal, 'another'], 'pairwise')}.",
        )
    if (unknown := next((chosen for chosen in methods.values() if chosen not in METHODS), None)) is not None:
        raise _no_method(unknown)
    return {name: methods[name] for name in focal}


def _interactions(table: pd.DataFrame, methods: Mapping[str, str], sign: str) -> Iterator[tuple[str, np.ndarray]]:
    """Go through the products of the contrasts of each variable; the first variable's vary fastest."""
    of_each = []
    for name, method in methods.items():
        labels = list(dict.fromkeys(_labels(table, [name])))
        own = np.array([labels.index(label) for label in _labels(table, [name])])
        of_each.append([(shown, row[own]) for shown, row in _contrasts_of(labels, method, None, sign)])
    if len(table) != np.prod([table[name].nunique() for name in methods]) or table[list(methods)].duplicated().any():
        raise EstimateError(
            "not every combination of what is compared is among these means.",
            "Contrasts of contrasts are of a whole grid.",
            "Give the weights yourself: sf.contrasts(means, {'name': [1, -1, -1, 1]}).",
        )
    for chosen in itertools.product(*reversed(of_each)):
        shown = [name for name, _ in reversed(chosen)]
        yield " : ".join(shown), np.prod([row for _, row in chosen], axis=0)


def _given_weights(name: str, weights: Mapping[str, float] | Sequence[float], labels: list[str]) -> np.ndarray:
    """Return the weights of one contrast in the order of the rows."""
    if isinstance(weights, Mapping):
        row = np.zeros(len(labels))
        for label, weight in weights.items():
            row[_place(str(label), labels)] = weight
        return row
    row = np.asarray(weights, dtype=np.float64)
    if row.shape != (len(labels),):
        raise EstimateError(
            f"the contrast '{name}' has {row.size} weights for {len(labels)} rows.",
            f"Rows: {listed(labels, _SHOWN)}.",
            "Give one weight for each, or a dict of weights by name.",
        )
    return row


def _place(label: str, labels: list[str]) -> int:
    if label in labels:
        return labels.index(label)
    near = nearest(label, labels)
    raise EstimateError(
        f"'{label}' is not among what is compared.",
        f"Rows: {listed(labels)}.",
        f"Nearest: '{near}'." if near else "Name one of these.",
    )


def _no_method(method: object) -> EstimateError:
    answers = {
        "tukey": "pairwise",
        "trt.vs.ctrl": "reference",
        "trt.vs.ctrl1": "reference",
        "dunnett": "reference",
    }
    near = answers.get(str(method).lower()) or nearest(str(method), METHODS)
    given = f"{{'name': {method!r}}}" if isinstance(method, list | tuple) else repr(near or "pairwise")
    return EstimateError(
        f"there is no method={method!r}.",
        f"Methods: {listed(map(repr, METHODS))}, or a dict of weights by the contrast's name.",
        f"Write method={given}.",
    )
