"""One look at a fit: its checks as panels of one picture, and in sentences."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from speclet_formula.common.table import Printed, Sheet, number, text_table
from speclet_formula.comparison.influence import influence
from speclet_formula.errors import SpecletError, listed
from speclet_formula.formula.terms import text_of
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.draws import draws_of, values_of
from speclet_formula.prediction import fitted, predict, residuals
from speclet_formula.prediction.check_residuals import check_residuals, judged
from speclet_formula.prediction.predictive import describe_check, posterior_predictive
from speclet_formula.reporting.plots.checks import draw_normal_quantiles, predictive_panel
from speclet_formula.reporting.plots.influence import draw_distances
from speclet_formula.reporting.plots.picture import (
    ESTIMATE,
    LINE,
    MANY_ROWS,
    TRUTH,
    Picture,
    grid_figure,
    label_rows,
    legend,
    points,
    short,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REPLICATES, MOST_DRAWN = (10, 100), 2_000_000  # drawn responses: few of very many rows
NSIM, MOST_SIMULATED = (100, 1000), 20_000_000  # simulated responses: few of very many rows
MOST_INFLUENCES = 20_000  # rows whose influence takes seconds
MOST_BINS, FEWEST_IN_A_BIN = 12, 8
MOST_BLOCKS = 3  # group terms whose effects are drawn
FAR = 3  # SDs, beyond which a normal number lies in 0.27 % of rows
HIGH_VIF = 5.0
NONE = "No row has"
AMISS = (
    "Doubtful",
    "Outside the middle",
    "have a Cook's distance above 1",
    "row has a Cook's distance above 1",
)  # in sentences that come first
NO_LINE = "Linearity and homogeneity are not tested: the fixed effects give all rows one mean."


@dataclass(frozen=True, eq=False, repr=False)
class ModelCheck(Printed):
    """The checks of a fit.

    Attributes
    ----------
    picture : Picture
        One panel for each check.
    tests : pandas.DataFrame
        One row for each test, under its name: `statistic`, `p_value`, `sentence`.
    collinearity : pandas.DataFrame
        One row for each fixed term but the intercept: `term`, `vif`.
    sentences : tuple of str
        What was found, and which checks there are not and why.
    """

    picture: Picture
    tests: pd.DataFrame
    collinearity: pd.DataFrame
    sentences: tuple[str, ...]
    formula: str

    @property
    def amiss(self) -> tuple[str, ...]:
        """The sentences that tell of something amiss."""
        return tuple(filter(_is_amiss, self.sentences))

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        tables = [text_table(frame.drop(columns="sentence", errors="ignore"), caption) for frame, caption in (
            (self.tests.rename_axis("test").reset_index(), "Tests"), (self.collinearity, "Collinearity"),
        ) if len(frame)]  # fmt: skip
        return Sheet(f"Checks of {self.formula}", tuple(f"* {text}" for text in self.sentences), tables)

    def _repr_html_(self) -> str:
        return f"{self.picture._repr_html_()}\n<p>{escape(self.picture.alt)}</p>\n{super()._repr_html_()}"


class _Panel(NamedTuple):
    """A check: how it is drawn, what it found, and its test if it has one."""

    draw: "Callable[[Axes], None] | None"
    sentence: str
    test: tuple[str, float, float] | None = None


def check_model(fit: Fit | PointFit, *, random_seed: int | None = 0) -> ModelCheck:
    r"""Look at a fit from all sides: one picture, tests, and sentences on what was found.

    Parameters
    ----------
    fit : Fit or PointFit
    random_seed : int, optional
        Of the simulated responses and the quantile residuals.

    Returns
    -------
    ModelCheck
        `picture`, with a panel for each check that the fit has:

        * the response among those that the model makes, with the fitted group effects;
        * linearity: quantile residuals against the mean of the fixed effects (of a model in which it is the same
          everywhere, against the fitted mean), with the means of bins and two standard errors;
        * homogeneity: the roots of their sizes against the same;
        * quantiles of the residuals, with a line through their quartiles, and of the standardised effects of up to
          three group terms, against normal ones;
        * influence: Cook's distance of each row on the fixed effects, see `influence`;
        * collinearity: variance inflation of each fixed term.

        `tests`: those of `check_residuals`, with new group effects; "linearity", the mean square of the bins' means
        over their standard errors, by the chi-square distribution; "homogeneity", Spearman's correlation of mean and
        residual's size; "tails", the number of residuals beyond three of their SDs, by the binomial distribution.

        `collinearity`: `term`, `vif`, the generalized variance inflation factor by the covariance of the estimates.

        `sentences`: all of that in words, what is amiss first, and at the end what was left out and why. Of more than
        20,000 rows fewer responses are simulated, 100 at least, and influence is left out.

    Notes
    -----
    Means with group effects are shrunk, so that residuals rise with them in a right model too; the means of the fixed
    effects alone have no such trend.

    References
    ----------
    Panels: Lüdecke et al. (2021), doi:10.21105/joss.03139. Inflation: Fox and Monette (1992), doi:10.2307/2290467.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)", data, method="reml")
    >>> sf.check_model(fit).tests.index.to_list()
    ['uniformity', 'dispersion', 'outliers', 'tails']
    """
    found: list[_Panel] = []
    lost: list[str] = []
    tests = _tests(fit, random_seed, lost)
    for name, panels in _CHECKS.items():
        try:
            found += list(panels(fit, random_seed))
        except SpecletError as error:
            lost.append(f"{name}: left out, {error.problem}")
    for panel in found:
        if panel.test is not None:
            tests.append((*panel.test, panel.sentence))
    frame = pd.DataFrame(tests, columns=["test", "statistic", "p_value", "sentence"]).set_index("test")
    inflation = variance_inflation(fit)
    told = [*frame["sentence"], *(panel.sentence for panel in found if panel.test is None and panel.sentence)]
    drawn = [panel.draw for panel in found if panel.draw is not None]
    sentences = (*sorted(told, key=lambda text: not _is_amiss(text)), *lost)
    return ModelCheck(_picture(drawn, sentences), frame, inflation, sentences, text_of(fit.model.formula))


def _is_amiss(sentence: str) -> bool:
    return any(word in sentence for word in AMISS) and NONE not in sentence


def _tests(fit: Fit | PointFit, random_seed: int | None, lost: list[str]) -> list[tuple[str, float, float, str]]:
    n = len(fit.model.design.rows)
    try:
        table = check_residuals(fit, nsim=int(np.clip(MOST_SIMULATED // n, *NSIM)), random_seed=random_seed).table
    except SpecletError as error:
        lost.append(f"Tests by simulated responses: left out, {error.problem}")
        return []
    return [(str(row.Index), row.statistic, row.p_value, row.sentence) for row in table.itertuples()]


def _picture(panels: "list[Callable[[Axes], None]]", sentences: tuple[str, ...]) -> Picture:
    figure, axes = grid_figure(max(len(panels), 1), height=2.5, width=3.2)
    if not panels:
        axes[0].set_axis_off()
        axes[0].text(0.5, 0.5, "no check can be drawn", ha="center")
    for axis, draw in zip(axes, panels, strict=False):
        draw(axis)
    return Picture(figure, f"{len(panels)} panels of checks. {' '.join(sentences)}")


def variance_inflation(fit: Fit | PointFit) -> pd.DataFrame:
    """Return the generalized variance inflation factor of each fixed term but the intercept: R's `car::vif`.

    Parameters
    ----------
    fit : Fit or PointFit

    Returns
    -------
    pandas.DataFrame
        `term`, `vif`: det(R_1) det(R_2) / det(R), R being the correlations of the estimates, R_1 those of the term's
        columns, R_2 those of all others. Of a model with one such term it is 1.
    """
    fixed = [term for term in fit.model.design.mean.fixed if term.kind != "intercept"]
    if isinstance(fit, PointFit):
        covariance = fit.estimates.covariance
    else:
        covariance = np.atleast_2d(np.cov(draws_of(fit).coefficients(fit.model.design.mean), rowvar=False))
    known = np.diagonal(covariance) > 0 if len(covariance) else np.zeros(0, dtype=bool)
    places = {term.name: [c for c in range(term.start, term.stop) if known[c]] for term in fixed}
    every = [place for columns in places.values() for place in columns]
    scale = np.sqrt(np.diagonal(covariance))
    rows = []
    for name, columns in places.items():
        others = [place for place in every if place not in columns]
        parts = [_log_determinant(covariance, scale, chosen) for chosen in (columns, others, every)]
        rows.append((name, float(np.exp(parts[0] + parts[1] - parts[2])) if columns else np.nan))
    return pd.DataFrame(rows, columns=["term", "vif"])


def _log_determinant(covariance: np.ndarray, scale: np.ndarray, chosen: list[int]) -> float:
    """Return the log determinant of the correlations of some estimates; 0 of none."""
    part = covariance[np.ix_(chosen, chosen)] / np.outer(scale[chosen], scale[chosen])
    return float(np.linalg.slogdet(part)[1]) if chosen else 0.0


def _predictive(fit: Fit | PointFit, random_seed: int | None) -> Iterator[_Panel]:
    count = int(np.clip(MOST_DRAWN // len(fit.model.design.rows), *REPLICATES))
    check = posterior_predictive(fit, count, random_seed=random_seed)

    def draw(axis: "Axes") -> None:
        predictive_panel(axis, check, "The response and those of the model")
        legend(axis, "best")

    yield _Panel(draw, f"Predictive check. {describe_check(check)}")


def _residual_panels(fit: Fit | PointFit, random_seed: int | None) -> Iterator[_Panel]:
    quantiles = residuals(fit, "quantile", random_seed=random_seed).to_numpy()
    if not fit.model.design.levels:
        yield from _by_mean(fit, quantiles)

    def draw(axis: "Axes") -> None:
        draw_normal_quantiles(axis, quantiles, through_quartiles=True)
        title(axis, "Quantiles of the residuals")

    yield _tails(quantiles, draw)


def _by_mean(fit: Fit | PointFit, quantiles: np.ndarray) -> Iterator[_Panel]:
    """Return the panels against the mean, and the tests where the fixed effects give rows different means."""
    fixed = predict(fit, re_form="~0")["estimate"].to_numpy()
    varies = np.ptp(fixed) > 1e-9 * (np.abs(fixed).max() + 1)
    mean, name = (fixed, "mean of the fixed effects") if varies else (fitted(fit)["estimate"].to_numpy(), "fitted mean")
    roots = np.sqrt(np.abs(quantiles))
    panels = (
        (quantiles, 0.0, "Linearity", "quantile residual"),
        (roots, float(roots.mean()), "Homogeneity", "root of its size"),
    )
    for (values, level, heading, label), tested in zip(panels, (_linearity, _homogeneity), strict=True):
        draw = partial(_trend, mean=mean, values=values, level=level, heading=heading, labels=(name, label))
        yield tested(mean, quantiles, draw) if varies else _Panel(draw, NO_LINE if heading == "Linearity" else "")


def _bins(mean: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, mean of the values, and its standard error, in bins of about as many rows."""
    count = int(np.clip(len(mean) // FEWEST_IN_A_BIN, 1, MOST_BINS))
    codes = np.searchsorted(np.unique(np.quantile(mean, np.linspace(0, 1, count + 1)[1:-1])), mean, side="right")
    frame = pd.DataFrame({"mean": mean, "value": values}).groupby(codes)
    sizes = frame["value"].size()
    kept = sizes >= 2  # noqa: PLR2004 - of which there is a standard deviation
    errors = values.std(ddof=1) / np.sqrt(sizes)
    return frame["mean"].mean()[kept].to_numpy(), frame["value"].mean()[kept].to_numpy(), errors[kept].to_numpy()


def _linearity(mean: np.ndarray, quantiles: np.ndarray, draw: "Callable[[Axes], None]") -> _Panel:
    from scipy.stats import chi2

    _, middle, errors = _bins(mean, quantiles)
    square = float(((middle / errors) ** 2).sum())
    p = float(chi2.sf(square, len(middle)))
    told = judged("linearity", "residuals have a trend along the mean", "residuals have no trend along the mean", p)
    return _Panel(draw, told, ("linearity", square / len(middle), p))


def _homogeneity(mean: np.ndarray, quantiles: np.ndarray, draw: "Callable[[Axes], None]") -> _Panel:
    from scipy.stats import spearmanr

    found = spearmanr(mean, np.abs(quantiles))
    rho, p = float(found.statistic), float(found.pvalue)
    alarm = f"residuals {'grow' if rho > 0 else 'shrink'} with the mean"
    told = judged("homogeneity", alarm, "residuals are about as large everywhere", p)
    return _Panel(draw, told, ("homogeneity", rho, p))


def _tails(quantiles: np.ndarray, draw: "Callable[[Axes], None]") -> _Panel:
    """Count residuals beyond three of their own SDs: group effects that were fitted to them make them smaller."""
    from scipy.stats import binom, norm

    z = (quantiles - quantiles.mean()) / quantiles.std(ddof=1)
    count, share = int((np.abs(z) > FAR).sum()), 2 * float(norm.sf(FAR))
    p = float(binom.sf(count - 1, len(z), share))
    lie = "residual lies" if count == 1 else "residuals lie"
    seen = f"{count:,} {lie} beyond {FAR} of their SDs, {len(z) * share:.1f} expected"
    return _Panel(draw, judged("tails", seen, seen, p), ("tails", float(count), p))


def _trend(
    axis: "Axes", mean: np.ndarray, values: np.ndarray, level: float, heading: str, labels: tuple[str, str]
) -> None:
    """Draw values against the mean, and the means of bins."""
    axis.axhline(level, color=LINE, linewidth=1)
    points(axis, mean, values, colour=ESTIMATE, size=3, alpha=0.35, rasterized=len(mean) > MANY_ROWS)
    place, middle, errors = _bins(mean, values)
    axis.vlines(place, middle - 2 * errors, middle + 2 * errors, color=TRUTH, linewidth=1.4)
    points(axis, place, middle, colour=TRUTH, size=4)
    axis.set(xlabel=labels[0], ylabel=labels[1])
    title(axis, heading)


def _group_effects(fit: Fit | PointFit, random_seed: int | None) -> Iterator[_Panel]:
    """Return the quantiles of the effects of each group term, over their standard deviation."""
    del random_seed
    known, blocks = values_of(fit), fit.model.design.mean.factors
    for block in blocks[:MOST_BLOCKS]:
        if not known.keeps(block):
            yield _Panel(None, f"Effects of {block.label} are not drawn: the fit kept no draws of them.")
            continue
        effects = [effect.mean(axis=0) for effect in known.effects(block)]
        spreads = [float(effect.std(ddof=1)) for effect in effects]
        named = [(term, effect / spread) for term, effect, spread in zip(block.terms, effects, spreads, strict=True)
                 if spread > 0]  # fmt: skip
        if named:
            yield _Panel(partial(_effect_quantiles, block=block.label, named=named), "")
        else:
            yield _Panel(None, f"Effects of {block.label} are all zero.")
    if len(blocks) > MOST_BLOCKS:
        yield _Panel(None, f"{len(blocks) - MOST_BLOCKS} more group terms are not drawn.")


def _effect_quantiles(axis: "Axes", block: str, named: list[tuple[str, np.ndarray]]) -> None:
    from scipy.special import ndtri

    from speclet_formula.reporting.plots.picture import CYCLE, MARKS

    reach = [-2.5, 2.5]
    axis.plot(reach, reach, color=LINE, linewidth=1)
    for place, (term, effect) in enumerate(named[: len(CYCLE)]):
        expected = ndtri((np.arange(len(effect)) + 0.5) / len(effect))
        points(axis, expected, np.sort(effect), colour=CYCLE[place], marker=MARKS[place], size=4, label=short(term))
    if len(named) > 1:
        legend(axis, "upper left")
    axis.set(xlabel="standard normal quantile", ylabel="effect, in SDs of the effects")
    title(axis, f"Effects of {block}")


def _influence(fit: Fit | PointFit, random_seed: int | None) -> Iterator[_Panel]:
    del random_seed
    if (n := len(fit.model.design.rows)) > MOST_INFLUENCES:
        yield _Panel(None, f"Influence is not looked at in {n:,} rows; sf.influence(fit) does so.")
        return
    found = influence(fit)
    distances = found.rows["cooks_distance"]
    if distances.isna().all():
        yield _Panel(None, "Influence: the variance of this family has no short form, so that leverages are not known.")
        return

    yield _Panel(partial(draw_distances, distances=distances), f"Influence. {found.sheet().head[0]}")


def _collinearity(fit: Fit | PointFit, random_seed: int | None) -> Iterator[_Panel]:
    del random_seed
    frame = variance_inflation(fit)
    if len(frame) < 2:  # noqa: PLR2004 - a term alone has none to go together with
        return
    high = frame[frame["vif"] > HIGH_VIF]["term"].to_list()
    most = frame.loc[frame["vif"].idxmax()]

    def draw(axis: "Axes") -> None:
        axis.axvline(HIGH_VIF, color=LINE, linewidth=1, linestyle="--")
        points(axis, frame["vif"], np.arange(len(frame))[::-1], colour=ESTIMATE)
        label_rows(axis, frame["term"].tolist()[::-1])
        axis.set(xlabel="variance inflation factor", xlim=(0.8, max(1.1 * HIGH_VIF, 1.1 * float(most["vif"]))))
        title(axis, "Collinearity")

    yield _Panel(
        draw,
        f"Collinearity. Doubtful: the variance of {listed(high)} is inflated more than {HIGH_VIF:g} times."
        if high
        else f"Collinearity. Nothing amiss: no variance is inflated more than {number(most['vif'], '.2f')} times.",
    )


_CHECKS: dict[str, Callable[[Fit | PointFit, int | None], Iterator[_Panel]]] = {
    "Predictive check": _predictive,
    "Residuals": _residual_panels,
    "Group effects": _group_effects,
    "Influence": _influence,
    "Collinearity": _collinearity,
}
