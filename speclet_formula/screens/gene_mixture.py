r"""Effects of genes as a mixture whose parts are estimated from the screen itself: most genes none, some a strong one.

Log fold changes of guides come in, with the SD of their noise; probabilities of each gene's effect on a grid go out.

.. math:: y_i = e_i\,\theta_{g(i)} + s_i\,\varepsilon_i, \quad \theta_g \sim \sum_k w_k N(m_k, \tau_k^2), \quad
    e_i \sim \sum_j v_j\,\delta_{j / n}

with :math:`\varepsilon` of a t distribution. The weights w of the effects (one part is a point at zero) and v of the
guides' efficacies are those of the greatest marginal likelihood, by the EM algorithm.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import gammaln

from speclet_formula.posterior.estimates import Array

EFFICACIES = np.linspace(0.0, 1.0, 9)
_NARROW = (0.1, 0.2, 0.4, 0.8)  # SDs of the parts around zero
_FAR, _APART = 0.5, 0.5  # SD of the parts elsewhere, and how far they are from each other
_OUTER = 1.0  # parts elsewhere are at this effect or further, log2
_LEAST = 1e-12
_ROUNDS, _TOLERANCE = 200, 3e-5  # of EM: the gain in log-likelihood per gene at which it stops
_BLOCK = 4000  # guides whose densities are in memory at a time


@dataclass(frozen=True, eq=False)
class GuideData:
    """What the mixture is fitted to."""

    values: Array  # (guides,) log2 fold changes
    noise: Array  # (guides,) SDs
    genes: np.ndarray  # (guides,) int, the place of each guide's gene
    n_genes: int

    def of_genes(self, chosen: np.ndarray) -> "GuideData":
        """Return the guides of some genes."""
        place = np.full(self.n_genes, -1)
        place[chosen] = np.arange(len(chosen))
        rows = place[self.genes] >= 0
        return GuideData(self.values[rows], self.noise[rows], place[self.genes[rows]], len(chosen))


@dataclass(frozen=True, eq=False)
class EffectMixture:
    """The estimated distributions of genes' effects and of guides' efficacies."""

    grid: Array  # (effects,) log2; zero is one of them
    prior: Array  # (effects,) probabilities
    efficacies: Array  # (9,) probabilities of EFFICACIES
    df: float  # of the noise
    scale: float  # the noise SDs are multiplied by it
    log_likelihood: float


def effect_grid(values: Array) -> Array:
    """Return the effects between which genes are told apart: steps of 0.1 over the range of the fold changes."""
    low, high = np.floor(values.min()) - 0.5, np.ceil(values.max()) + 0.5
    return np.asarray(np.round(np.arange(min(low, -1.5), max(high, 1.5) + 0.05, 0.1), 6))


def _parts(grid: Array) -> Array:
    """Return the parts of the prior of effects, each a distribution on the grid; the first one is a point at zero."""
    centres = np.arange(np.ceil(grid[0]), np.floor(grid[-1]) + 0.1, _APART)
    normal = [(0.0, sd) for sd in _NARROW] + [(float(m), _FAR) for m in centres if abs(m) >= _OUTER]
    parts = [(grid == 0).astype(float)] + [np.exp(-0.5 * ((grid - m) / sd) ** 2) for m, sd in normal]
    return np.asarray([part / part.sum() for part in parts])


def _density(z: Array, df: float) -> Array:
    constant = np.exp(gammaln((df + 1) / 2) - gammaln(df / 2)) / np.sqrt(df * np.pi)
    return np.asarray(constant * np.exp(-(df + 1) / 2 * np.log1p(z * z / df)))


class _Likelihood:
    """The likelihood of effects for given weights of the efficacies: densities on a grid of means, mixed."""

    def __init__(self, data: GuideData, grid: Array, df: float, scale: float) -> None:
        self.data, self.grid = data, grid
        step = max(0.01, min(0.1, 0.3 * scale * float(np.quantile(data.noise, 0.05))))
        means = step * np.arange(np.floor(grid[0] / step) - 1, np.ceil(grid[-1] / step) + 2)
        noise = scale * data.noise
        self.densities = _density((data.values[:, None] - means) / noise[:, None], df) / noise[:, None] + _LEAST
        place = (EFFICACIES[:, None] * grid - means[0]) / step  # (efficacies, effects)
        self.below = np.floor(place + 1e-9).astype(int)
        self.share = place - self.below
        self.gather = csr_matrix(
            (np.ones(len(data.values)), (data.genes, np.arange(len(data.values)))), (data.n_genes, len(data.values))
        )

    def of_guides(self, efficacies: Array) -> Array:
        """Return the likelihoods, shape (guides, effects)."""
        mixing, columns = np.zeros((self.densities.shape[1], len(self.grid))), np.arange(len(self.grid))
        for weight, below, share in zip(efficacies, self.below, self.share, strict=True):
            mixing[below, columns] += weight * (1 - share)
            mixing[below + 1, columns] += weight * share
        return np.asarray(self.densities @ mixing)

    def of_efficacies(self, weights: Array) -> Array:
        """Return the sums of weights x density over guides and effects for each efficacy; weights as of_guides."""
        sums, columns = self.densities.T @ weights, np.arange(len(self.grid))
        pairs = zip(self.below, self.share, strict=True)
        return np.asarray(
            [(sums[low, columns] * (1 - share) + sums[low + 1, columns] * share).sum() for low, share in pairs]
        )


def _posterior(log_likelihood: Array, prior: Array) -> tuple[Array, Array]:
    """Return logs of the probabilities of effects, shape (genes, effects), and each gene's log marginal likelihood."""
    joint = log_likelihood + np.log(np.maximum(prior, 1e-300))
    largest = joint.max(axis=1)
    marginal = largest + np.log(np.exp(joint - largest[:, None]).sum(axis=1))
    return joint - marginal[:, None], marginal


def fit_mixture(data: GuideData, *, df: float, scale: float = 1.0, grid: Array | None = None) -> EffectMixture:
    """Estimate the distributions of effects and efficacies by EM.

    Parameters
    ----------
    data : GuideData
    df : float
        Degrees of freedom of the noise.
    scale : float
        Factor of the noise SDs.
    grid : ndarray of float, optional
        As `effect_grid` gives it.

    Returns
    -------
    EffectMixture
    """
    grid = effect_grid(data.values) if grid is None else grid
    likelihood, parts = _Likelihood(data, grid, df, scale), _parts(grid)
    weights = np.full(len(parts), 0.2 / (len(parts) - 1))
    weights[0] = 0.8
    efficacies, nonzero, before = np.full(len(EFFICACIES), 1 / len(EFFICACIES)), grid != 0, -np.inf
    total = before
    for _ in range(_ROUNDS):
        of_guides = likelihood.of_guides(efficacies)
        prior = weights @ parts
        logs, marginal = _posterior(likelihood.gather @ np.log(of_guides), prior)
        total = float(marginal.sum())
        if total - before < _TOLERANCE * data.n_genes:
            break
        before, chances = total, np.exp(logs)
        weights = weights * (parts @ (chances.mean(axis=0) / np.maximum(prior, 1e-300)))
        shares = np.where(nonzero, chances[data.genes], 0.0) / of_guides
        counted = efficacies * likelihood.of_efficacies(shares) + 1.0  # one guide of each kind more: none becomes zero
        efficacies = counted / counted.sum()
    return EffectMixture(grid, weights @ parts, efficacies, df, scale, total)


def log_effects(data: GuideData, mixture: EffectMixture) -> tuple[Array, Array]:
    """Return logs of each gene's likelihood of the effects, and of their probabilities.

    Parameters
    ----------
    data : GuideData
    mixture : EffectMixture

    Returns
    -------
    log_likelihood, log_probability : ndarray of float, shape (genes, effects)
    """
    total = np.zeros((data.n_genes, len(mixture.grid)))
    for start in range(0, len(data.values), _BLOCK):
        rows = slice(start, start + _BLOCK)
        part = GuideData(data.values[rows], data.noise[rows], data.genes[rows], data.n_genes)
        likelihood = _Likelihood(part, mixture.grid, mixture.df, mixture.scale)
        np.add.at(total, part.genes, np.log(likelihood.of_guides(mixture.efficacies)))
    return total, _posterior(total, mixture.prior)[0]
