"""Nearly independent draws from the log density of a few parameters: an adaptive mixture, and a chain that corrects it.

A mixture of t distributions is laid over all modes that are found, and over the edges where the density ends slowly,
then fitted to its own weighted draws until it covers the density; an independence Metropolis chain on it corrects what
is left. Cappe et al. (2008), doi:10.1007/s11222-008-9059-x.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import special

from speclet_formula.inference.exact.modes import (
    LogDensity,
    SlopedDensity,
    climb,
    curvature,
    find_mode,
    find_modes,
    held,
)

Edge = tuple[int, float]  # a coordinate and the rate at which the log density falls along it, to the left if positive

DEGREES = 5.0  # of freedom of the components: tails heavier than a posterior's
ROUNDS = 8
MOST_COMPONENTS = 8
OPTIMISM = 0.7  # a small round can miss the tails; the final draws must reach this share of its efficiency
FEWEST_OTHERS = 0.5  # of the draws that are wanted: those that no fitting has looked at
WIDE = 0.05  # share of a component that is twice as wide as all others together
BEYOND = 8.0  # in an edge's own units beyond the mode: so far out the density is its end
SLIGHTEST = np.log(1e-5)  # share of an edge that is worth a component, ...
NOTABLE = np.log(0.05)  # ... and of one that is worth others where two edges meet
SHARES = (0.02, 1.0)  # least and largest share of an edge's component, next to the modes'
MOST_EDGES = 6
EDGE_STEPS = 12  # of the search for the other parameters' best place there: near enough is good enough
SIZES = (0.2, 2.0)  # of an edge's component, next to the mode's distance from the edge
FARTHEST = 300.0  # the log of the largest coordinate of an edge's component


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of t distributions in d dimensions, some of them in coordinates that run to an edge.

    Where a rate is not zero, the component is a t of y = exp(rate (x - origin)), which ends at zero, folded: as x goes
    to the edge its density falls as exp(rate x).
    """

    weights: np.ndarray  # (K,)
    means: np.ndarray  # (K, d) of x, or of y: zero
    factors: np.ndarray  # (K, d, d) lower Cholesky factors of the scales
    rates: np.ndarray  # (K, d)
    origin: np.ndarray  # (d,)

    @property
    def flat(self) -> np.ndarray:
        """Which components (K,) have no edge."""
        return np.asarray(~self.rates.any(axis=1))


@dataclass(frozen=True, eq=False)
class Proposals:
    """Draws from a mixture with the density that they are to represent."""

    points: np.ndarray  # (N, d)
    log_target: np.ndarray  # (N,)
    log_weights: np.ndarray  # (N,) log_target less the mixture's log density
    efficiency: float  # effective share of the draws, (sum w)^2 / (N sum w^2)


@np.errstate(all="ignore")
def fit_proposal(
    density: LogDensity,
    starts: np.ndarray,
    rng: np.random.Generator,
    *,
    draws: int,
    good: float,
    edges: Sequence[Edge] = (),
    sloped: SlopedDensity | None = None,
) -> tuple[Mixture, Proposals]:
    """Fit a mixture to a density.

    Parameters
    ----------
    density : callable
        Log density of N points (N, d), up to a constant.
    starts : array of shape (N, d)
        Where to look for modes; in one of them at least the density is not zero.
    rng : numpy.random.Generator
        Source of random numbers.
    draws : int
        Points of each round.
    good : float
        Efficiency of the importance weights at which to stop, between 0 and 1.
    edges : sequence of (place, rate)
        Where the density ends slowly.
    sloped : callable, optional
        The density of one point with its gradient, where that is quicker than differences.

    Returns
    -------
    mixture : Mixture
        The best one found.
    proposals : Proposals
        Its draws.
    """
    mixture = _first_mixture(density, find_modes(density, starts, sloped), edges, sloped)
    best = seen = propose(density, mixture, rng, draws)
    for turn in range(ROUNDS):
        if best.efficiency > good:
            break
        candidate = _refitted(seen, rng, min(2 + turn, MOST_COMPONENTS), mixture)
        tried = propose(density, candidate, rng, draws)
        seen = _joined(seen, tried)  # what one round's points missed another's may have found
        if tried.efficiency > best.efficiency:
            mixture, best = candidate, tried
    return mixture, best


@np.errstate(all="ignore")
def draw_proposals(
    density: LogDensity,
    starts: np.ndarray,
    rng: np.random.Generator,
    *,
    draws: int,
    good: float,
    wanted: int,
    edges: Sequence[Edge] = (),
    sloped: SlopedDensity | None = None,
) -> tuple[Mixture, Proposals]:
    """Fit a mixture by rounds of `draws` points; return it with `wanted` draws from it, or more.

    The last round's are among them where they ended the fitting; the best of several rounds is the luckiest, too.
    Where the others turn out much less efficient than it promised, they found what it had missed: the mixture is fitted
    to them and drawn from again.
    """
    mixture, trial = fit_proposal(density, starts, rng, draws=draws, good=good, edges=edges, sloped=sloped)
    missing = max(wanted - draws, FEWEST_OTHERS * wanted) if trial.efficiency > good else wanted
    proposals = propose(density, mixture, rng, int(missing))
    if proposals.efficiency > OPTIMISM * trial.efficiency:
        return mixture, proposals if missing == wanted else _together(trial, proposals)
    refitted = _refitted(proposals, rng, MOST_COMPONENTS, mixture)
    again = propose(density, refitted, rng, wanted)
    return (mixture, proposals) if proposals.efficiency > again.efficiency else (refitted, again)


def draw_more(
    density: LogDensity, mixture: Mixture, proposals: Proposals, rng: np.random.Generator, count: int
) -> Proposals:
    """Return the proposals that came from a mixture with `count` more of the same."""
    return _together(proposals, propose(density, mixture, rng, count))


def _together(proposals: Proposals, more: Proposals) -> Proposals:
    """Return two sets of draws from one mixture as one."""
    joined = _joined(proposals, more)
    return replace(joined, efficiency=_efficiency(joined.log_weights))


def cover(points: np.ndarray, rng: np.random.Generator, components: int = 3) -> Mixture:
    """Fit a mixture to points (N, d) that were drawn from a density."""
    drawn = Proposals(points, np.zeros(len(points)), np.zeros(len(points)), 1.0)
    return _refitted(drawn, rng, components, _no_components(points.mean(axis=0)))


def combine(first: Mixture, second: Mixture) -> Mixture:
    """Return a mixture of two mixtures, half of each; the second has no edges, or the same origin."""
    return Mixture(
        np.concatenate([first.weights, second.weights]) / 2,
        np.concatenate([first.means, second.means]),
        np.concatenate([first.factors, second.factors]),
        np.concatenate([first.rates, second.rates]),
        first.origin,
    )


def propose(density: LogDensity, mixture: Mixture, rng: np.random.Generator, draws: int) -> Proposals:
    """Draw from a mixture and weigh the draws by a density."""
    counts = rng.multinomial(draws, mixture.weights)
    parts = [
        _raised(_draw_t(rng, mean, factor, count), rates, mixture.origin)
        for mean, factor, rates, count in zip(mixture.means, mixture.factors, mixture.rates, counts, strict=True)
    ]
    points = rng.permutation(np.concatenate(parts))
    log_target = density(points)
    log_weights = log_target - log_mixture(mixture, points)
    return Proposals(points, log_target, log_weights, _efficiency(log_weights))


def log_mixture(mixture: Mixture, points: np.ndarray) -> np.ndarray:
    """Return the log density (N,) of a mixture at points (N, d)."""
    return np.asarray(special.logsumexp(_log_parts(mixture, points), axis=0))


def _log_parts(mixture: Mixture, points: np.ndarray) -> np.ndarray:
    """Return each component's share of the density at points, (K, N) logs."""
    flats = [_flattened(points, rates, mixture.origin) for rates in mixture.rates]
    return _log_shares(mixture, _distances(mixture, [flat for flat, _ in flats]), [jacobian for _, jacobian in flats])


def _log_shares(mixture: Mixture, distances: np.ndarray, jacobians: Sequence[np.ndarray | float]) -> np.ndarray:
    """Return the components' shares (K, N) of the density at points so far from them."""
    size = len(mixture.origin)
    constant = special.gammaln((DEGREES + size) / 2) - special.gammaln(DEGREES / 2) - size / 2 * np.log(DEGREES * np.pi)
    with np.errstate(divide="ignore"):
        shares = np.log(mixture.weights)
    parts = np.empty_like(distances)
    for k, (factor, jacobian) in enumerate(zip(mixture.factors, jacobians, strict=True)):
        log_t = constant - np.log(np.diag(factor)).sum() - (DEGREES + size) / 2 * np.log1p(distances[k] / DEGREES)
        parts[k] = shares[k] + jacobian + log_t
    return parts


def _distances(mixture: Mixture, flats: Sequence[np.ndarray]) -> np.ndarray:
    """Return the squared distances (K, N), in units of the scales, of points in each component's coordinates."""
    apart = np.array([(flat - mean).T for flat, mean in zip(flats, mixture.means, strict=True)])
    return np.asarray((np.linalg.solve(mixture.factors, apart) ** 2).sum(axis=1))


def _flattened(points: np.ndarray, rates: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray | float]:
    """Return points (N, d) in a component's coordinates, and the log Jacobian (N,), with the fold's factor of two."""
    places = np.flatnonzero(rates)
    if not len(places):
        return points, 0.0
    logs = np.minimum(rates[places] * (points[:, places] - origin[places]), FARTHEST)
    flat = points.copy()
    flat[:, places] = np.exp(logs)
    return flat, (logs + np.log(2 * np.abs(rates[places]))).sum(axis=1)


def _raised(flat: np.ndarray, rates: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return points whose components' coordinates are given: the inverse of `_flattened`."""
    places = np.flatnonzero(rates)
    if len(places):
        sizes = np.maximum(np.abs(flat[:, places]), np.finfo(float).tiny)
        flat[:, places] = origin[places] + np.log(sizes) / rates[places]
    return flat


def metropolis(proposals: Proposals, chains: int, rng: np.random.Generator) -> np.ndarray:
    """Return (chains, N / chains) positions in the proposals: independence chains that start from weighted draws."""
    count = len(proposals.points) // chains
    weights = np.exp(proposals.log_weights - proposals.log_weights.max())
    path = np.empty((chains, count), dtype=np.int64)
    for chain in range(chains):
        current = int(rng.choice(len(weights), p=weights / weights.sum()))
        uniforms = np.log(rng.random(count))
        for step in range(count):
            candidate = chain * count + step
            if uniforms[step] < proposals.log_weights[candidate] - proposals.log_weights[current]:
                current = candidate
            path[chain, step] = current
    return path


def _efficiency(log_weights: np.ndarray) -> float:
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (len(weights) * (weights**2).sum()))


def _first_mixture(
    density: LogDensity, modes: np.ndarray, edges: Sequence[Edge], sloped: SlopedDensity | None
) -> Mixture:
    """Lay a t over each mode, one over each edge that has a share in the mass, and a wide one over all of them."""
    size = modes.shape[1]
    heights, hessians = density(modes), [curvature(density, mode) for mode in modes]
    scales = np.array([_scale(hessian) for hessian in hessians]).reshape(-1, size, size)
    masses = heights + 0.5 * np.linalg.slogdet(2 * np.pi * scales)[1]
    shares = np.exp(masses - special.logsumexp(masses))
    mixture = Mixture(shares, modes, np.linalg.cholesky(scales), np.zeros_like(modes), modes[0])
    mixture = _with_edges(density, mixture, edges, float(special.logsumexp(masses)), sloped)
    centre = shares @ modes
    spread = (shares[:, None, None] * scales).sum(axis=0) + _weighted_covariance(modes, shares)
    wide = np.linalg.cholesky(4 * spread)
    return _with_component(mixture, WIDE * mixture.weights.sum(), centre, wide, np.zeros(size))


def _with_component(
    mixture: Mixture, weight: float, mean: np.ndarray, factor: np.ndarray, rates: np.ndarray
) -> Mixture:
    weights = np.append(mixture.weights, weight)
    return Mixture(
        weights / weights.sum(),
        np.vstack([mixture.means, mean]),
        np.concatenate([mixture.factors, factor[None]]),
        np.vstack([mixture.rates, rates]),
        mixture.origin,
    )


def _with_edges(
    density: LogDensity, mixture: Mixture, edges: Sequence[Edge], mass: float, sloped: SlopedDensity | None
) -> Mixture:
    """Add components for single edges, and for two that meet where both have much of the mass."""
    laid = [(edge, *part) for edge, part in zip(edges, _at_edges(density, mixture, edges, sloped), strict=True)]
    laid = sorted((one for one in laid if one[1] - mass > SLIGHTEST), key=lambda one: -one[1])[:MOST_EDGES]
    parts = [(log, part) for _, log, part in laid]
    notable = [edge for edge, log, _ in laid if log - mass > NOTABLE]
    meeting = [pair for pair in combinations(notable, 2) if pair[0][0] != pair[1][0]]
    parts += _at_edges(density, mixture, meeting, sloped)
    found = mixture
    for log, (mean, factor, rates) in parts:
        share = float(np.clip(np.exp(log - mass), *SHARES))
        found = _with_component(found, share * found.weights[0], mean, factor, rates)
    return found


def _at_edges(
    density: LogDensity,
    mixture: Mixture,
    edges: Sequence[Edge | tuple[Edge, Edge]],
    sloped: SlopedDensity | None,
) -> list[tuple[float, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Return the log mass near edges, or where two meet, roughly, and a component's mean, factor and rates there.

    In y = exp(rate (x - mode)) the density is smooth at the edge, y = 0, and the mode is at 1.
    """
    rates = np.zeros((len(edges), len(mixture.origin)))
    for row, places in zip(rates, edges, strict=True):
        for coordinate, rate in np.reshape(places, (-1, 2)):
            row[int(coordinate)] = rate
    ends = rates != 0
    out = mixture.origin - np.divide(BEYOND, rates, out=np.zeros_like(rates), where=ends)
    if sloped is None and edges:
        out = climb(density, out, free=~ends, steps=EDGE_STEPS)
    for start, free in zip(out, ~ends, strict=True):
        if sloped is not None and free.any():
            start[free] = find_mode(held(sloped, start.copy(), free), start[free], steps=EDGE_STEPS)
    return [_at_edge(density, mixture.origin, *place) for place in zip(out, rates, strict=True)]


def _at_edge(
    density: LogDensity, origin: np.ndarray, out: np.ndarray, rates: np.ndarray
) -> tuple[float, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the same of one place, where the other parameters have their best values already."""
    size, ends = len(origin), rates != 0

    def at(others: np.ndarray, point: np.ndarray) -> np.ndarray:
        whole = np.repeat(point[None], len(others), axis=0)
        whole[:, ~ends] = others
        return density(whole) - _flattened(whole, rates, origin)[1]

    height = float(at(out[None, ~ends], out)[0])
    sizes = np.ones(int(ends.sum()))
    for k, place in enumerate(np.flatnonzero(ends)):
        near = out.copy()
        near[place] = origin[place]
        drop = height - float(at(out[None, ~ends], near)[0])
        sizes[k] = np.clip(1 / np.sqrt(2 * drop), *SIZES) if drop > 0 else 1.0
    scale = np.zeros((size, size))
    scale[ends, ends] = sizes**2
    if not ends.all():
        scale[np.ix_(~ends, ~ends)] = _scale(curvature(lambda others: at(others, out), out[~ends]))
    mass = height + 0.5 * np.linalg.slogdet(2 * np.pi * scale)[1]
    return mass, (np.where(ends, 0.0, out), np.linalg.cholesky(scale), rates)


def _scale(hessian: np.ndarray) -> np.ndarray:
    """Return a covariance that fits a curvature; directions that the density hardly bends get a bounded width."""
    values, vectors = np.linalg.eigh(hessian)
    return np.asarray((vectors / np.maximum(values, 0.1)) @ vectors.T)


def _no_components(origin: np.ndarray) -> Mixture:
    size = len(origin)
    return Mixture(np.zeros(0), np.zeros((0, size)), np.zeros((0, size, size)), np.zeros((0, size)), origin)


def _draw_t(rng: np.random.Generator, mean: np.ndarray, factor: np.ndarray, count: int) -> np.ndarray:
    normals = rng.standard_normal((count, len(mean))) @ factor.T
    return np.asarray(mean + normals / np.sqrt(rng.chisquare(DEGREES, count) / DEGREES)[:, None])


def _joined(first: Proposals, second: Proposals) -> Proposals:
    log_weights = np.concatenate([first.log_weights, second.log_weights])
    return Proposals(
        np.concatenate([first.points, second.points]),
        np.concatenate([first.log_target, second.log_target]),
        log_weights,
        first.efficiency,
    )


def _refitted(
    proposals: Proposals, rng: np.random.Generator, components: int, known: Mixture, rounds: int = 25
) -> Mixture:
    """Fit a mixture of t distributions to weighted points by expectation maximisation; a wide one stays beside it.

    Components that lie on a mixture's edges are fitted with the others; these begin anew, at some of the points.
    """
    weights = np.exp(proposals.log_weights - proposals.log_weights.max())
    # Truncated weights (Ionides 2008): a single far point must not draw a whole component to itself.
    weights = np.minimum(weights, weights.mean() * np.sqrt(len(weights)))
    weights /= weights.sum()
    points, size, edged = proposals.points, proposals.points.shape[1], ~known.flat
    spread = _weighted_covariance(points, weights)
    chosen = points[rng.choice(len(points), components, p=weights)]
    rates = np.vstack([np.zeros((components, size)), known.rates[edged]])
    flats, jacobians = zip(*(_flattened(points, rate, known.origin) for rate in rates), strict=True)
    floors = [
        1e-3 * _held_apart(_weighted_covariance(flat, weights), rate) for flat, rate in zip(flats, rates, strict=True)
    ]
    fitted = Mixture(
        np.full(len(rates), 1 / len(rates)),
        np.vstack([chosen, known.means[edged]]),
        np.concatenate([np.repeat(np.linalg.cholesky(spread)[None], components, axis=0), known.factors[edged]]),
        rates,
        known.origin,
    )
    for _ in range(rounds):
        fitted = _maximised(fitted, weights, flats, jacobians, floors)
    factor = np.linalg.cholesky(4 * spread)
    return _with_component(fitted, 1 / 9, weights @ points, factor, np.zeros(size))


def _maximised(
    mixture: Mixture,
    weights: np.ndarray,
    flats: Sequence[np.ndarray],
    jacobians: Sequence[np.ndarray | float],
    floors: Sequence[np.ndarray],
) -> Mixture:
    """Take a step of expectation maximisation; `flats` are the points in each component's coordinates."""
    distances, size = _distances(mixture, flats), len(mixture.origin)
    parts = _log_shares(mixture, distances, jacobians)
    claims = np.exp(parts - special.logsumexp(parts, axis=0)) * weights
    shares = np.maximum(claims.sum(axis=1), np.where(mixture.flat, 1e-3, SHARES[0]))
    means, factors = mixture.means.copy(), mixture.factors.copy()
    for k, (flat, rates) in enumerate(zip(flats, mixture.rates, strict=True)):
        pull = claims[k] * (DEGREES + size) / (DEGREES + distances[k])
        means[k] = np.where(rates != 0, 0.0, pull @ flat / pull.sum())
        apart = flat - means[k]
        scale = _held_apart((pull[:, None] * apart).T @ apart / claims[k].sum(), rates) + floors[k]
        factors[k] = np.linalg.cholesky(scale)
    return replace(mixture, weights=shares / shares.sum(), means=means, factors=factors)


def _held_apart(scale: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Return a scale without covariances of an edge's coordinate, which is folded at zero, with any other."""
    apart = (rates != 0) & ~np.eye(len(rates), dtype=bool)
    return np.where(apart | apart.T, 0.0, scale)


def _weighted_covariance(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    apart = points - weights @ points
    return np.asarray((weights[:, None] * apart).T @ apart + 1e-8 * np.eye(points.shape[1]))
