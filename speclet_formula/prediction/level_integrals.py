"""Compiled integrals over one level's effect: of the product of its rows' densities, with all of them and without one.

Each is over a number v, the prior of which is normal. Its nodes lie around the peak of the product, as v = peak + scale
sinh(t), t in equal steps (the trapezoid rule after Schwartz 1969, doi:10.1007/BF02165234, exact to many digits for
smooth functions): near the peak they are as close as the sharpest product needs, and a few more reach as far as the
product without a row does. Where that one lies too far off to be seen from there, it gets nodes of its own.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from speclet_formula.inference.algebra.symbolic import Array, compiled

STEP = 0.3
MOST_STEPS = 30  # on each side: sinh(30 STEP) is 18,000 scales
DROP = 20.0  # below the largest logarithm, from which on nothing counts
ALONE = 0.35  # share of an integral that one node may have: of a peak that the nodes do see it has a sixth
MOST_CLIMBS, NEAR = 40, 0.3  # steps to a peak, and the scales from it that are near enough
LONGEST = 30.0  # step, in scales


class IntegratedLevels(NamedTuple):
    """Levels and the rows in them. E rows, those of U levels one after the other."""

    starts: Array  # (U + 1,)
    wanted: Array  # (E,) whether a row is to be left out
    response: Array  # (E,); of counts of C levels (E C,), row by row
    trials: Array  # (E,)
    weights: Array  # (E,)
    moving: int  # the linear predictor that v is part of
    whole: bool  # whether the kernel has to be given all rows at once


class LevelDraws(NamedTuple):
    """What S draws say of them."""

    owns: Array  # (S, e) the family's parameters as the kernel takes them
    eta: Array  # (S, K, E) linear predictors
    given: Array  # (S, E) log densities given the draw
    ratio: Array  # (S or 1, E) by how much each linear predictor moves with v
    now: Array  # (S, U) v in the draw
    mean: Array  # (S, U) of its prior
    variance: Array  # (S, U)


class Room(NamedTuple):
    """Room for one draw."""

    eta: Array  # (K E,)
    slopes: Array  # (4 or 1 + 2 K times E,)
    response: Array  # (E,) or (E C,) of the rows at hand
    rows: Array  # (2, E) their trials and weights
    at_hand: Array  # (U,) levels that are looked at, where their rows begin
    height: Array  # (E,) each row's logs at a node
    curve: Array  # (E,)
    slope: Array  # (E,)
    peak: Array  # (U,)
    scale: Array  # (U,)
    best: Array  # (U,) the height at the peak
    trial: Array  # (U,)
    busy: Array  # (U,)
    tops: Array  # (E + U,) largest logarithm of each integrand: without each row, then with all
    sums: Array  # (E + U,)
    left: Array  # (U,) the row that a level is integrated without; -1 for none


def room_for(units: IntegratedLevels, count: int) -> Room:
    """Return room for one draw of K linear predictors."""
    size, levels = len(units.trials), len(units.starts) - 1
    rows, each = np.empty((2, size)), np.empty((3, size))
    by_level = np.empty((4, levels))
    return Room(
        np.empty(count * size), np.empty(max(4, 1 + 2 * count) * size), np.empty(len(units.response)), rows,
        np.empty(levels, dtype=np.int64), each[0], each[1], each[2], by_level[0], by_level[1], by_level[2], by_level[3],
        np.empty(levels, dtype=np.bool_), np.empty(size + levels), np.empty(size + levels),
        np.empty(levels, dtype=np.int64),
    )  # fmt: skip


@compiled
def rows_of(busy: Array, starts: Array, whole: bool) -> int:
    """Count the rows of busy levels, or all."""
    size = 0
    for unit in range(len(busy)):
        if busy[unit] or whole:
            size += starts[unit + 1] - starts[unit]
    return size


@compiled
def evaluate_rows(kernel: Any, units: IntegratedLevels, drawn: LevelDraws, draw: int, at: Array, room: Room) -> None:
    """Fill height, slope and curve of the rows of busy levels, whose v is given (U,); by v, those of their logs."""
    # Names of their own and plain loops: a slice for each row, or an array looked up in a tuple, takes far longer.
    eta, ratio, now = drawn.eta[draw], drawn.ratio[draw % len(drawn.ratio)], drawn.now[draw]
    busy, starts, whole, moving = room.busy, units.starts, units.whole, units.moving
    given, trials, weights = units.response, units.trials, units.weights
    response, rows = room.response, room.rows
    count, each, size = len(eta), len(given) // len(trials), rows_of(busy, starts, whole)
    moved = room.eta[: count * size].reshape((count, size))
    width = len(room.slopes) // len(room.height)
    slopes = room.slopes[: width * size].reshape((width, size))
    place = 0
    for unit in range(len(at)):
        if busy[unit] or whole:
            apart = at[unit] - now[unit]
            for row in range(starts[unit], starts[unit + 1]):
                for k in range(count):
                    moved[k, place] = eta[k, row]
                moved[moving, place] += ratio[row] * apart
                for k in range(each):
                    response[place * each + k] = given[row * each + k]
                rows[0, place] = trials[row]
                rows[1, place] = weights[row]
                place += 1
    kernel(moved, response[: each * size], rows[0, :size], rows[1, :size], drawn.owns[draw], slopes)
    heights, slope, curve = room.height, room.slope, room.curve
    place = 0
    for unit in range(len(at)):
        if busy[unit] or whole:
            for row in range(starts[unit], starts[unit + 1]):
                height = slopes[0, place]
                heights[row] = height if np.isfinite(height) else -np.inf
                slope[row] = ratio[row] * slopes[1 + moving, place]
                curve[row] = ratio[row] ** 2 * slopes[1 + count + moving, place]
                place += 1


@compiled
def climb(kernel: Any, units: IntegratedLevels, drawn: LevelDraws, draw: int, room: Room) -> None:
    """Find peak and scale of each busy level's product, without the row that is left out, from the draw's own v."""
    room.trial[:] = drawn.now[draw]
    room.best[:] = -np.inf
    room.peak[:] = room.trial
    room.scale[:] = np.sqrt(drawn.variance[draw])
    wanted = room.busy.copy()
    for _ in range(MOST_CLIMBS):
        evaluate_rows(kernel, units, drawn, draw, room.trial, room)
        going = False
        for unit in range(len(room.peak)):
            if not room.busy[unit]:
                continue
            variance = drawn.variance[draw, unit]
            apart = room.trial[unit] - drawn.mean[draw, unit]
            height, slope, bend = -0.5 * apart * apart / variance, -apart / variance, 1.0 / variance
            for row in range(units.starts[unit], units.starts[unit + 1]):
                if row != room.left[unit]:
                    height += room.height[row]
                    slope += room.slope[row]
                    bend -= room.curve[row]
            if not (np.isfinite(slope) and np.isfinite(bend)) or height < room.best[unit]:
                room.trial[unit] = 0.5 * (room.trial[unit] + room.peak[unit])
                room.busy[unit] = abs(room.trial[unit] - room.peak[unit]) > 0.1 * room.scale[unit]
            else:
                room.best[unit], room.peak[unit] = height, room.trial[unit]
                room.scale[unit] = scale = 1.0 / math.sqrt(max(bend, 1.0 / variance))
                step = min(max(slope * scale * scale, -LONGEST * scale), LONGEST * scale)
                room.trial[unit] += step
                room.busy[unit] = abs(step) > NEAR * scale
            going = going or room.busy[unit]
        if not going:
            break
    room.busy[:] = wanted


@compiled
def add_up(tops: Array, sums: Array, place: int, value: float) -> bool:
    """Add exp(value) to a sum that is kept over its largest term; tell whether it counts."""
    if value > tops[place]:
        sums[place] = sums[place] * math.exp(tops[place] - value) + 1.0
        tops[place] = value
        return True
    if value > tops[place] - DROP:
        sums[place] += math.exp(value - tops[place])
        return True
    return False


@compiled
def add_node(
    tops: Array, sums: Array, heights: Array, wanted: Array, first: int, last: int, left: int, unit: int, height: float,
    each: bool,
) -> bool:  # fmt: skip
    """Add a node of this height by the prior to a level's integrals; tell whether it counts in any of them."""
    for row in range(first, last):
        if row != left:
            height += heights[row]
    counts = add_up(tops, sums, len(heights) + unit, height)
    if each and last > first + 1 and np.isfinite(height):
        for row in range(first, last):
            if wanted[row]:
                counts = add_up(tops, sums, row, height - heights[row]) or counts
    return counts


@compiled
def march(kernel: Any, units: IntegratedLevels, drawn: LevelDraws, draw: int, room: Room, each: bool) -> None:
    """Add up each busy level's product over the nodes, and where asked that without each of its rows."""
    # Arrays by themselves, not the tuples: these are counted, all of their arrays, wherever they are handed over.
    busy, tops, sums, heights, trial = room.busy, room.tops, room.sums, room.height, room.trial
    peak, scale, left, starts, asked = room.peak, room.scale, room.left, units.starts, units.wanted
    mean, variance = drawn.mean[draw], drawn.variance[draw]
    tops[:] = -np.inf
    sums[:] = 0.0
    wanted = busy.copy()
    for side in range(2):
        busy[:] = wanted
        for number in range(side, MOST_STEPS + 1):
            t = (1 - 2 * side) * number * STEP
            going, far, stretch = False, math.sinh(t), math.log(math.cosh(t))
            for unit in range(len(peak)):
                trial[unit] = peak[unit] + scale[unit] * far
            evaluate_rows(kernel, units, drawn, draw, trial, room)
            for unit in range(len(peak)):
                if busy[unit]:
                    apart = trial[unit] - mean[unit]
                    height = stretch - 0.5 * apart * apart / variance[unit]
                    first, last = starts[unit], starts[unit + 1]
                    counts = add_node(tops, sums, heights, asked, first, last, left[unit], unit, height, each)
                    busy[unit] = counts or number == side
                    going = going or busy[unit]
            if not going:
                break
    busy[:] = wanted


@compiled
def leave_out(
    kernel: Any, units: IntegratedLevels, drawn: LevelDraws, first: int, last: int, room: Room, out: Array
) -> None:
    """Fill out (S, E) with the log density of each row that is wanted, given the others, for some of the draws."""
    size, levels = len(room.height), len(room.peak)
    whole = np.empty(levels)
    for draw in range(first, last):
        room.busy[:] = True
        evaluate_rows(kernel, units, drawn, draw, drawn.now[draw], room)
        for row in range(size):  # what the kernel leaves out of the density
            out[draw, row] = drawn.given[draw, row] - room.height[row]
        room.left[:] = -1
        climb(kernel, units, drawn, draw, room)
        march(kernel, units, drawn, draw, room, True)
        for unit in range(levels):
            begin, end = units.starts[unit], units.starts[unit + 1]
            whole[unit] = room.tops[size + unit] + math.log(room.sums[size + unit] * STEP * room.scale[unit])
            room.busy[unit] = False
            for row in range(begin, end):
                if units.wanted[row]:
                    if end == begin + 1:
                        rest = 0.5 * math.log(2.0 * math.pi * drawn.variance[draw, unit])
                        out[draw, row] += whole[unit] - rest
                    elif room.sums[row] * ALONE > 1.0:
                        rest = room.tops[row] + math.log(room.sums[row] * STEP * room.scale[unit])
                        out[draw, row] += whole[unit] - rest
                    else:
                        room.busy[unit] = True
                        room.height[row] = np.nan
                        continue
                room.height[row] = 0.0
        unseen = np.isnan(room.height)
        while room.busy.any():
            _by_itself(kernel, units, drawn, draw, room, whole, unseen, out[draw])


@compiled
def _by_itself(
    kernel: Any,
    units: IntegratedLevels,
    drawn: LevelDraws,
    draw: int,
    room: Room,
    whole: Array,
    unseen: Array,
    out: Array,
) -> None:
    """Integrate without the first unseen row of each busy level, from nodes around that product's own peak."""
    size = len(room.height)
    for unit in range(len(room.peak)):
        if room.busy[unit]:
            for row in range(units.starts[unit + 1] - 1, units.starts[unit] - 1, -1):
                if unseen[row]:
                    room.left[unit] = row
    climb(kernel, units, drawn, draw, room)
    march(kernel, units, drawn, draw, room, False)
    for unit in range(len(room.peak)):
        if room.busy[unit]:
            row = room.left[unit]
            rest = room.tops[size + unit] + math.log(room.sums[size + unit] * STEP * room.scale[unit])
            out[row] += whole[unit] - rest
            unseen[row] = False
            room.busy[unit] = unseen[units.starts[unit] : units.starts[unit + 1]].any()
