"""How many guides, replicates and lines it takes to find an effect, forecast from the spreads of another screen.

A gene's estimate is the mean of its guides, and what a fit makes of it given the variances is known in closed form, so
that a grid of designs takes milliseconds. Simulated screens of the same spreads, each fitted, check it. What
`call_genes` finds has no closed form, and is read off such screens.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, get_args

import numpy as np
import pandas as pd
from scipy.special import ndtr

from speclet_formula.common.seeds import generator
from speclet_formula.common.table import Printed, Sheet, text_table
from speclet_formula.errors import DataError, listed, nearest
from speclet_formula.families import is_linear
from speclet_formula.inference.plans import at_least
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.variances import varcorr
from speclet_formula.prediction.residuals import residuals
from speclet_formula.screens.drawn_screens import SMOOTHED, Calling, Calls, Noise, found_in_screens

# Guides, residual and spread: a REML fit of the HAP1 screen with TKOv3 (18,045 genes, 3 replicates) that BAGEL's
# repository holds; lines and guides in lines: of 63 genes in 12 lines of DepMap, from Chronos' sample data. What guides
# do in one line is both: 0.43^2 + 0.24^2 = 0.49^2.
HAP1 = {"guide": 0.43, "line": 0.37, "guide_line": 0.24, "residual": 0.57, "spread": 0.37}
GRID = ("guides", "replicates", "lines", "effect")
ENOUGH = 0.8  # power that is asked for, by custom
_FARTHEST, _STEPS = 9.0, 6001  # SDs on either side of what is added up, and points
_HIGHEST, _FREQUENCIES = 16.0, 400  # of characteristic functions, by their SD
_POOL = 400  # residuals that stand for all
_MOST_BENT = 0.15  # of that parabola: beyond it large residuals would trade places
_LEAST = 1e-9  # share of the genes, below which nothing is called
_MOST_POINTS = 10_000
_FEWEST_DRAWN, _FEWEST_SCREENS = 100, 4  # genes of a simulated screen; screens that a forecast of call_genes is of
_FEWEST_GENES = 20  # with several guides: below that their spread is not told from noise
_ALLOWED = "like= is a fit of log fold changes with (1 | gene) + (1 | gene:sgRNA), or SDs by name: " + ", ".join(HAP1)


@dataclass(frozen=True, eq=False, repr=False)
class ScreenPlan(Printed):
    r"""What designs of a screen can find.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per point of the grid: `guides` (of a gene), `replicates` (of a line), `lines`, `effect` (mean log2 fold
        change of a hit's guides), `rows` (measurements of a gene: their product), `std_error` (SD of a gene's mean
        where nothing happens); `power` (share of the hits that are called, with the right sign), `false_sign` (share of
        the calls that are hits of the other sign), `false_discovery` (share of the calls that are no hits), `calls`
        (share of all genes), `cutoff` (mean log2 fold change from which a gene is called, on the side of the effect).
        Where screens were simulated also `sim_power`, `sim_power_se` (its standard error over the screens),
        `sim_false_discovery` (of all calls of all screens). With calls="call_genes" all of it is of simulated screens:
        `power_se` stands beside `power`, and there is no cutoff, as guides decide, not means.
    spreads : dict of str to float
        SDs that it rests on: `guide` (of guides of one gene without effect), `line` (of what a gene's effect is more or
        less in a line), `guide_line`, `residual`, and `spread` (of guides of a gene with an effect, over that effect).
    hits : float
    calls : str
    rate : float
    beyond : float
        Of calls="call_genes" only.
    nsim : int
    sentences : tuple of str
        Which design is enough for which effect, and what to keep in mind.
    """

    table: pd.DataFrame
    spreads: dict[str, float]
    hits: float
    calls: str
    rate: float
    beyond: float
    nsim: int
    sentences: tuple[str, ...]

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        spreads = ", ".join(f"{name} {value:.3g}" for name, value in self.spreads.items())
        head = [f"SDs: {spreads}", *(f"* {sentence}" for sentence in self.sentences)]
        rate = f"a false {'sign' if self.calls == 'sign' else 'discovery'} rate of {self.rate:.0%}"
        rate += f" by call_genes, beyond {self.beyond:g}" if self.calls == "call_genes" else ""
        title = f"Plan of a screen: {self.hits:.0%} of the genes are hits, called at {rate}"
        return Sheet(title, head, [text_table(self.table, "Designs", labels=4)])


def plan_screen(  # noqa: PLR0913 - a grid of four, and what they are judged by
    *,
    guides: int | Sequence[int] = (2, 4, 6),
    replicates: int | Sequence[int] = (1, 2, 3),
    lines: int | Sequence[int] = 1,
    effect: float | Sequence[float] = (-0.5, -1.0, -2.0),
    like: Fit | PointFit | Mapping[str, float] | None = None,
    hits: float = 0.1,
    calls: Calls = "discovery",
    rate: float = 0.05,
    beyond: float = 0.5,
    nsim: int = 0,
    genes: int = 5000,
    random_seed: int | None = None,
    gene: str = "gene",
    guide: str = "sgRNA",
    line: str = "cell_line",
) -> ScreenPlan:
    r"""Forecast what designs of a screen can find.

    Parameters
    ----------
    guides, replicates, lines : int or sequence of int
        Guides of each gene (2 or more), replicates of each line, cell lines; all combinations are tried.
    effect : float or sequence of float
        Mean log2 fold changes of the guides of a hit, the same in all lines but for `line`.
    like : Fit or PointFit, or mapping, optional
        A fit of log fold changes whose spreads the planned screen shall have, with `(1 | gene) + (1 | gene:sgRNA)` and,
        for several lines, `(1 | gene:cell_line)`; its guides' `spread` is taken from how much more the guides of genes
        with large effects differ. Or SDs by name, as in `ScreenPlan.spreads`; those that are not named are 0. By
        default those of a genome-wide screen of HAP1 cells, lines as in DepMap.
    hits : float
        Share of the genes that have the effect; all others have none.
    calls : {"discovery", "sign", "call_genes"}
        Which genes are called, the surest signs first, both gains and losses. "discovery": as many as hold the share
        `rate` of genes without effect, as negative controls tell it. "sign": those whose `s_value` in `rank_genes` is
        below `rate`; it is about signs, and where most genes have no effect many of those are among them.
        "call_genes": those that `call_genes` calls at that rate, on the side of the effect; screens are simulated for
        it, which takes about six seconds for each point.
    rate : float
    beyond : float
        With calls="call_genes" the limit that an effect has to exceed, log2, as there; calls of hits with smaller
        effects are false ones.
    nsim : int
        Screens that are simulated at each point and fitted by REML, to check the forecast; with calls="call_genes"
        those that are the forecast, four at least.
    genes : int
        Genes of a simulated screen. `call_genes` finds less where it has few of them to learn from; it takes 5,000 of
        them at most for that.
    random_seed : int, optional
        Makes them repeatable.
    gene, guide, line : str
        Columns of the fit's data.

    Returns
    -------
    ScreenPlan
        With n guides, L lines and R replicates a gene's mean m has the variance

        .. math:: v = \sigma_{guide}^2 / n + \sigma_{line}^2 / L + \sigma_{guide,line}^2 / (nL) + \sigma^2 / (nLR),

        (of one line without the part of lines, the effect being the one in it) and of a hit
        :math:`(spread \cdot effect)^2 / n` more. A fit shrinks m to the mean of all genes by the variance between them,
        :math:`h (1 - h)\,effect^2` with a share h of hits, and its local false sign rate is that of a normal
        distribution. All of it is for many genes, balanced designs and normal noise; heavy tails, as of outgrown
        clones, cost more. Simulated screens have the same spreads; what guides show of an effect is Beta(a, 2) there,
        as in `simulate_screen`, and guides without effect have the median 0. `call_genes` does not know their first
        reads, and the price of learning what is noise from the screen itself is in its forecast.

    Raises
    ------
    DataError
        A number that is out of range, or a fit that has not what is needed.

    See Also
    --------
    power : the same of any model, by simulation.

    References
    ----------
    Local false sign rate and s-value: Stephens (2017), doi:10.1093/biostatistics/kxw041.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> plan = sf.plan_screen(guides=[2, 4], replicates=[1, 3], effect=-1)
    >>> plan.table[["guides", "replicates", "power"]].round(2).to_numpy().tolist()
    [[2.0, 1.0, 0.1], [2.0, 3.0, 0.29], [4.0, 1.0, 0.42], [4.0, 3.0, 0.69]]
    """
    points = _points(guides, replicates, lines, effect)
    _check_shares(hits, rate, beyond)
    if calls not in get_args(Calls):
        raise DataError(
            f"there is no calls={calls!r}.",
            "Genes are called at a false 'discovery' or a false 'sign' rate, or by 'call_genes'.",
            "Leave it out for discoveries.",
        )
    at_least("nsim", nsim, 0)
    at_least("genes", genes, _FEWEST_DRAWN)
    calling = Calling(hits=hits, rate=rate, how=calls, beyond=beyond, genes=genes)
    noise = _noise(like, gene, guide, line)
    rows = []
    rng = generator(random_seed)
    for point in points:
        row = {**point, "rows": int(point["guides"] * point["replicates"] * point["lines"])}
        rows.append(row | _row(point, noise, calling, nsim, rng))
    table = pd.DataFrame(rows).astype({"guides": int, "replicates": int, "lines": int})
    sentences = tuple(_sentences(table, calling, noise.spreads, like is None))
    return ScreenPlan(table, noise.spreads, hits, calls, rate, beyond, nsim, sentences)


# --- what is asked ----------------------------------------------------------------------------------------------------


def _points(guides: Any, replicates: Any, lines: Any, effect: Any) -> list[dict[str, float]]:
    """Return all combinations of the grid."""
    given = dict(zip(GRID, (guides, replicates, lines, effect), strict=True))
    values = {name: [value] if np.isscalar(value) else list(value) for name, value in given.items()}
    for name, chosen in values.items():
        least = 2 if name == "guides" else 1
        odd = [value for value in chosen if not _is_choice(value, name, least)]
        if odd or not chosen:
            raise DataError(
                f"{name}= holds {odd[0]!r}." if odd else f"{name}= is empty.",
                "An effect is a log2 fold change other than 0."
                if name == "effect"
                else f"{name} are whole numbers of at least {least}"
                + ("; of one guide a gene's effect cannot be told from the guide's." if least > 1 else "."),
                f"Write {name}={-1 if name == 'effect' else 2}, or several in a list.",
            )
    found = [dict(zip(values, point, strict=True)) for point in product(*values.values())]
    if len(found) > _MOST_POINTS:
        raise DataError(
            f"the grid has {len(found):,} points.",
            f"A plan has at most {_MOST_POINTS:,}.",
            "Leave values out.",
        )
    return found


def _is_choice(value: Any, name: str, least: int) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    if name == "effect":
        return bool(np.isfinite(value) and value != 0)
    return bool(float(value).is_integer() and value >= least)


def _check_shares(hits: Any, rate: Any, beyond: Any) -> None:
    if not (isinstance(beyond, int | float | np.floating) and 0 <= beyond < np.inf):
        raise DataError(f"beyond={beyond!r} is out of range.", "It is a log2 fold change, 0 or more.", "Leave it out.")
    for name, value, most in (("hits", hits, 1.0), ("rate", rate, 0.5)):
        if not (isinstance(value, int | float | np.floating) and 0 < value < most):
            raise DataError(
                f"{name}={value!r} is out of range.",
                f"{name} is a share of genes, above 0 and below {most:g}.",
                f"Leave it out for {0.1 if name == 'hits' else 0.05}.",
            )


def _noise(like: Any, gene: str, guide: str, line: str) -> Noise:
    if like is None:
        return Noise(dict(HAP1))
    if isinstance(like, Fit | PointFit):
        spreads, guides = _of_fit(like, gene, guide, line)
        return Noise(spreads, _residuals(like, guides, spreads["residual"]))
    if not isinstance(like, Mapping):
        raise DataError(f"like= is a {type(like).__name__}.", f"{_ALLOWED}.", "Leave it out for a screen of HAP1.")
    unknown = next((name for name in like if name not in HAP1), None)
    if unknown is not None:
        near = nearest(str(unknown), HAP1)
        raise DataError(
            f"like= has an SD of '{unknown}'.", f"{_ALLOWED}.", f"Nearest: '{near}'." if near else "Leave it out."
        )
    odd = next((name for name, value in like.items() if not (np.isfinite(value) and value >= 0)), None)
    if odd is not None or not like.get("residual"):
        raise DataError(
            f"like['{odd}'] is {like[odd]!r}." if odd is not None else "like= has no SD of the residual.",
            "SDs are 0 or more, that of the residual above 0.",
            "Take them from sf.varcorr(fit).",
        )
    return Noise({name: float(like.get(name, 0.0)) for name in HAP1})


def _residuals(like: Fit | PointFit, guides: str, sd: float) -> np.ndarray:
    """Return quantiles of a fit's residuals; a normal number is added to them, so that they have a density.

    What is left of three measurements when their mean is taken off is less skewed than they are: what is missing of the
    skewness is given back by a parabola, as in the expansion of Cornish and Fisher.
    """
    values = residuals(like, type="response").to_numpy(dtype=float)
    pool = np.quantile(values, (np.arange(_POOL) + 0.5) / _POOL)
    pool = (pool - pool.mean()) / pool.std()
    missing = _skewness(like, guides, sd) - float((pool**3).mean())
    pool = pool + np.clip(missing / 6, -_MOST_BENT, _MOST_BENT) * (pool**2 - 1)
    return np.asarray((pool - pool.mean()) / pool.std() * sd * np.sqrt(1 - SMOOTHED**2))


def _skewness(like: Fit | PointFit, guides: str, sd: float) -> float:
    """Return the third k-statistic of the rows of guides with three or more, over the cube of the SD; 0 without any."""
    design = like.model.design
    codes = next(block.codes for block in design.mean.groups if block.group == guides)
    values = pd.Series(design.response.astype(float)).groupby(codes)
    n = values.transform("size")
    cubes = (design.response - values.transform("mean")) ** 3 * n / ((n - 1) * (n - 2)).where(n > 2)  # noqa: PLR2004
    return float(cubes.groupby(codes).sum(min_count=1).mean() / sd**3) if (n > 2).any() else 0.0  # noqa: PLR2004


def _of_fit(like: Fit | PointFit, gene: str, guide: str, line: str) -> tuple[dict[str, float], str]:
    """Return the spreads of a fitted screen, and which of its grouping factors has the guides."""
    if not is_linear(like.model.family):
        raise DataError(
            f"like= is a fit of the family {like.model.family.name}.",
            f"{_ALLOWED}.",
            "Fit log fold changes: sf.lmer('log_fc ~ (1 | gene) + (1 | gene:sgRNA)', screen.table, method='reml').",
        )
    blocks = {
        frozenset(block.factors): block.group
        for block in like.model.design.mean.groups
        if "1" in block.columns and block.shares is None and not block.smooth
    }
    frame = varcorr(like)
    frame = frame[(frame["var1"] == "Intercept") | (frame["grp"] == "Residual")]
    sds = frame[frame["var2"].isna()].set_index("grp")["sdcor"]
    guides = blocks.get(frozenset({gene, guide}), blocks.get(frozenset({guide})))
    if frozenset({gene}) not in blocks or guides is None:
        raise DataError(
            f"the fit has no effects of '{gene if frozenset({gene}) not in blocks else guide}'; its grouping factors: "
            f"{listed(blocks.values()) or 'none'}.",
            f"{_ALLOWED}.",
            "Fit that model, or name the columns with gene= and guide=.",
        )
    if "Residual" not in sds.index:
        raise DataError(
            "the residual SD of the fit has a formula of its own.",
            "A plan takes one SD for all measurements.",
            "Fit the model without it, or give like= the SDs by name.",
        )
    within = {"line": frozenset({gene, line}), "guide_line": frozenset({gene, guide, line})}
    other = {name: float(sds[blocks[key]]) if key in blocks else 0.0 for name, key in within.items()}
    own, square = _spread_of_effects(like, blocks[frozenset({gene})], guides)
    bare = max(0.0, float(sds[guides]) ** 2 - own**2 * square)
    return {"guide": float(np.sqrt(bare)), **other, "residual": float(sds["Residual"]), "spread": own}, guides


def _spread_of_effects(like: Fit | PointFit, genes: str, guides: str) -> tuple[float, float]:
    """Return how much guides differ for each unit of their gene's effect, and the mean square of effects.

    The variance of a gene's guides, as means over their rows, is regressed on the square of the gene's mean.
    """
    design = like.model.design
    block = {own.group: own for own in design.mean.groups}
    rows = pd.DataFrame({"gene": block[genes].codes, "guide": block[guides].codes, "y": design.response})
    means = rows.groupby("guide").agg(gene=("gene", "first"), y=("y", "mean"))
    found = means.groupby("gene")["y"].agg(["mean", "var", "size"])
    several = found[found["size"] > 1]
    square = float((found["mean"] ** 2).mean())
    if len(several) < _FEWEST_GENES:
        return 0.0, square
    effects = several["mean"] ** 2
    weights = several["size"] - 1
    centred = effects - np.average(effects, weights=weights)
    slope = float((weights * centred * several["var"]).sum() / (weights * centred**2).sum())
    return float(np.sqrt(max(0.0, slope))), square


# --- forecast ---------------------------------------------------------------------------------------------------------


def _row(point: Mapping[str, float], noise: Noise, calling: Calling, nsim: int, rng: Any) -> dict[str, float]:
    """Return what a design finds, in closed form, checked by screens if asked; of call_genes by screens."""
    row = forecast(point, noise, calling.hits, calling.rate, calling.how)
    by_calls = calling.how == "call_genes"
    if not by_calls and not nsim:
        return row
    found = found_in_screens(point, noise, calling, max(_FEWEST_SCREENS if by_calls else 1, nsim), rng)
    if by_calls:
        return {"std_error": row["std_error"], **asdict(found)}
    return row | {
        "sim_power": found.power, "sim_power_se": found.power_se, "sim_false_discovery": found.false_discovery
    }  # fmt: skip


def forecast(point: Mapping[str, float], noise: Noise, hits: float, rate: float, calls: Calls) -> dict[str, float]:
    """Return what a design finds: integrals on a line of what a gene's mean is, with an effect and without."""
    n, lines, effect = (point[name] for name in ("guides", "lines", "effect"))
    spreads, rows = noise.spreads, n * lines * point["replicates"]
    line = spreads["line"] ** 2 if lines > 1 else 0.0  # of one line the effect is the one in it
    normal = spreads["guide"] ** 2 / n + line / lines + spreads["guide_line"] ** 2 / (n * lines)
    null, more = normal + spreads["residual"] ** 2 / rows, (spreads["spread"] * effect) ** 2 / n
    between, within = hits * (1 - hits) * effect**2, null + hits * more
    centre, shrinkage = hits * effect, between / (between + within)
    scale = np.sqrt(shrinkage * within)
    far = _FARTHEST * np.sqrt(null + more)
    means = np.linspace(min(0.0, effect) - far, max(0.0, effect) + far, _STEPS)
    z = (centre * (1 - shrinkage) + shrinkage * means) / scale  # the estimate over its SD
    idle = (1 - hits) * _density(means, normal, noise, rows)
    found = hits * _density(means - effect, normal + more, noise, rows)
    wrong = (idle + found) * ndtr(-np.abs(z)) if calls == "sign" else idle
    cut = _cut(z, idle + found, wrong, rate)
    sides = {side: (np.sign(effect) * side * z >= cut).astype(float) for side in (1, -1)}
    step = means[1] - means[0]
    right, other = (float((found * side).sum() * step) for side in sides.values())
    false = float((idle * (sides[1] + sides[-1])).sum() * step)
    called = right + other + false
    return {
        "std_error": float(np.sqrt(null)),
        "power": right / hits,
        "false_sign": other / called if called else 0.0,
        "false_discovery": false / called if called else 0.0,
        "calls": called,
        "cutoff": float((np.sign(effect) * cut * scale - centre * (1 - shrinkage)) / shrinkage),
    }


def _density(x: np.ndarray, normal: float, noise: Noise, rows: float) -> np.ndarray:
    """Return the density of a normal number of that variance plus the mean of so many residuals."""
    sd = np.sqrt(normal + noise.spreads["residual"] ** 2 / rows)
    if noise.residuals is None:
        return np.asarray(np.exp(-0.5 * (x / sd) ** 2) / (sd * np.sqrt(2 * np.pi)))
    t = np.linspace(0.0, _HIGHEST / sd, _FREQUENCIES)
    wave = np.exp(1j * np.outer(t / rows, noise.residuals)).mean(axis=1) ** rows * np.exp(
        -0.5 * (normal + noise.smooth**2 / rows) * t**2
    )
    weights = np.full(len(t), t[1])
    weights[0] /= 2
    return np.asarray(np.maximum(0.0, np.real(np.exp(-1j * np.outer(x, t)) @ (wave * weights)) / np.pi))


def _cut(z: np.ndarray, all_genes: np.ndarray, wrong: np.ndarray, rate: float) -> float:
    """Return the size of z from which genes are called, so that the wrong ones are that share; infinite if none is."""
    order = np.argsort(-np.abs(z))
    share = np.cumsum(wrong[order]) - rate * np.cumsum(all_genes[order])
    kept = np.flatnonzero((share <= 0) & (np.cumsum(all_genes[order]) > _LEAST * all_genes.sum()))
    return float(np.abs(z[order[kept[-1]]])) if len(kept) else float("inf")


# --- sentences --------------------------------------------------------------------------------------------------------


def _sentences(table: pd.DataFrame, calling: Calling, spreads: Mapping[str, float], is_default: bool) -> Iterator[str]:
    """Say which designs are enough, and what to keep in mind."""
    for effect, rows in table.groupby("effect", sort=False):
        enough = rows[rows["power"] >= ENOUGH].sort_values(["rows", "power"], ascending=[True, False])
        if enough.empty:
            best = rows.loc[rows["power"].idxmax()]
            yield f"No design finds {ENOUGH:.0%} of effects of {effect:g}: {_design(best)} finds {best['power']:.0%}."
        else:
            first = enough.iloc[0]
            yield (f"Of effects of {effect:g}, {_design(first)} is the smallest design with a power of {ENOUGH:.0%} or "
                   f"more: {first['power']:.0%}.")  # fmt: skip
    worst = table["false_discovery"].max()
    if calling.how == "sign" and worst > 1.5 * calling.rate:
        yield (f"Calls at a false sign rate of {calling.rate:.0%} hold up to {worst:.0%} of genes without effect: it "
               "is about signs.")  # fmt: skip
    if calling.how == "call_genes":
        small = [f"{effect:g}" for effect in dict.fromkeys(table["effect"]) if abs(effect) <= calling.beyond]
        if small:
            yield (f"Effects of {listed(small)} are not beyond {calling.beyond:g}: calls of them are false. A smaller "
                   "beyond= makes them hits.")  # fmt: skip
        yield f"What call_genes finds was read off simulated screens of {calling.genes:,} genes."
    if table["lines"].max() > 1 and not spreads["line"]:
        yield "Nothing is known of what genes do more or less in a line: lines were taken to be alike."
    if is_default:
        yield "SDs are those of a screen of HAP1 cells, lines as in DepMap; like= takes a fit of a screen like yours."


def _design(row: pd.Series) -> str:
    """Return a design in words: "4 guides with 1 replicate in 3 lines"."""
    replicates = f"{row['replicates']:.0f} replicate{'' if row['replicates'] == 1 else 's'}"
    lines = "" if row["lines"] == 1 else f" in {row['lines']:.0f} lines"
    return f"{row['guides']:.0f} guides with {replicates}{lines}"
