"""The effect of every level of a grouping factor: estimate, interval, how sure its sign is, and its rank.

Levels are gone through in blocks, so that memory beside the posterior stays small.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr

from speclet_formula.design.design import Design, FixedTerm, GroupBlock, Predictor
from speclet_formula.errors import EstimateError, listed, nearest
from speclet_formula.formula.terms import bare_name
from speclet_formula.inference.exact.given_variances import Addend, GivenVariances, given_variances, log_signs
from speclet_formula.posterior.draws import Fitted, draws_of
from speclet_formula.posterior.estimates import (
    ESTIMATES,
    Array,
    Interval,
    IntervalKind,
    PointEstimates,
    interval_of,
    points_of,
    stack,
    stated_coefficients,
    summarise,
    wald,
    with_interval,
)
from speclet_formula.prediction import BLOCK_BYTES

SIGNS = ("p_negative", "lfsr", "s_value", "rank")
LEVELS = ("group", "level", "term", *ESTIMATES, *SIGNS)
LOWEST = -700.0  # of logs of probabilities: what is less is given as exp of this, so that no number ends as 0
# A fixed column over a block's own: what a level adds to its coefficient is one number, up to rounding.
_SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Chosen:
    """One column of a group block, and what is added to the effect of each of its levels.

    Attributes
    ----------
    block : GroupBlock
    place : int
        The column's place in the block.
    term : str
        Its label: "Intercept", "Days", "sigma_Intercept".
    others : tuple of (str, ndarray of int, shape (levels,))
        Variables of other group effects, with the element that belongs to each level.
    fixed : tuple of (str, ndarray of float, shape (levels, columns))
        Variables of fixed terms, with each level's weights of their columns.
    added : tuple of str
        What was added: slots of group effects, and names of fixed terms.
    """

    block: GroupBlock
    place: int
    term: str
    others: tuple[tuple[str, np.ndarray], ...]
    fixed: tuple[tuple[str, Array], ...]
    added: tuple[str, ...]


def level_effects(
    fit: Fitted,
    group: str,
    *,
    term: str = "Intercept",
    add: str | Sequence[str] = (),
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> pd.DataFrame:
    """Tabulate the effect of every level of a grouping factor, with how sure its sign is.

    Parameters
    ----------
    fit : Fit or PointFit
    group : str
        The grouping factor: "gene", "gene:cell_line".
    term : str
        The column of its group term: "Intercept", "Days", "control[other]".
    add : str or sequence of str
        What is added to each level's effect, draw by draw: other grouping factors that its levels lie in ("gene" for
        the levels of "gene:cell_line"), and fixed terms that are the same in all its rows ("Intercept", or "control"
        for genes that each belong to one class). Nothing by default: the effect alone, as a deviation from the mean
        of the model.
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        One row per level, in the data's order, on the link's scale:

        * `group`, `level`, `term`: grouping factor, the level's label, and the column, or the sum:
          "1|gene:cell_line + 1|gene + Intercept";
        * `estimate`, `std_error`, `conf_low`, `conf_high`: as for `fixef`;
        * `p_negative`: probability that the effect is below zero;
        * `lfsr`: local false sign rate, the probability that the sign of the effect is not the likelier one,
          min(P(effect <= 0), P(effect >= 0)); one below 1e-304 is given as that;
        * `s_value`: false sign rate to expect among all levels with an `lfsr` no larger than this one's: their mean;
        * `rank`: 1 for the level whose sign is surest: by `lfsr`, then by the size of estimate / std_error.

        Of a fit by the exact engine an effect is normal given the variances: probabilities are those of normal
        distributions, averaged over draws of the variances (1,000 of them, from 100 on where there are many
        coefficients), so that 1e-4 can be told from 1e-40. Of any other fit with draws they are counted: with 1,000
        draws none between 0 and 0.001 can be told, and 0 means less than that. `.attrs["draws"]` is the number that
        they were counted over, or 0; `.attrs["interval"]` names the interval. Of a fit by maximum likelihood they are
        normal probabilities of conditional mode and standard deviation for given variances, so that the `lfsr` is a
        little too small where variances are poorly known; an effect of a variance that is zero has the `lfsr` 1.

    Raises
    ------
    EstimateError
        The model has no such group effect; what is added is not in the model or not the same in all rows of a level;
        or it was fitted by maximum likelihood, where only the fixed effect of the same term can be added.

    References
    ----------
    Local false sign rate and s-value: Stephens (2017), doi:10.1093/biostatistics/kxw041.

    Examples
    --------
    from speclet_formula.interpretation import level_effects
    >>> level_effects(fit, "Subject", term="Days", add="Days").columns.to_list()[-4:]  # fit: Reaction ~ Days + (...)
    ['p_negative', 'lfsr', 's_value', 'rank']
    """
    interval, points = interval_of(fit, ci_prob, ci_kind), points_of(fit)
    chosen, log_lfsr = choose_effects(fit, group, term, add), None
    if points is not None:
        frame, n_draws = _from_modes(fit, points, chosen, interval), 0
    else:
        frame, n_draws = _from_draws(fit, chosen, interval)
        given = given_variances(fit) if any(block is chosen.block for block in fit.model.design.mean.groups) else None
        if given is not None:
            signs = log_sign_probabilities(given, chosen)
            negative, lfsr = least_told(np.stack(signs))
            frame, n_draws = frame.assign(p_negative=negative, lfsr=lfsr), 0
            log_lfsr = signs[1]
    frame["s_value"] = s_values(frame["lfsr"].to_numpy())
    frame["rank"] = _ranks(frame, log_lfsr)
    label = sum_label(chosen) if chosen.added else chosen.term
    frame = frame.assign(group=chosen.block.group, level=list(chosen.block.levels), term=label)
    frame = stack([frame], LEVELS, interval if points is None else wald(points, interval))
    frame.attrs["draws"] = n_draws
    return frame


def choose_effects(fit: Fitted, group: str, term: str = "Intercept", add: str | Sequence[str] = ()) -> Chosen:
    """Find a group effect, and settle what each of its levels gets added.

    Parameters
    ----------
    fit : Fit or PointFit
    group : str
        The grouping factor: "gene", "gene:cell_line".
    term : str
        The column: "Intercept", "Days", "control[other]".
    add : str or sequence of str
        Other grouping factors ("gene" for the levels of "gene:cell_line") and fixed terms ("Intercept", "control").

    Raises
    ------
    EstimateError
        The model has no such group effect, or what is added has not one value for each level.
    """
    predictor, block, place = _find(fit.model.design, group, term)
    names = (add,) if isinstance(add, str) else tuple(add)
    others: list[tuple[str, np.ndarray]] = []
    fixed: list[tuple[str, Array]] = []
    added: list[str] = []
    for name in names:
        coarser = _same_column(predictor, name, block.columns[place])
        fixed_term = next((each for each in predictor.fixed if name in (each.name, *each.columns)), None)
        if coarser is not None and coarser[0] is not block:
            others.append((coarser[1], _codes_of_levels(block, coarser[0])))
            added.append(coarser[1])
        elif fixed_term is not None:
            fixed.append((fixed_term.variable, _weights(predictor, block, place, fixed_term, name)))
            added.append(name)
        else:
            raise _cannot_add(predictor, block, name, block.terms[place])
    label = block.terms[place]
    return Chosen(block, place, label, tuple(others), tuple(fixed), tuple(added))


def effect_blocks(fit: Fitted, chosen: Chosen) -> Iterator[tuple[slice, Array]]:
    """Go through the levels in blocks, with the draws of their total effects.

    Parameters
    ----------
    fit : Fit
    chosen : Chosen
        As `choose_effects` gives it.

    Yields
    ------
    levels : slice
        Places in the block's levels.
    draws : ndarray of float, shape (draws of all chains, levels)
        At most BLOCK_BYTES, unless one level alone takes more.
    """
    known = draws_of(fit)
    own = known.effects(chosen.block)[chosen.place]
    others = [(known.variable(slot), codes) for slot, codes in chosen.others]
    fixed = [(known.variable(name), weights) for name, weights in chosen.fixed]
    size = max(1, BLOCK_BYTES // (8 * len(own)))
    for start in range(0, own.shape[1], size):
        levels = slice(start, min(start + size, own.shape[1]))
        total = own[:, levels].copy()
        for draws, codes in others:
            total += draws[:, codes[levels]]
        for draws, weights in fixed:
            total += draws @ weights[levels].T
        yield levels, total


def log_sign_probabilities(given: GivenVariances, chosen: Chosen) -> tuple[Array, Array]:
    """Return logs of the probability of being negative, and of the local false sign rate, of each level's total effect.

    Parameters
    ----------
    given : GivenVariances
        Of the fit whose effects these are.
    chosen : Chosen
        As `choose_effects` gives it: the effect of a block of the mean, and what is added.

    Returns
    -------
    log_p_negative, log_lfsr : ndarray of float, shape (levels,)
    """
    block, n_levels = chosen.block, len(chosen.block.levels)
    parts = [Addend(block.slots[chosen.place], np.arange(n_levels), np.ones(n_levels))]
    parts += [Addend(slot, codes, np.ones(n_levels)) for slot, codes in chosen.others]
    for name, weights in chosen.fixed:
        parts += [Addend(name, np.full(n_levels, column), own) for column, own in enumerate(weights.T)]
    rows, (belong, codes) = np.full(n_levels, -1), block.belongings
    there = np.flatnonzero(block.values[belong, chosen.place])
    rows[codes[there]] = belong[there]
    negative, positive = log_signs(given, parts, rows)
    return negative, np.minimum(negative, positive)


def least_told(logs: Array) -> Array:
    """Return probabilities of their logs; those below 1e-304 as that."""
    return np.asarray(np.exp(np.maximum(logs, LOWEST)))


def sum_label(chosen: Chosen) -> str:
    """Spell a level's total effect by the names of its parts: "1|gene:cell_line + 1|gene + Intercept"."""
    return " + ".join((chosen.block.slots[chosen.place], *chosen.added))


def s_values(lfsr: Array) -> Array:
    """Return the expected false sign rate among all effects whose local rate is no larger than each one's.

    Parameters
    ----------
    lfsr : ndarray of float, shape (n,)

    Returns
    -------
    ndarray of float, shape (n,)
        Equal rates have equal values.

    References
    ----------
    Stephens (2017), doi:10.1093/biostatistics/kxw041.

    Examples
    --------
    >>> import numpy as np
    >>> from speclet_formula.interpretation.level_effects import s_values
    >>> s_values(np.array([0.2, 0.0, 0.1])).round(3).tolist()
    [0.1, 0.0, 0.05]
    """
    ordered = np.sort(lfsr)
    means = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    return np.asarray(means[np.searchsorted(ordered, lfsr, side="right") - 1])


def sign_probabilities(draws: Array) -> tuple[Array, Array]:
    """Return the probability of being negative, and the local false sign rate, of each column of draws.

    Parameters
    ----------
    draws : ndarray of float, shape (draws, effects)

    Returns
    -------
    p_negative, lfsr : ndarray of float, shape (effects,)
    """
    negative, positive = (draws < 0).mean(axis=0), (draws > 0).mean(axis=0)
    return negative, np.minimum(1 - negative, 1 - positive)


def normal_signs(estimates: Array, errors: Array) -> tuple[Array, Array]:
    """Return the same for normal distributions; one without spread is an effect that is zero, and has no sign.

    Parameters
    ----------
    estimates, errors : ndarray of float, shape (effects,)

    Returns
    -------
    p_negative, lfsr : ndarray of float, shape (effects,)
    """
    without = errors == 0
    z = estimates / np.where(without, 1.0, errors)
    return np.where(without, 0.0, ndtr(-z)), np.where(without, 1.0, ndtr(-np.abs(z)))


def _from_draws(fit: Fitted, chosen: Chosen, interval: Interval) -> tuple[pd.DataFrame, int]:
    """Summarise the draws of all levels, block by block."""
    rows, n_draws = [], 0
    for _, draws in effect_blocks(fit, chosen):
        negative, lfsr = sign_probabilities(draws)
        rows.append(summarise(draws, interval).assign(p_negative=negative, lfsr=lfsr))
        n_draws = len(draws)
    return pd.concat(rows, ignore_index=True), n_draws


def _from_modes(fit: Fitted, points: PointEstimates, chosen: Chosen, interval: Interval) -> pd.DataFrame:
    """Approximate the effects by normal distributions around their conditional modes."""
    groups = fit.model.design.mean.groups
    index = next(index for index, block in enumerate(groups) if block is chosen.block)
    modes, sds = points.modes[index][:, chosen.place], points.mode_sds[index][:, chosen.place]
    if chosen.added:
        if chosen.added != (chosen.term,):
            raise _no_joint_draws(points, chosen)
        labels = fit.model.design.mean.columns
        modes = modes + stated_coefficients(points)[labels.index(chosen.term)]
        sds = points.sum_sds[index][:, chosen.place]
    negative, lfsr = normal_signs(modes, sds)
    return with_interval(modes, sds, interval).assign(p_negative=negative, lfsr=lfsr)


def _no_joint_draws(points: PointEstimates, chosen: Chosen) -> EstimateError:
    return EstimateError(
        f"the sum {sum_label(chosen)} has no standard error in a fit by {points.criterion}.",
        f"Such a fit knows the spread of one group effect, alone or with the fixed effect of the same term: "
        f"add='{chosen.term}'.",
        "Fit the model with method='exact' or 'hmc': sums are then made draw by draw.",
    )


def _ranks(frame: pd.DataFrame, log_lfsr: Array | None = None) -> np.ndarray:
    """Rank by the local false sign rate; among equal ones, as counted draws give, by the size against the error."""
    rates = frame["lfsr"].to_numpy() if log_lfsr is None else log_lfsr
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.nan_to_num((frame["estimate"] / frame["std_error"]).abs().to_numpy(), nan=0.0, posinf=np.inf)
    ranks = np.empty(len(frame), dtype=np.int64)
    ranks[np.lexsort((-size, rates))] = np.arange(1, len(frame) + 1)
    return ranks


def _find(design: Design, group: str, term: str) -> tuple[Predictor, GroupBlock, int]:
    """Return the linear predictor, the block and the place of a group effect."""
    blocks = [(predictor, block) for predictor in design.predictors for block in predictor.factors]
    group = bare_name(group, [name for _, block in blocks for name in (block.group, block.label)])
    term = bare_name(term, [block.term_of(column) for _, block in blocks for column in block.columns])
    of_group = [(predictor, block) for predictor, block in blocks if group in (block.group, block.label)]
    if not of_group:
        raise _no_group(group, list(dict.fromkeys(block.group for _, block in blocks)))
    labels = [
        (block.term_of(column), predictor, block, place)
        for predictor, block in of_group
        for place, column in enumerate(block.columns)
    ]
    for label, predictor, block, place in labels:
        if label == term:
            return predictor, block, place
    names = [label for label, *_ in labels]
    near = nearest(term, names) or next((name for name in names if f"[{term}]" in name), None)
    raise EstimateError(
        f"'{group}' has no effect of '{term}'.",
        f"Effects that vary by {group}: {listed(names)}.",
        f"Nearest: term='{near}'." if near else f"Write term='{names[0]}'.",
    )


def _no_group(group: str, groups: list[str]) -> EstimateError:
    near = nearest(group, groups)
    problem = f"the model has no group effects of '{group}'."
    if not groups:
        return EstimateError(problem, "It has no group term.", "Its fixed effects are in sf.fixef(fit).")
    return EstimateError(
        problem,
        f"Grouping factors: {listed(groups)}.",
        f"Nearest: '{near}'." if near else "Name one of these.",
    )


def _same_column(predictor: Predictor, group: str, column: str) -> tuple[GroupBlock, str] | None:
    """Return the block, and the slot, of another grouping factor's effect of the same column."""
    return next(
        (
            (block, block.slots[block.columns.index(column)])
            for block in predictor.groups
            if group == block.group and column in block.columns
        ),
        None,
    )


def _codes_of_levels(block: GroupBlock, other: GroupBlock) -> np.ndarray:
    """Return the other factor's level that each level of the block lies in."""
    codes = np.empty(len(block.levels), dtype=np.int64)
    codes[block.codes] = other.codes
    several = np.flatnonzero(codes[block.codes] != other.codes)
    if len(several):
        raise _not_determined(block, other.group, block.levels[block.codes[several[0]]], other.factors)
    return codes


def _weights(predictor: Predictor, block: GroupBlock, place: int, term: FixedTerm, name: str) -> Array:
    """Return what each column of a fixed term, or the one of that name, adds to the coefficient of each level."""
    kept = np.array([name in (term.name, label) for label in term.columns])
    weights = np.zeros((len(block.levels), len(kept)))
    if [label for label, keep in zip(term.columns, kept, strict=True) if keep] == [block.terms[place]]:
        weights[:, kept] = 1.0  # the fixed effect of the same column
        return weights
    rows, codes = block.belongings
    values, actual = block.values[rows][:, [place]], (predictor.X[:, term.start : term.stop] * kept)[rows]
    there = np.flatnonzero(values)
    weights[:] = np.nan
    weights[codes[there]] = actual[there] / values[there]
    differ = ~(np.abs(weights[codes] * values - actual) <= _SAME * (1 + np.abs(actual))).all(axis=1)
    if differ.any():
        raise _not_determined(block, name, block.levels[codes[np.flatnonzero(differ)[0]]], ())
    return weights


def _not_determined(block: GroupBlock, name: str, level: str, factors: tuple[str, ...]) -> EstimateError:
    finer = ":".join(dict.fromkeys((*block.factors, *factors)))
    return EstimateError(
        f"'{name}' cannot be added to the effects of '{block.group}': it is not the same in all rows of '{level}'.",
        f"What is added has one value for each level of '{block.group}'.",
        f"Leave '{name}' out" + (f", or ask for the levels of '{finer}'." if factors else "."),
    )


def _cannot_add(predictor: Predictor, block: GroupBlock, name: str, label: str) -> EstimateError:
    groups = [
        other.group
        for other in predictor.groups
        if other is not block and any(c in block.columns for c in other.columns)
    ]
    fixed = [term.name for term in predictor.fixed]
    near = nearest(name, [*groups, *fixed])
    return EstimateError(
        f"'{name}' cannot be added to the effects of '{block.group}' ({label}).",
        f"Grouping factors with such an effect: {listed(groups) or 'none'}. Fixed terms: {listed(fixed) or 'none'}.",
        f"Nearest: '{near}'." if near else f"Leave '{name}' out.",
    )
