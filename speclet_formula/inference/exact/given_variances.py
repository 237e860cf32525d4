"""What linear combinations of a Gaussian model's coefficients are given its variances: normal, exactly.

Averaged over draws of the variances, normal probabilities tell how sure a sign is far beyond what the draws of the
coefficients themselves could be counted to tell. Summaries of the draws are left to `posterior`.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import log_ndtr

from speclet_formula.design import centre_of
from speclet_formula.inference.algebra.solutions import spread_draws, within
from speclet_formula.inference.exact.density import Marginal, marginal_of, prior_precisions, why_not_exact
from speclet_formula.inference.exact.drawn_variances import DrawnVariances, read_variances, thinned
from speclet_formula.model import Model
from speclet_formula.posterior import Fit
from speclet_formula.posterior.draws import draws_of

# Draws of the variances: what is averaged varies little between them. Of many coefficients fewer are taken, as many as
# go through so many numbers.
DRAWS, FEWEST_DRAWS = 1000, 100
NUMBERS = 2e7
AT_ONCE = 4  # whole vectors of coefficients


@dataclass(frozen=True, eq=False)
class Addend:
    """What a variable of the posterior adds to each of k linear combinations."""

    variable: str
    elements: np.ndarray  # (k,) int: which of its elements
    weights: np.ndarray  # (k,)


@dataclass(frozen=True, eq=False)
class GivenVariances:
    """A Gaussian model, and N draws of its variances."""

    model: Model
    marginal: Marginal
    draws: DrawnVariances


@dataclass(frozen=True, eq=False)
class _Combined:
    """k linear combinations of the coefficients, p of them as the equations count them."""

    W: Any  # (k, p) scipy CSR
    known: np.ndarray  # (k,) what the centre of the coefficients adds
    met: np.ndarray  # the combinations whose coefficients meet in one row of the data,
    prepared: Any  # and their rows as `Factors.spreads` takes them
    apart: np.ndarray  # all others


def given_variances(fit: Any) -> GivenVariances | None:
    """Return a fit's draws of the variances, thinned; None where its coefficients are not integrated out exactly.

    Parameters
    ----------
    fit : Fit or PointFit
        By the exact engine; of any other its draws of the coefficients are all that is known.
    """
    if not isinstance(fit, Fit) or fit.method != "exact" or why_not_exact(fit.model):
        return None
    marginal = marginal_of(fit.model, threads=os.cpu_count() or 1)
    numbers = marginal.system.layout.size + marginal.system.equations.work
    count = int(np.clip(NUMBERS // numbers, FEWEST_DRAWS, DRAWS))
    return GivenVariances(fit.model, marginal, read_variances(fit.model, thinned(fit.model, draws_of(fit), count)))


def has_coefficient(given: GivenVariances, variable: str) -> bool:
    """Tell whether a variable of the posterior holds coefficients, and no variances."""
    return variable in _places(given)


def log_signs(
    given: GivenVariances, parts: Sequence[Addend], rows: np.ndarray | None = None, *, added: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the log probabilities of being negative, and of being positive, of linear combinations.

    Parameters
    ----------
    given : GivenVariances
    parts : sequence of Addend
        What each of k combinations consists of.
    rows : ndarray of int, shape (k,), optional
        A row of the data for each combination in which its coefficients meet; -1 for none. They need one solution for
        all of them, others one each.
    added : ndarray of float, shape (k,), or float
        What is added to each.

    Returns
    -------
    negative, positive : ndarray of float, shape (k,)
    """
    combined = _combine(given, parts, rows)

    def run(part: slice) -> tuple[np.ndarray, int]:
        sums, count = np.full((2, len(combined.known)), -np.inf), 0
        for place, means, sds in _moments(given, combined, part):
            for z in (means + added) / sds:
                tail = log_ndtr(-np.abs(z))  # far out 1 less this is 1, but its log is not lost
                rest = np.log1p(-np.exp(tail))
                np.logaddexp(sums[0], np.where(z > 0, tail, rest), out=sums[0])
                np.logaddexp(sums[1], np.where(z > 0, rest, tail), out=sums[1])
            count += place.stop - place.start
        return sums, count

    found = _spread(given, run)
    logs = np.logaddexp.reduce([sums for sums, _ in found]) - np.log(sum(count for _, count in found))
    return logs[0], logs[1]


def moments(given: GivenVariances, parts: Sequence[Addend]) -> tuple[np.ndarray, np.ndarray]:
    """Return means and standard deviations, (N, k), of a few linear combinations given each draw of the variances."""
    combined = _combine(given, parts, None)
    found = [pair for pairs in _spread(given, lambda part: [*_moments(given, combined, part)]) for pair in pairs]
    return np.concatenate([means for _, means, _ in found]), np.concatenate([sds for *_, sds in found])


def _spread(given: GivenVariances, run: Any) -> list[Any]:
    system = given.marginal.system
    work = max(system.equations.work, system.layout.size)
    return spread_draws(run, len(given.draws.sds), work, given.marginal.threads)


def _moments(given: GivenVariances, combined: _Combined, part: slice) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Go through some draws: which, and means and SDs (draws, k)."""
    system, draws = given.marginal.system, given.draws
    numbers, _ = prior_precisions(given.marginal.variances, draws.sds[part], draws.partial[part])
    s2 = draws.sds[part, 0] ** 2 / system.units.response**2
    beside = 4 * len(combined.known)
    for inner, factors in system.equations.factored(s2, numbers * system.units.numbers, beside=beside):
        means = (combined.W @ factors.backward(factors.half).T).T + combined.known
        squares = np.empty_like(means)
        if len(combined.met):
            squares[:, combined.met] = factors.spreads(combined.prepared)
        for start in range(0, len(combined.apart), AT_ONCE):
            places = combined.apart[start : start + AT_ONCE]
            squares[:, places] = factors.squares(combined.W[places].toarray())
        yield within(part, inner), means, np.sqrt(np.maximum(squares, np.finfo(float).tiny))


def _combine(given: GivenVariances, parts: Sequence[Addend], rows: np.ndarray | None) -> _Combined:
    system, layout = given.marginal.system, given.marginal.system.layout
    k, places = len(parts[0].elements), _places(given)
    columns, weights = [], []
    for part in parts:
        start, step, mean = places[part.variable]
        columns.append(start + step * part.elements)
        weights.append(part.weights)
        if mean is not None:
            columns.append(np.full(k, mean))
            weights.append(part.weights)
    entries = np.concatenate(weights), (np.tile(np.arange(k), len(columns)), np.concatenate(columns))
    W = sparse.coo_array(entries, shape=(k, layout.size)).tocsr()
    fixed = given.model.design.mean.fixed
    if fixed and fixed[0].kind == "intercept":  # which is measured where the other columns are at their centre
        centre = np.zeros((1, layout.size))
        centre[0, 1 : layout.n_fixed] = centre_of(given.model.design)[1:]
        W = (W - W[:, [0]] @ sparse.csr_array(centre)).tocsr()
    W.eliminate_zeros()
    known = W @ (given.marginal.centre + system.centre)
    W = (W @ sparse.dia_array((system.units.coefficients[None], [0]), shape=(layout.size, layout.size))).tocsr()
    met = np.zeros(k, dtype=bool) if rows is None else _meet(W, system.W, rows)
    inside = np.flatnonzero(met)
    prepared = system.equations.prepared(W[inside]) if len(inside) else None
    return _Combined(W, known, inside, prepared, np.flatnonzero(~met))


def _meet(W: Any, data: Any, rows: np.ndarray) -> np.ndarray:
    """Tell of each combination whether all its coefficients have an entry in a row of the data."""
    known = rows >= 0
    own, there = (abs(matrix).sign() for matrix in (W, data[np.where(known, rows, 0)]))
    shared = own.multiply(there).sum(axis=1)
    return np.asarray(known & (shared == own.sum(axis=1)))


def _places(given: GivenVariances) -> dict[str, tuple[int, int, int | None]]:
    """Return where the coefficients of each variable stand: the first, the step to the next, and the group's mean."""
    layout, mean = given.marginal.system.layout, given.model.design.mean
    found: dict[str, tuple[int, int, int | None]] = {term.variable: (term.start, 1, None) for term in mean.fixed}
    for number, block in enumerate(mean.groups):
        for column, slot in enumerate(block.slots):
            key = (number, column)
            own = layout.n_fixed + layout.means.index(key) if key in layout.means else None
            found[slot] = layout.starts[number] + column, layout.widths[number], own
    return found
