"""The log density of each row given the other rows of its level and a draw of all else, the level's effect integrated.

Of the levels that a row belongs to it is the one with the fewest rows, whose effect the row says most about: there the
densities given the draw's own effect have seen the row. Levels of several factors that hold the same rows are taken
together. The integral is over what the effects add to the row's linear predictor; for terms of several columns the rest
of the level's effects, which is independent of it by the prior, stays as drawn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from speclet_formula.design import GroupBlock
from speclet_formula.families.links import Observations
from speclet_formula.inference.algebra.solutions import spread_draws
from speclet_formula.inference.hmc import kernels
from speclet_formula.inference.hmc.surrogate import kernel_for
from speclet_formula.inference.refit import with_rows
from speclet_formula.model import Model
from speclet_formula.model.observation import observed_log_density
from speclet_formula.posterior.draws import Draws
from speclet_formula.prediction import linear_predictors
from speclet_formula.prediction.level_integrals import IntegratedLevels, LevelDraws, leave_out, room_for
from speclet_formula.prediction.linear_predictors import ModelDraws, from_predictors, gather, predictors_at, row_blocks
from speclet_formula.prediction.log_likelihood import log_likelihood_blocks
from speclet_formula.priors import Prior

MOST_ROWS = 1000  # in a level: one of so many says next to nothing of the effect that the others do not say
MOST_DIRECTIONS = 32  # different rows of a term's columns in a level, each of which takes an integral of its own
LEAST_VARIANCE = 1e-16


@dataclass(frozen=True, eq=False)
class LevelParts:
    """Levels whose effects are integrated, of one factor or of several with the same rows. E rows, U levels."""

    predictor: int
    blocks: tuple[GroupBlock, ...]
    starts: np.ndarray  # (U + 1,) of each level's rows
    rows: np.ndarray  # (E,)
    wanted: np.ndarray  # (E,) whether a row is one of those that are to be left out with this level
    directions: np.ndarray  # (U, k) of the columns of all blocks: what is integrated is their sum with the effects

    def part(self, first: int, last: int) -> "LevelParts":
        """Return some of the levels."""
        start, stop = self.starts[first], self.starts[last]
        return replace(
            self,
            starts=self.starts[first : last + 1] - start,
            rows=self.rows[start:stop],
            wanted=self.wanted[start:stop],
            directions=self.directions[first:last],
        )


@dataclass(frozen=True, eq=False)
class LeftOutPlan:
    """How each row's density is found."""

    levels: tuple[LevelParts, ...]
    others: np.ndarray  # rows that no level is integrated for

    @property
    def groups(self) -> tuple[str, ...]:
        """The factors whose effects are integrated."""
        return tuple(dict.fromkeys(block.label for part in self.levels for block in part.blocks))


@dataclass(frozen=True, eq=False)
class LeftOutRows:
    """Some rows, left out one at a time. S draws, r rows."""

    rows: np.ndarray  # (r,)
    log_densities: np.ndarray  # (S, r) given the other rows and the draw, a level's effect integrated
    given: np.ndarray  # (S, r) given the draw with all its effects


def plan_levels(model: Model, draws: Draws, chosen: np.ndarray | None = None) -> LeftOutPlan:
    """Choose for each row the level whose effect is integrated; of mm(), whose levels share their rows, none is.

    Parameters
    ----------
    model : Model
    draws : Draws
        Of its parameters.
    chosen : ndarray of int, optional
        The rows to leave out; all by default.
    """
    n = len(model.design.response)
    wanted = np.ones(n, dtype=bool) if chosen is None else np.isin(np.arange(n), chosen)
    found = [
        (number, block)
        for number, predictor in enumerate(model.design.predictors)
        for block in predictor.factors
        if block.shares is None and all(name in draws for name in (*block.slots, *block.sds))
    ]
    if not found:
        return LeftOutPlan((), np.flatnonzero(wanted))
    sizes = np.stack([np.bincount(block.codes, minlength=len(block.levels))[block.codes] for _, block in found])
    fewest = np.argmin(sizes, axis=0)
    levels: list[LevelParts] = []
    others = wanted & (sizes.min(axis=0) > MOST_ROWS)
    for own, (number, block) in enumerate(found):
        asked = wanted & ~others & (fewest == own)
        same = _with_the_same_rows(own, found, sizes)
        for combination in np.unique(same[:, asked], axis=1).T if asked.any() else ():
            joined = (other for (_, other), is_in in zip(found, combination, strict=True) if is_in)
            pool = asked & (same == combination[:, None]).all(axis=0)
            parts, left = _parts(number, (block, *joined), pool)
            others[left] = True
            levels += [parts] if len(parts.rows) else []
    return LeftOutPlan(tuple(levels), np.flatnonzero(others))


def _with_the_same_rows(own: int, found: Sequence[tuple[int, GroupBlock]], sizes: np.ndarray) -> np.ndarray:
    """Tell of which other blocks (B, n) a row's level has the rows that its level of one block has."""
    number, block = found[own]
    same = np.zeros(sizes.shape, dtype=bool)
    for other, (its_number, its_block) in enumerate(found):
        alike = sizes[other] == sizes[own]
        if other != own and its_number == number and alike.any():
            pairs = block.codes * np.int64(len(its_block.levels)) + its_block.codes
            _, place, counts = np.unique(pairs, return_inverse=True, return_counts=True)
            same[other] = alike & (counts[place] == sizes[own])
    return same


def _parts(number: int, blocks: tuple[GroupBlock, ...], asked: np.ndarray) -> tuple[LevelParts, np.ndarray]:
    """Return the integrals that rows ask for, and the rows that cannot have one."""
    codes, values = blocks[0].codes, np.hstack([block.values for block in blocks])
    rows = np.flatnonzero(asked)
    left = rows[(values[rows] == 0).all(axis=1)]  # these rows do not depend on the effects
    rows = np.setdiff1d(rows, left)
    if values.shape[1] == 1:  # whatever the column is, the effect itself is integrated
        keys = np.column_stack([codes[rows], np.ones(len(rows))])
    else:
        keys = np.column_stack([codes[rows], values[rows]])
    units, unit_of = np.unique(keys, axis=0, return_inverse=True)
    unit_of = unit_of.reshape(-1)
    levels = units[:, 0].astype(np.int64)
    few = np.bincount(levels, minlength=len(blocks[0].levels))[levels] <= MOST_DIRECTIONS
    left = np.concatenate([left, rows[~few[unit_of]]])
    order = np.argsort(codes, kind="stable")  # the rows of one level after those of the one before
    counts = np.bincount(codes, minlength=len(blocks[0].levels))
    firsts = np.cumsum(counts) - counts
    kept, lengths = np.flatnonzero(few), counts[levels[few]]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths) + np.repeat(firsts[levels[few]], lengths)
    everyone = order[places]
    unit_of_row = np.full(len(codes), -1)
    unit_of_row[rows] = unit_of
    wanted = unit_of_row[everyone] == np.repeat(kept, lengths)
    return LevelParts(number, blocks, starts, everyone, wanted, units[few, 1:]), left


def left_out_blocks(model: Model, draws: Draws, plan: LeftOutPlan, *, threads: int = 1) -> Iterator[LeftOutRows]:
    """Go through the rows of a plan, some levels at a time.

    Parameters
    ----------
    model : Model
    draws : Draws
    plan : LeftOutPlan
    threads : int

    Yields
    ------
    LeftOutRows
    """
    gathered = gather(model, draws)
    for levels in plan.levels:
        for first, last in _pieces(levels.starts, len(draws)):
            yield _left_out(model, draws, gathered, levels.part(first, last), threads)
    for places in row_blocks(len(plan.others), len(draws)):
        rows = plan.others[places]
        for _, block in log_likelihood_blocks(model, draws, rows):
            yield LeftOutRows(rows, block, block)


def count_blocks(plan: LeftOutPlan, n_draws: int) -> int:
    """Count what `left_out_blocks` yields."""
    pieces = sum(len(list(_pieces(levels.starts, n_draws))) for levels in plan.levels)
    return pieces + len(list(row_blocks(len(plan.others), n_draws)))


def _pieces(starts: np.ndarray, n_draws: int) -> Iterator[tuple[int, int]]:
    """Cut levels so that draws x rows stays below BLOCK_BYTES, unless one level alone takes more."""
    size, first, count = max(1, linear_predictors.BLOCK_BYTES // (8 * n_draws)), 0, len(starts) - 1
    while first < count:
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + size, side="right")) - 1)
        yield first, last
        first = last


def _left_out(model: Model, draws: Draws, gathered: ModelDraws, levels: LevelParts, threads: int) -> LeftOutRows:
    """Integrate some levels' effects for each draw."""
    family, design, rows = model.family, model.design, levels.rows
    predictors = predictors_at(gathered, design, rows)
    mean, parameters = from_predictors(gathered, design, family, predictors)
    with np.errstate(divide="ignore", invalid="ignore"):
        given = observed_log_density(family, design, rows, mean, parameters)
    kernel, codes, _ = kernel_for(with_rows(model, rows))
    try:
        units = _units(model, levels, whole=len(codes) == 1)
        own = np.hstack([np.empty((len(draws), 0)), *gathered.parameters.values()])
        owns = np.ascontiguousarray(np.hstack([own, np.tile(codes, (len(draws), 1))]))
        eta = np.ascontiguousarray(np.stack(predictors, axis=1))
        drawn = LevelDraws(owns, eta, np.ascontiguousarray(given), *_directions(model, draws, levels))
        out = np.empty(given.shape)

        def run(part: slice) -> None:
            leave_out(kernel, units, drawn, part.start, part.stop, room_for(units, len(predictors)), out)

        spread_draws(run, len(draws), 50 * len(rows), threads)
    finally:
        if len(codes) == 1:
            kernels.CALLED_BACK.pop(int(codes[0]), None)
    return LeftOutRows(rows[levels.wanted], out[:, levels.wanted], given[:, levels.wanted])


def _units(model: Model, levels: LevelParts, *, whole: bool) -> IntegratedLevels:
    """Return levels as the compiled loops take them."""
    design = model.design
    observed = Observations(design.response, design.trials, 1.0 if design.weights is None else design.weights)
    response, trials, weights = observed.at(levels.rows).arrays
    return IntegratedLevels(levels.starts, levels.wanted, response, trials, weights, levels.predictor, whole)


def _directions(
    model: Model, draws: Draws, levels: LevelParts
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return how rows move with what is integrated, what it is in each draw, and mean and variance of its prior."""
    firsts, lengths = levels.rows[levels.starts[:-1]], np.diff(levels.starts)
    now = np.zeros((len(draws), len(firsts)))
    mean, variance = np.zeros_like(now), np.zeros_like(now)
    moved: np.ndarray = np.zeros((1, 1))
    column = 0
    for block in levels.blocks:
        width = block.values.shape[1]
        own = np.ascontiguousarray(levels.directions[:, column : column + width])
        for k, effects in enumerate(draws.effects(block)):
            now += effects[:, block.codes[firsts]] * own[:, k]
        mean += _means(model, draws, block) @ own.T
        towards = own @ draws.covariances(block)  # (S, U, width)
        if block.relation is not None:
            shares, kept = _given_relatives(model, draws, block, block.codes[firsts])
            mean += np.einsum("suk,uk->su", shares, own)
            towards = towards * kept[:, None]
        variance += np.einsum("suk,uk->su", towards, own)
        moved = moved + np.einsum("sek,ek->se", np.repeat(towards, lengths, axis=1), block.values[levels.rows])
        column += width
    variance = np.maximum(variance, LEAST_VARIANCE)
    alone = column == 1  # the effect itself is integrated
    ratio = levels.blocks[0].values[levels.rows].T if alone else moved / np.repeat(variance, lengths, axis=1)
    return np.ascontiguousarray(ratio), now, mean, variance


def _given_relatives(
    model: Model, draws: Draws, block: GroupBlock, levels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the draws of related levels add to the prior means of U levels' effects, and what is left.

    With the precision Q between levels: -sum over others of Q_lm (b_m - mu) / Q_ll, (S, U, k), and the share 1 / Q_ll
    of their covariance, (U,).
    """
    assert block.relation is not None
    precision, means = block.relation.precision, _means(model, draws, block)
    own, between = precision.diagonal()[levels], precision[levels]
    shares = np.empty((len(draws), len(levels), means.shape[1]))
    for k, effects in enumerate(draws.effects(block)):
        apart = effects - means[:, [k]]
        shares[:, :, k] = apart[:, levels] - (between @ apart.T).T / own
    return shares, 1 / own


def _means(model: Model, draws: Draws, block: GroupBlock) -> np.ndarray:
    """Return the prior means (S, k) of a level's effects in each draw."""
    priors = {slot.slot: slot.prior for slot in model.slots}
    columns = []
    for slot, name in zip(block.slots, block.means, strict=True):
        known = priors[slot].parameters["mu"]
        drawn = draws.variable(name, 1) if isinstance(known, Prior) else np.full((len(draws), 1), known, dtype=float)
        columns.append(drawn)
    return np.hstack(columns)
