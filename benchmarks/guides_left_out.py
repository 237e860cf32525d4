"""Do guides differ by a sum or by a factor? Whole guides are left out and predicted from the others of their gene.

    python -m benchmarks.guides_left_out FOLDER_OF_SCREENS

The folder holds aml.csv and depmap.csv. With w the effect of a gene in a line (a gene's effect and its deviation in
the line, both Normal), the mean of guide i's replicates in a line is Normal(.., s2 / replicates) around

    additive                w + b,         b ~ Normal(0, sb2)     (1 | gene) + (1 | gene:cell_line) + (1 | sgRNA)
    factor                  x w,           x ~ Normal(1, sx2)     as JACKS
    factor and additive     x w + b
    efficacy                x w,           x one of 0, 1/8 .. 1 with estimated weights, as in `call_genes`
    efficacy and additive   x w + b

Every number is drawn by Gibbs sampling, written here with numpy alone. Each round leaves out one guide of every gene;
its log density given the others is that of its means in all lines together. Differences are summed over genes, with
the standard error of the sum. Writes benchmarks/results/guides_left_out.json.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

Array = np.ndarray
MODELS = {
    "additive": ("one", True),
    "factor": ("normal", False),
    "factor and additive": ("normal", True),
    "efficacy": ("part", False),
    "efficacy and additive": ("part", True),
}
PARTS = np.linspace(0, 1, 9)
SWEEPS, BURN, EVERY = 1200, 400, 16


@dataclass(frozen=True)
class Screen:
    """Means of guides in lines, less the median of the line's nonessential genes."""

    means: Array  # (guides, lines); missing where a guide was not seen
    replicates: Array  # the same shape
    genes: Array  # (guides,) int
    controls: Array  # (genes,) str


class Draw(NamedTuple):
    """One draw of what predicts a new guide."""

    effects: Array  # (genes, lines)
    factor_variance: float
    guide_variance: float
    noise_variance: float
    weights: Array  # of PARTS


def read(path: Path) -> Screen:
    """Read one screen, a row per guide and replicate."""
    table = pd.read_csv(path)
    centre = table[table["control"] == "nonessential"].groupby("cell_line")["log_fc"].median()
    table["log_fc"] -= table["cell_line"].map(centre)
    means = table.groupby(["gene", "sgRNA", "cell_line"])["log_fc"].agg(["mean", "size"]).unstack()
    codes, names = pd.factorize(means.index.get_level_values("gene"))
    controls = table.drop_duplicates("gene").set_index("gene")["control"].reindex(names).to_numpy()
    return Screen(means["mean"].to_numpy(), means["size"].fillna(0).to_numpy(), codes, controls)


def gibbs(screen: Screen, kept: Array, kind: str, additive: bool, seed: int) -> Iterator[Draw]:
    """Draw the numbers of a model given the kept guides."""
    rng = np.random.default_rng(seed)
    n, lines = screen.means.shape
    g, n_genes = screen.genes, len(screen.controls)
    seen = np.where(kept[:, None] & ~np.isnan(screen.means), screen.replicates, 0.0)
    y = np.where(seen > 0, screen.means, 0.0)
    gene, own = np.zeros(n_genes), np.zeros((n_genes, lines))
    x, b, mean, weights = np.ones(n), np.zeros(n), 0.0, np.full(len(PARTS), 1 / len(PARTS))
    gene_variance = own_variance = 0.5
    sx2, sb2, s2 = (0.1 if kind == "normal" else 0.0), (0.1 if additive else 0.0), 0.3

    def of_genes(values: Array) -> Array:
        sums = np.zeros((n_genes, lines))
        np.add.at(sums, g, values)
        return sums

    def variance(values: Array, count: int) -> float:
        return float(1 / rng.gamma(1 + count / 2, 1 / (0.02 + np.sum(values) / 2)))

    def normal(total: Array, precision: Array) -> Array:
        return total / precision + rng.normal(size=precision.shape) / np.sqrt(precision)

    for sweep in range(SWEEPS):
        p = seen / s2
        squared, left = of_genes(p * x[:, None] ** 2), y - b[:, None]
        less = of_genes(p * x[:, None] * (left - x[:, None] * own[g]))
        gene = normal(less.sum(1) + mean / gene_variance, squared.sum(1) + 1 / gene_variance)
        less = of_genes(p * x[:, None] * (left - x[:, None] * gene[g][:, None]))
        own = normal(less, squared + 1 / own_variance)
        effects = gene[:, None] + own
        w = effects[g]
        along, size = (p * w * left).sum(1), (p * w * w).sum(1)
        if kind == "normal":
            x = normal(along + 1 / sx2, size + 1 / sx2)
            sx2 = variance((x[kept] - 1) ** 2, kept.sum())
        elif kind == "part":
            logs = PARTS * along[:, None] - PARTS**2 * size[:, None] / 2 + np.log(np.maximum(weights, 1e-300))
            x = PARTS[(logs + rng.gumbel(size=logs.shape)).argmax(axis=1)]
            weights = rng.dirichlet(0.5 + (x[kept][:, None] == PARTS).sum(axis=0))
        if additive:
            b = normal((p * (y - x[:, None] * w)).sum(1), p.sum(1) + 1 / sb2)
            sb2 = variance(b[kept] ** 2, kept.sum())
        mean = float(rng.normal(gene.mean(), np.sqrt(gene_variance / n_genes)))
        gene_variance, own_variance = variance((gene - mean) ** 2, n_genes), variance(own**2, own.size)
        s2 = variance(seen * (y - x[:, None] * w - b[:, None]) ** 2, int((seen > 0).sum()))
        if sweep >= BURN and sweep % EVERY == 0:
            yield Draw(effects, sx2, sb2, s2, weights)


def log_density(y: Array, replicates: Array, w: Array, draw: Draw, kind: str) -> float:
    """Return the log density of a new guide's means in the lines where it was seen."""
    covariance = np.diag(draw.noise_variance / replicates) + draw.guide_variance
    covariance = covariance + draw.factor_variance * np.outer(w, w)
    root = np.linalg.cholesky(covariance)
    factors, weights = (PARTS, draw.weights) if kind == "part" else (np.ones(1), np.ones(1))
    z = np.linalg.solve(root, y[:, None] - w[:, None] * factors)
    of_factors = -(z * z).sum(axis=0) / 2 + np.log(np.maximum(weights, 1e-300))
    constant = np.log(np.diag(root)).sum() + len(y) / 2 * np.log(2 * np.pi)
    return float(np.logaddexp.reduce(of_factors) - constant)


def left_out(screen: Screen, kind: str, additive: bool) -> Array:
    """Return the log density of each guide given its gene's others; a gene's only guide has none."""
    place = pd.Series(screen.genes).groupby(screen.genes).cumcount().to_numpy()
    several = np.bincount(screen.genes)[screen.genes] > 1
    densities = np.full(len(place), np.nan)
    for fold in range(place.max() + 1):
        out = (place == fold) & several
        draws = list(gibbs(screen, ~out, kind, additive, fold))
        for i in np.flatnonzero(out):
            seen = screen.replicates[i] > 0
            y, replicates = screen.means[i, seen], screen.replicates[i, seen]
            each = [log_density(y, replicates, one.effects[screen.genes[i], seen], one, kind) for one in draws]
            densities[i] = np.logaddexp.reduce(each) - np.log(len(each))
    return densities


def measure(path: Path) -> dict[str, dict[str, float | int]]:
    """Return the sum of log densities of each model, and how much higher than the additive one's it is."""
    screen = read(path)
    found: dict[str, dict[str, float | int]] = {}
    for name, (kind, additive) in MODELS.items():
        densities = left_out(screen, kind, additive)
        if name == "additive":
            base = densities
        difference = pd.Series(densities - base).groupby(screen.genes).sum()
        found[name] = {
            "elpd": round(float(np.nansum(densities)), 1),
            "difference": round(float(difference.sum()), 1),
            "std_error": round(float(difference.std() * np.sqrt(len(difference))), 1),
            **{one: round(float(difference[screen.controls == one].sum()), 1) for one in sorted(set(screen.controls))},
        }
        print(path.stem, name, found[name], flush=True)
    return found


if __name__ == "__main__":
    screens = {name: measure(Path(sys.argv[1]) / f"{name}.csv") for name in ("aml", "depmap")}
    Path("benchmarks/results/guides_left_out.json").write_text(json.dumps(screens, indent=1) + "\n")
