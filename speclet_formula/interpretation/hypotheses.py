"""A fit and hypotheses as text go in; how probable each is comes out, as from brms' `hypothesis`.

Reading the text is left to `expressions`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from speclet_formula.interpretation.expressions import Compared, read_hypothesis
from speclet_formula.interpretation.parameters import parameters_of
from speclet_formula.posterior.draws import Fitted
from speclet_formula.posterior.intervals import ESTIMATES, EstimateError, Interval, choose_interval, stack, summarise

HYPOTHESES = ("hypothesis", *ESTIMATES, "post_prob", "evidence_ratio")
_ENDS = 2

type Texts = str | Sequence[str] | Mapping[str, str]


def hypothesis(
    fit: Fitted,
    hypotheses: Texts,
    *,
    rope: tuple[float, float] | None = None,
    ci_prob: float | None = None,
    ci_kind: str | None = None,
) -> pd.DataFrame:
    """Test hypotheses about parameters by the share of draws for which they hold: brms' `hypothesis`.

    Parameters
    ----------
    fit : Fit
    hypotheses : str, sequence of str, or dict of str to str
        Two expressions with ``<``, ``>`` or ``=`` between them: ``"cn < 0"``, ``"control[essential] -
        control[other] < -0.5"``, ``"1|gene_sigma > sigma"``, ``"1|gene[BRAF] + cn|gene[BRAF] < 0"``. They hold
        numbers, + - * /, parentheses and the names of parameters:

        * fixed effects and thresholds as in `fixef`: ``Intercept``, ``control[essential]``, ``sigma_cn``;
        * standard deviations of group effects: ``1|gene_sigma``; the family's parameters: ``sigma``, ``nu``;
        * the effect of a level: ``1|gene[BRAF]``, ``1|gene:cell_line[BRAF:A375]``.

        A dict names them.
    rope : tuple of two float, optional
        Region of practical equivalence of the difference between both sides, (low, high).
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

        A point has no probability under a continuous posterior, so ``=`` is answered by `p_rope` alone. A Savage-Dickey
        ratio is not given: it needs the prior density of the difference, and depends on that prior's width more than
        on the data.

    Raises
    ------
    FormulaError
        A hypothesis cannot be read, or names what is no parameter of the model.
    EstimateError
        ``=`` without `rope`, or `rope` is not two numbers in order.

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
    interval = choose_interval(ci_prob, ci_kind)
    texts = _named_texts(hypotheses)
    _check_rope(rope)
    posterior = fit.idata["posterior"]
    n_draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    parameters = parameters_of(fit)
    rows = [
        _row(name, text, read_hypothesis(text, parameters, n_draws), rope, interval) for name, text in texts.items()
    ]
    columns = HYPOTHESES if rope is None else (*HYPOTHESES, "p_rope")
    frame = stack(rows, columns, interval)
    frame.attrs["draws"] = n_draws
    return frame


def _row(
    name: str, text: str, compared: Compared, rope: tuple[float, float] | None, interval: Interval
) -> pd.DataFrame:
    """Summarise one hypothesis."""
    difference = compared.difference
    summary = summarise(difference[:, None], interval).assign(hypothesis=name, post_prob=np.nan, evidence_ratio=np.nan)
    if compared.relation == "=" and rope is None:
        raise EstimateError(
            f"'{text}' has no probability: under a continuous posterior no two numbers are equal.",
            "A hypothesis with = is judged by the share of draws within a region of practical equivalence.",
            "Give the region: rope=(-0.1, 0.1), or write < or >.",
        )
    if compared.relation != "=":
        holds = float(np.mean(difference < 0 if compared.relation == "<" else difference > 0))
        summary = summary.assign(post_prob=holds, evidence_ratio=holds / (1 - holds) if holds < 1 else np.inf)
    if rope is not None:
        summary = summary.assign(p_rope=float(np.mean((difference >= rope[0]) & (difference <= rope[1]))))
    return summary


def _named_texts(hypotheses: Texts) -> dict[str, str]:
    """Return the hypotheses by name."""
    if isinstance(hypotheses, str):
        return {hypotheses: hypotheses}
    named = dict(hypotheses) if isinstance(hypotheses, Mapping) else {text: text for text in hypotheses}
    given: list[object] = list(named.values())
    wrong = [text for text in given if not isinstance(text, str)]
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
