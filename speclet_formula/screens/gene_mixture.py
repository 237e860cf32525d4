r"""Effects of genes as a mixture whose parts are estimated from the screen itself: most genes none, some a strong one.

Log fold changes of guides come in, with the SD of their noise; probabilities of each gene's effect on a grid go out.

.. math:: y_i = e_i\,\theta_{g(i)} + h_i + s_i\,\varepsilon_i, \quad \theta_g \sim \sum_k w_k N(m_k, \tau_k^2),
    \quad e_i \sim \sum_j v_j\,\delta_{j / n}, \quad h_i \sim \sum_l u_l\,\delta_{l / 2}

with :math:`\varepsilon` of a t distribution, and h what a guide does elsewhere than in its gene: most nothing. The
weights w of the effects (one part is a point at zero), v of the guides' efficacies and u of their off-target effects
are those of the greatest marginal likelihood, by the EM algorithm. That one guide of a gene is strong and the others
are not tells nothing for efficacies near zero that it does not tell for an off-target effect: how often two or three
are strong tells the two apart.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import gammaln

from speclet_formula.posterior.estimates import Array

EFFICACIES = np.linspace(0.0, 1.0, 9)
OFF_TARGETS = np.arange(-5.0, 5.25, 0.5)  # log2; the middle one is none
_NARROW = (0.1, 0.2, 0.4, 0.8)  # SDs of the parts around zero
_FAR, _APART = 0.5, 0.5  # SD of the parts elsewhere, and how far they are from each other
_OUTER = 1.0  # parts elsewhere are at this effect or further, log2
_LEAST = 1e-12
_FIRST_OFF = 0.05  # share of guides with an off-target effect that EM starts from
_MORE_OFF = 1e-6  # of the guides are taken to have each off-target effect beside those that have
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
    """The estimated distributions of genes' effects, of guides' efficacies and of their off-target effects."""

    grid: Array  # (effects,) log2; zero is one of them
    prior: Array  # (effects,) probabilities
    efficacies: Array  # (9,) probabilities of EFFICACIES
    off_targets: Array  # (21,) probabilities of OFF_TARGETS
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
    """The likelihood of effects for given weights of efficacies and off-target effects: densities by means, mixed."""

    def __init__(self, data: GuideData, grid: Array, df: float, scale: float) -> None:
        self.data, self.grid = data, grid
        step = max(0.01, min(0.1, 0.3 * scale * float(np.quantile(data.noise, 0.05))))
        means = step * np.arange(np.floor(grid[0] / step) - 1, np.ceil(grid[-1] / step) + 2)
        noise = scale * data.noise
        self.densities = _density((data.values[:, None] - means) / noise[:, None], df) / noise[:, None] + _LEAST
        place = (EFFICACIES[:, None] * grid - means[0]) / step  # (efficacies, effects)
        self.below = np.floor(place + 1e-9).astype(int)
        self.share = place - self.below
        self.shifts = np.rint(OFF_TARGETS / step).astype(int)
        self.gather = csr_matrix(
            (np.ones(len(data.values)), (data.genes, np.arange(len(data.values)))), (data.n_genes, len(data.values))
        )

    def on_target(self, efficacies: Array) -> Array:
        """Return the weights of the means of guides without an off-target effect, shape (means, effects)."""
        mixing, columns = np.zeros((self.densities.shape[1], len(self.grid))), np.arange(len(self.grid))
        for weight, below, share in zip(efficacies, self.below, self.share, strict=True):
            mixing[below, columns] += weight * (1 - share)
            mixing[below + 1, columns] += weight * share
        return mixing

    def of_guides(self, mixing: Array, off_targets: Array) -> Array:
        """Return the likelihoods, shape (guides, effects); mixing as `on_target` gives it."""
        pairs = zip(off_targets, self.shifts, strict=True)
        return np.asarray(self.densities @ sum(weight * _shifted(mixing, shift) for weight, shift in pairs))

    def counted(self, weights: Array, mixing: Array, mixture: "EffectMixture", effects: Array) -> tuple[Array, Array]:
        """Return how many guides have each efficacy, of those whose gene has an effect, and each off-target effect.

        `weights` are the probabilities of the effects of each guide's gene over the guide's likelihoods.
        """
        sums, columns = self.densities.T @ weights, np.arange(len(self.grid))  # (means, effects)
        off = [(_shifted(mixing, shift) * sums).sum() for shift in self.shifts]
        pairs = zip(mixture.off_targets, self.shifts, strict=True)
        back = sum(weight * _shifted(sums, -shift) for weight, shift in pairs)
        parts = zip(self.below, self.share, strict=True)
        shown = [
            (back[low, columns] * (1 - share) + back[low + 1, columns] * share)[effects].sum() for low, share in parts
        ]
        return mixture.efficacies * shown, mixture.off_targets * off


def _shifted(values: Array, by: int) -> Array:
    """Return the rows moved down by a number of places; those that leave the grid are far from all fold changes."""
    moved, kept = np.zeros_like(values), max(len(values) - abs(by), 0)
    moved[max(by, 0) : max(by, 0) + kept] = values[max(-by, 0) : max(-by, 0) + kept]
    return moved


def _posterior(log_likelihood: Array, prior: Array) -> tuple[Array, Array]:
    """Return logs of the probabilities of effects, shape (genes, effects), and each gene's log marginal likelihood."""
    joint = log_likelihood + np.log(np.maximum(prior, 1e-300))
    largest = joint.max(axis=1)
    marginal = largest + np.log(np.exp(joint - largest[:, None]).sum(axis=1))
    return joint - marginal[:, None], marginal


def fit_mixture(data: GuideData, *, df: float, scale: float = 1.0, grid: Array | None = None) -> EffectMixture:
    """Estimate the distributions of effects, efficacies and off-target effects by EM.

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
    likelihood, parts, total = _Likelihood(data, grid, df, scale), _parts(grid), -np.inf
    weights = np.where(np.arange(len(parts)) == 0, 0.8, 0.2 / (len(parts) - 1))
    none = OFF_TARGETS == 0
    mixture = EffectMixture(
        grid, weights @ parts, np.full(len(EFFICACIES), 1 / len(EFFICACIES)),
        np.where(none, 1 - _FIRST_OFF, _FIRST_OFF / (~none).sum()), df, scale, total,
    )  # fmt: skip
    for _ in range(_ROUNDS):
        mixing = likelihood.on_target(mixture.efficacies)
        of_guides = likelihood.of_guides(mixing, mixture.off_targets)
        logs, marginal = _posterior(likelihood.gather @ np.log(of_guides), mixture.prior)
        before, total = total, float(marginal.sum())
        mixture = replace(mixture, log_likelihood=total)
        if total - before < _TOLERANCE * data.n_genes:
            break
        chances = np.exp(logs)
        weights = weights * (parts @ (chances.mean(axis=0) / np.maximum(mixture.prior, 1e-300)))
        shown, off = likelihood.counted(chances[data.genes] / of_guides, mixing, mixture, grid != 0)
        shown, off = shown + 1.0, off + _MORE_OFF * len(data.values)  # some more of each kind: none becomes zero
        mixture = replace(mixture, prior=weights @ parts, efficacies=shown / shown.sum(), off_targets=off / off.sum())
    return mixture


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
        of_guides = likelihood.of_guides(likelihood.on_target(mixture.efficacies), mixture.off_targets)
        np.add.at(total, part.genes, np.log(of_guides))
    return total, _posterior(total, mixture.prior)[0]
