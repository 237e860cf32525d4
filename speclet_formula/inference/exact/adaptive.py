"""The log density of a few parameters goes in; nearly independent draws from it come out.

A mixture of t distributions is laid over the mode, then fitted to its own weighted draws until it covers the density;
an independence Metropolis chain on it corrects what is left. Cappe et al. (2008), doi:10.1007/s11222-008-9059-x.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special

LogDensity = Callable[[np.ndarray], np.ndarray]  # (N, d) -> (N,)

DEGREES = 5.0  # of freedom of the components: tails heavier than a posterior's
ROUNDS = 8
MOST_COMPONENTS = 8
OPTIMISM = 0.7  # a small round can miss the tails; the final draws must reach this share of its efficiency
STEP = 1e-4  # of central differences, on parameters whose scale is about 1
REACH = (12.0, 8.0)  # how far below and above its start the mode is looked for; SDs are logs


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of t distributions in d dimensions."""

    weights: np.ndarray  # (K,)
    means: np.ndarray  # (K, d)
    factors: np.ndarray  # (K, d, d) lower Cholesky factors of the scales


@dataclass(frozen=True, eq=False)
class Proposals:
    """Draws from a mixture with the density that they are to represent."""

    points: np.ndarray  # (N, d)
    log_target: np.ndarray  # (N,)
    log_weights: np.ndarray  # (N,) log_target less the mixture's log density
    efficiency: float  # effective share of the draws, (sum w)^2 / (N sum w^2)


def find_mode(density: LogDensity, start: np.ndarray) -> np.ndarray:
    """Return the mode, looked for within bounds around the start: an unbounded search can run off to infinity."""
    steps = STEP * np.eye(len(start))

    def value_and_slope(point: np.ndarray) -> tuple[float, np.ndarray]:
        values = -density(np.concatenate([point[None], point + steps, point - steps]))
        values = np.where(np.isfinite(values), values, 1e12)
        ahead, behind = values[1:].reshape(2, -1)
        return float(values[0]), (ahead - behind) / (2 * STEP)

    bounds = [(value - REACH[0], value + REACH[1]) for value in start]
    # A log density of 10^5 rows is large: its relative change says nothing of how near the mode is, its slope does.
    options = {"ftol": 1e-15, "gtol": 1e-3}
    found = optimize.minimize(value_and_slope, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x)


def curvature(density: LogDensity, mode: np.ndarray, step: float = 0.03) -> np.ndarray:
    """Return the negative Hessian at the mode by central differences, (d, d)."""
    size = len(mode)
    steps = step * np.eye(size)
    pairs = [(i, j) for i in range(size) for j in range(i, size)]
    corners = [mode + a * steps[i] + b * steps[j] for i, j in pairs for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
    values = density(np.array(corners)).reshape(-1, 4)
    hessian = np.empty((size, size))
    for (i, j), (ahead, right, left, behind) in zip(pairs, values, strict=True):
        hessian[i, j] = hessian[j, i] = (right + left - ahead - behind) / (4 * step**2)
    return hessian


def fit_proposal(
    density: LogDensity, start: np.ndarray, rng: np.random.Generator, *, draws: int, good: float
) -> tuple[Mixture, Proposals]:
    """Fit a mixture to a density.

    Parameters
    ----------
    density : callable
        Log density of N points (N, d), up to a constant.
    start : array of shape (d,)
        Where to look for the mode.
    rng : numpy.random.Generator
        Source of random numbers.
    draws : int
        Points of each round.
    good : float
        Efficiency of the importance weights at which to stop, between 0 and 1.

    Returns
    -------
    mixture : Mixture
        The best one found.
    proposals : Proposals
        Its draws.
    """
    mode = find_mode(density, start)
    mixture = _around(mode, curvature(density, mode))
    best = seen = propose(density, mixture, rng, draws)
    for turn in range(ROUNDS):
        if best.efficiency > good:
            break
        candidate = _refitted(seen, rng, min(2 + turn, MOST_COMPONENTS))
        tried = propose(density, candidate, rng, draws)
        seen = _joined(seen, tried)  # what one round's points missed another's may have found
        if tried.efficiency > best.efficiency:
            mixture, best = candidate, tried
    return mixture, best


def draw_proposals(
    density: LogDensity, start: np.ndarray, rng: np.random.Generator, *, draws: int, good: float, wanted: int
) -> tuple[Mixture, Proposals]:
    """Fit a mixture by rounds of `draws` points; return it with `wanted` draws from it.

    Where these turn out much less efficient than the last round promised, they found what it had missed: the mixture
    is fitted to them and drawn from again.
    """
    mixture, trial = fit_proposal(density, start, rng, draws=draws, good=good)
    proposals = propose(density, mixture, rng, wanted)
    if proposals.efficiency > OPTIMISM * trial.efficiency:
        return mixture, proposals
    refitted = _refitted(proposals, rng, MOST_COMPONENTS)
    again = propose(density, refitted, rng, wanted)
    return (mixture, proposals) if proposals.efficiency > again.efficiency else (refitted, again)


def draw_more(
    density: LogDensity, mixture: Mixture, proposals: Proposals, rng: np.random.Generator, count: int
) -> Proposals:
    """Return the proposals that came from a mixture with `count` more of the same."""
    joined = _joined(proposals, propose(density, mixture, rng, count))
    return replace(joined, efficiency=_efficiency(joined.log_weights))


def cover(points: np.ndarray, rng: np.random.Generator, components: int = 3) -> Mixture:
    """Fit a mixture to points (N, d) that were drawn from a density."""
    return _refitted(Proposals(points, np.zeros(len(points)), np.zeros(len(points)), 1.0), rng, components)


def combine(first: Mixture, second: Mixture) -> Mixture:
    """Return a mixture of two mixtures, half of each."""
    return Mixture(
        np.concatenate([first.weights, second.weights]) / 2,
        np.concatenate([first.means, second.means]),
        np.concatenate([first.factors, second.factors]),
    )


def propose(density: LogDensity, mixture: Mixture, rng: np.random.Generator, draws: int) -> Proposals:
    """Draw from a mixture and weigh the draws by a density."""
    counts = rng.multinomial(draws, mixture.weights)
    parts = [
        _draw_t(rng, mean, factor, count)
        for mean, factor, count in zip(mixture.means, mixture.factors, counts, strict=True)
    ]
    points = rng.permutation(np.concatenate(parts))
    log_target = density(points)
    log_weights = log_target - log_mixture(mixture, points)
    return Proposals(points, log_target, log_weights, _efficiency(log_weights))


def log_mixture(mixture: Mixture, points: np.ndarray) -> np.ndarray:
    """Return the log density (N,) of a mixture at points (N, d)."""
    parts = [
        np.log(weight) + _log_t(points, mean, factor)
        for weight, mean, factor in zip(mixture.weights, mixture.means, mixture.factors, strict=True)
    ]
    return np.asarray(special.logsumexp(parts, axis=0))


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


def _around(mode: np.ndarray, hessian: np.ndarray) -> Mixture:
    """Lay one t over a mode; directions that the density hardly bends get a bounded width."""
    values, vectors = np.linalg.eigh(hessian)
    scale = (vectors / np.maximum(values, 0.1)) @ vectors.T
    return Mixture(np.ones(1), mode[None], np.linalg.cholesky(scale)[None])


def _log_t(points: np.ndarray, mean: np.ndarray, factor: np.ndarray) -> np.ndarray:
    size = len(mean)
    distance = (np.linalg.solve(factor, (points - mean).T) ** 2).sum(axis=0)
    constant = special.gammaln((DEGREES + size) / 2) - special.gammaln(DEGREES / 2) - size / 2 * np.log(DEGREES * np.pi)
    return np.asarray(constant - np.log(np.diag(factor)).sum() - (DEGREES + size) / 2 * np.log1p(distance / DEGREES))


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


def _refitted(proposals: Proposals, rng: np.random.Generator, components: int, rounds: int = 25) -> Mixture:
    """Fit a mixture of t distributions to weighted points by expectation maximisation; a wide one stays beside it."""
    weights = np.exp(proposals.log_weights - proposals.log_weights.max())
    # Truncated weights (Ionides 2008): a single far point must not draw a whole component to itself.
    weights = np.minimum(weights, weights.mean() * np.sqrt(len(weights)))
    weights /= weights.sum()
    points, size = proposals.points, proposals.points.shape[1]
    spread = _weighted_covariance(points, weights)
    means = points[rng.choice(len(points), components, p=weights)]
    scales = np.repeat(spread[None], components, axis=0)
    shares = np.full(components, 1 / components)
    for _ in range(rounds):
        fitted = Mixture(shares, means, np.linalg.cholesky(scales))
        parts = np.stack(
            [np.log(s) + _log_t(points, m, f) for s, m, f in zip(shares, means, fitted.factors, strict=True)]
        )
        claims = np.exp(parts - special.logsumexp(parts, axis=0)) * weights
        shares = np.maximum(claims.sum(axis=1), 1e-3)
        shares /= shares.sum()
        for k in range(components):
            distance = (np.linalg.solve(fitted.factors[k], (points - means[k]).T) ** 2).sum(axis=0)
            pull = claims[k] * (DEGREES + size) / (DEGREES + distance)
            means[k] = pull @ points / pull.sum()
            apart = points - means[k]
            scales[k] = (pull[:, None] * apart).T @ apart / claims[k].sum() + 1e-3 * spread
    centre = weights @ points
    return Mixture(
        np.append(0.9 * shares, 0.1),
        np.vstack([means, centre]),
        np.linalg.cholesky(np.concatenate([scales, 4 * spread[None]])),
    )


def _weighted_covariance(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    apart = points - weights @ points
    return np.asarray((weights[:, None] * apart).T @ apart + 1e-8 * np.eye(points.shape[1]))
