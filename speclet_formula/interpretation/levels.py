"""A fit goes in; a table of every level's effect comes out: estimate, interval, how sure its sign is, and its rank.

Adding up effects is left to `choosing`, tables of two factors to `matrices`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtr

from speclet_formula.interpretation.choosing import Chosen, choose_effects, effect_blocks, sum_label
from speclet_formula.posterior.draws import Fitted
from speclet_formula.posterior.intervals import (
    ESTIMATES,
    Array,
    EstimateError,
    Interval,
    stack,
    summarise,
)
from speclet_formula.posterior.points import (
    PointEstimates,
    interval_of,
    points_of,
    stated_coefficients,
    wald,
    with_interval,
)

SIGNS = ("p_negative", "lfsr", "s_value", "rank")
LEVELS = ("group", "level", "term", *ESTIMATES, *SIGNS)


def level_effects(
    fit: Fitted,
    group: str,
    *,
    term: str = "Intercept",
    add: str | Sequence[str] = (),
    ci_prob: float | None = None,
    ci_kind: str | None = None,
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
          min(P(effect <= 0), P(effect >= 0));
        * `s_value`: false sign rate to expect among all levels with an `lfsr` no larger than this one's: their mean;
        * `rank`: 1 for the level whose sign is surest: by `lfsr`, then by the size of estimate / std_error.

        Of draws, probabilities are counted: with 1,000 draws none between 0 and 0.001 can be told, and 0 means less
        than that. `.attrs["draws"]` holds their number, `.attrs["interval"]` names the interval. Of a fit by maximum
        likelihood they are normal probabilities of conditional mode and standard deviation for given variances, so
        that the `lfsr` is a little too small where variances are poorly known; `.attrs["draws"]` is 0, and an effect
        of a variance that is zero has the `lfsr` 1.

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
    >>> from speclet_formula.interpretation import level_effects
    >>> level_effects(fit, "Subject", term="Days", add="Days").columns.to_list()[-4:]  # fit: Reaction ~ Days + (...)
    ['p_negative', 'lfsr', 's_value', 'rank']
    """
    interval, points = interval_of(fit, ci_prob, ci_kind), points_of(fit)
    chosen = choose_effects(fit, group, term, add)
    if points is not None:
        frame, n_draws = _from_modes(fit, points, chosen, interval), 0
    else:
        frame, n_draws = _from_draws(fit, chosen, interval)
    frame["s_value"] = s_values(frame["lfsr"].to_numpy())
    frame["rank"] = _ranks(frame)
    label = sum_label(chosen) if chosen.added else chosen.term
    frame = frame.assign(group=chosen.block.group, level=list(chosen.block.levels), term=label)
    frame = stack([frame], LEVELS, interval if points is None else wald(points, interval))
    frame.attrs["draws"] = n_draws
    return frame


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
    >>> from speclet_formula.interpretation.levels import s_values
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
    groups = fit.model.design.groups
    index = next(index for index, block in enumerate(groups) if block is chosen.block)
    modes, sds = points.modes[index][:, chosen.place], points.mode_sds[index][:, chosen.place]
    if chosen.added:
        if chosen.added != (chosen.term,):
            raise _no_joint_draws(points, chosen)
        labels = [label for term in fit.model.design.fixed for label in term.columns]
        modes = modes + stated_coefficients(points)[labels.index(chosen.term)]
        sds = points.sum_sds[index][:, chosen.place]
    negative, lfsr = normal_signs(modes, sds)
    return with_interval(modes, sds, interval).assign(p_negative=negative, lfsr=lfsr)


def _no_joint_draws(points: PointEstimates, chosen: Chosen) -> EstimateError:
    return EstimateError(
        f"the sum {sum_label(chosen)} has no standard error in a fit by {points.criterion}.",
        f"Such a fit knows the spread of one group effect, alone or with the fixed effect of the same term: "
        f"add='{chosen.term}'.",
        "Fit the model with method='exact' or 'nuts': sums are then made draw by draw.",
    )


def _ranks(frame: pd.DataFrame) -> np.ndarray:
    """Rank by the local false sign rate; among equal ones, as counted draws give, by the size against the error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.nan_to_num((frame["estimate"] / frame["std_error"]).abs().to_numpy(), nan=0.0, posinf=np.inf)
    ranks = np.empty(len(frame), dtype=np.int64)
    ranks[np.lexsort((-size, frame["lfsr"].to_numpy()))] = np.arange(1, len(frame) + 1)
    return ranks
