"""Effects of the levels of a factor, drawn and true, and how well they were found: by block, and level by level.

Besides the model's own blocks these are sums of nested blocks and the main effects of interactions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design import Design, FixedTerm, GroupBlock, Predictor
from speclet_formula.design.merged import row_count, rows_in_levels
from speclet_formula.model import Model
from speclet_formula.posterior.draws import Draws
from speclet_formula.posterior.estimates import without_rows
from speclet_formula.recovery.parameters import INTERVAL, interval, many_cells
from speclet_formula.recovery.parts import determines
from speclet_formula.recovery.truth import ImpliedTruth

BAND = 0.95  # mass of the binomial bands
NOTHING = 1e-20  # a sum of squares below it is rounding
GROUP_COLUMNS = (
    "group", "term", "n_levels", "rows_per_level", "coverage", "coverage_lo", "coverage_hi", "bias", "rmse",
    "rmse_null", "corr", "slope", "reliability", "sign_claims", "type_s", "type_m",
)  # fmt: skip
LEVEL_COLUMNS = ("group", "term", "level", "truth", "median", "sd", "lo", "hi", "covered")


@dataclass(frozen=True, eq=False)
class Block:
    """Effects of the levels of one factor, drawn and true."""

    group: str  # "gene"
    term: str  # "Intercept", "Days", "fixed", "gene + gene:sgRNA", "mean of gene:cell_line"
    levels: tuple[str, ...]
    truth: np.ndarray  # (levels,)
    draws: np.ndarray  # (chains * draws, levels)
    codes: np.ndarray  # (n,) int, index into levels of each row; -1 for a row of no level
    factors: tuple[str, ...]  # the columns that the factor crosses
    additive: bool  # whether it is an intercept of its levels, which adds up with other blocks
    own: bool  # whether it is a block of the model, not a sum or mean of such
    coefficient: str  # the fixed coefficient that its effects depart from: "Intercept", "Days"
    rows: float | None = None  # of a level on average, where `codes` do not tell: a row of mm() has several levels


def blocks_of(model: Model, draws: Draws, truth: ImpliedTruth) -> tuple[Block, ...]:
    """Return all blocks of two levels or more that have a truth, the model's own first.

    Raises
    ------
    EstimateError
        The fit kept no draws of effects that have a truth.
    """
    known = [block for block in model.design.blocks if any(slot in truth.effects for slot in block.slots)]
    draws.require(known)
    own = [
        _group_block(model.design, block, column, draws, truth.effects[slot])
        for block in known
        for column, slot in enumerate(block.slots)
        if slot in truth.effects and slot in draws
    ]
    cells = [
        _fixed_block(predictor, term, draws, truth)
        for predictor, term in many_cells(model)
        if all(label in truth.scalars for label in term.columns)
    ]
    sums = [total for block in own if (total := _sum_block(block, own)) is not None]
    means = [mean for block in (*own, *cells, *sums) for mean in _main_effects(block, own, model.design)]
    return tuple(block for block in (*own, *cells, *sums, *means) if len(block.levels) > 1)


def with_coefficients(blocks: tuple[Block, ...], model: Model, draws: Draws, truth: ImpliedTruth) -> tuple[Block, ...]:
    """Return the blocks with the fixed coefficient added that their effects depart from: lme4's `coef`."""
    moved = []
    for block in blocks:
        fixed, true = _coefficient(block.coefficient, model.design, draws, truth)
        term = block.term
        if fixed is not None and block.coefficient != block.term:
            term = f"{block.coefficient} + {term}"
        added = np.zeros(1) if fixed is None else fixed
        moved.append(replace(block, term=term, truth=block.truth + true, draws=block.draws + added[:, None]))
    return tuple(moved)


def group_tables(design: Design, blocks: Sequence[Block], *, centred: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of blocks and the frame of levels; `recover` defines the columns."""
    levels = [_levels(block, centred=centred) for block in blocks]
    rows = [_summary(design, block, frame) for block, frame in zip(blocks, levels, strict=True)]
    return (
        pd.DataFrame(rows, columns=list(GROUP_COLUMNS)) if rows else without_rows(GROUP_COLUMNS),
        pd.concat(levels, ignore_index=True) if levels else without_rows(LEVEL_COLUMNS),
    )


def _coefficient(label: str, design: Design, draws: Draws, truth: ImpliedTruth) -> tuple[np.ndarray | None, float]:
    """Return draws and true value of a fixed coefficient; None and 0 where there is none, or none with a truth."""
    terms = (term for predictor in design.predictors for term in predictor.fixed)
    term = next((term for term in terms if label in term.columns), None)
    if term is None or label not in truth.scalars:
        return None, 0.0
    return draws.term(term)[:, term.columns.index(label)], truth.scalars[label]


def _group_block(design: Design, block: GroupBlock, column: int, draws: Draws, effects: pd.Series) -> Block:
    """Return one column of a group block, with the levels whose truth is known."""
    place_of = {level: code for code, level in enumerate(block.levels)}
    codes = [place_of[level] for level in effects.index]
    known = np.full(len(block.levels), -1)
    known[codes] = np.arange(len(effects))
    return Block(
        group=block.label,
        term=block.terms[column],
        levels=tuple(effects.index),
        truth=effects.to_numpy(dtype=float),
        draws=draws.effects(block)[column][:, codes],
        codes=known[block.codes if block.shares is None else block.places[:, 0]],
        factors=block.factors,
        additive=block.columns[column] == "1"
        and block.shares is None  # a row's level of mm() does not determine what it has of others
        and not block.prefix,  # effects on sigma do not add up with those on the mean
        own=True,
        coefficient=block.terms[column],
        rows=None if block.shares is None else float(rows_in_levels(design, block)[codes].mean()),
    )


def _fixed_block(predictor: Predictor, term: FixedTerm, draws: Draws, truth: ImpliedTruth) -> Block:
    """Return a fixed factor of many coefficients."""
    columns = predictor.X[:, term.start : term.stop]
    return Block(
        group=term.name,
        term="fixed",
        levels=tuple(str(level).replace(", ", ":") for level in term.coords),
        truth=np.array([truth.scalars[label] for label in term.columns]),
        draws=draws.term(term),
        codes=np.where(columns.any(axis=1), np.abs(columns).argmax(axis=1), -1),
        factors=tuple(term.name.removeprefix(predictor.prefix).split(":")),
        additive=False,
        own=True,
        coefficient=f"{predictor.prefix}Intercept",
    )


def _sum_block(block: Block, own: list[Block]) -> Block | None:
    """Return a block plus all blocks within whose levels its own levels lie; None if there are none."""
    if not block.additive or (block.codes < 0).any():
        return None
    outer = [
        candidate
        for candidate in own
        if candidate.additive
        and len(candidate.levels) < len(block.levels)
        and (candidate.codes >= 0).all()
        and determines(block.codes, candidate.codes)
    ]
    if not outer:
        return None
    _, first = np.unique(block.codes, return_index=True)
    return Block(
        group=block.group,
        term=" + ".join([*(candidate.group for candidate in outer), block.group]),
        levels=block.levels,
        truth=block.truth + sum(candidate.truth[candidate.codes[first]] for candidate in outer),
        draws=block.draws + sum(candidate.draws[:, candidate.codes[first]] for candidate in outer),
        codes=block.codes,
        factors=block.factors,
        additive=False,
        own=False,
        coefficient="Intercept",
    )


def _main_effects(block: Block, own: list[Block], design: Design) -> list[Block]:
    """Return the averages of a crossed block over all but one of its factors, where no smaller block has the factor."""
    if len(block.factors) == 1 or (block.codes < 0).any() or block.coefficient != "Intercept":
        return []
    taken = {factor for smaller in own if len(smaller.levels) < len(block.levels) for factor in smaller.factors}
    return [
        _average(block, factor, design.frame[factor])
        for factor in block.factors
        if factor not in taken and _is_crossed(block, factor, design)
    ]


def _is_crossed(block: Block, factor: str, design: Design) -> bool:
    """Tell whether a factor's levels each hold several levels of the block."""
    if factor not in design.frame or not isinstance(design.frame[factor].dtype, pd.CategoricalDtype):
        return False
    codes = design.frame[factor].cat.codes.to_numpy()
    return bool(determines(block.codes, codes) and not determines(codes, block.codes))


def _average(block: Block, factor: str, column: pd.Series) -> Block:
    """Return the mean of a block's effects within each level of one of its factors, each level counted once."""
    _, first = np.unique(block.codes, return_index=True)
    codes = column.cat.codes.to_numpy().astype(np.int64)
    within = np.zeros((len(block.levels), len(column.cat.categories)))
    within[np.arange(len(block.levels)), codes[first]] = 1.0
    within /= within.sum(axis=0)
    return Block(
        group=factor,
        term=f"mean of {block.group if block.own else block.term}",
        levels=tuple(map(str, column.cat.categories)),
        truth=block.truth @ within,
        draws=block.draws @ within,
        codes=codes,
        factors=(factor,),
        additive=False,
        own=False,
        coefficient="Intercept",
    )


def binomial_band(n: int, share: float) -> tuple[int, int]:
    """Return the equal-tailed range that holds at least 95 % of a binomial count."""
    from scipy.stats import binom

    lo, hi = binom.interval(BAND, n, share)
    return int(lo), int(hi)


def _levels(block: Block, *, centred: bool) -> pd.DataFrame:
    """Return truth and draws of each level, both centred within the block or as they are."""
    truth, draws = block.truth, block.draws
    if centred:
        truth, draws = truth - truth.mean(), draws - draws.mean(axis=1, keepdims=True)
    known = {"group": block.group, "term": block.term, "level": list(block.levels)}
    return pd.DataFrame(known | beside_truth(draws, truth))[list(LEVEL_COLUMNS)]


def beside_truth(draws: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """Return the truth of each level, median, SD and interval of its draws (draws, levels), and if it is inside."""
    lo, hi = interval(draws, INTERVAL, axis=0)
    return {
        "truth": truth,
        "median": np.median(draws, axis=0),
        "sd": draws.std(axis=0, ddof=1),
        "lo": lo,
        "hi": hi,
        "covered": (lo <= truth) & (truth <= hi),
    }


def _summary(design: Design, block: Block, levels: pd.DataFrame) -> dict[str, Any]:
    """Return a block's row."""
    return {
        "group": block.group,
        "term": block.term,
        "rows_per_level": block.rows or row_count(design, block.codes >= 0) / len(levels),
        "rmse_null": float(np.sqrt(np.mean(levels["truth"].to_numpy() ** 2))),
        "reliability": _reliability(block.draws),
        **agreement(levels),
        **_sign_errors(levels),
    }


def agreement(levels: pd.DataFrame) -> dict[str, Any]:
    """Return how many levels there are, their coverage and its band, and how far their medians agree with the truth."""
    truth, estimate = levels["truth"].to_numpy(), levels["median"].to_numpy()
    about, estimated = truth - truth.mean(), estimate - estimate.mean()
    n = len(levels)
    lo, hi = binomial_band(n, INTERVAL)
    return {
        "n_levels": n,
        "coverage": float(levels["covered"].mean()),
        "coverage_lo": lo / n,
        "coverage_hi": hi / n,
        "bias": float(np.mean(estimate - truth)),
        "rmse": float(np.sqrt(np.mean((estimate - truth) ** 2))),
        "corr": _ratio(about @ estimated, np.sqrt((about @ about) * (estimated @ estimated))),
        "slope": _ratio(about @ estimated, about @ about),
    }


def _ratio(above: float, below: float) -> float:
    """Return a quotient, NaN where nothing varies."""
    return float(above / below) if below > NOTHING else float("nan")


def _reliability(draws: np.ndarray) -> float:
    """Return the share of the effects' variance that the estimates have: var(mean) / (var(mean) + mean(var))."""
    centred = draws - draws.mean(axis=1, keepdims=True)
    between = float(np.mean(centred.mean(axis=0) ** 2))
    return _ratio(between, between + float(np.mean(centred.var(axis=0))))


def _sign_errors(levels: pd.DataFrame) -> dict[str, float]:
    """Return how many levels are claimed to differ from the block's mean, and the two errors of such claims."""
    claims = levels[(levels["lo"] > 0) | (levels["hi"] < 0)]
    if claims.empty:
        return {"sign_claims": 0, "type_s": float("nan"), "type_m": float("nan")}
    return {
        "sign_claims": len(claims),
        "type_s": float(np.mean(np.sign(claims["median"]) != np.sign(claims["truth"]))),
        "type_m": _ratio(float(claims["median"].abs().mean()), float(claims["truth"].abs().mean())),
    }
