"""Screens drawn from the spreads of a plan: who of the genes whose effect is known is called in them.

Spreads of guides, lines and measurements come in, with a design; out go shares of hits that are called and of calls
that are false, over some screens. `plan` asks for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.inference.fit import fit as fit_model
from speclet_formula.model import Model
from speclet_formula.screens.calls import call_genes
from speclet_formula.screens.datasets import screen_design
from speclet_formula.screens.ranking import rank_genes

Calls = Literal["discovery", "sign", "call_genes"]
_BETA = 2.0  # the second parameter of the distribution of efficacies
SMOOTHED = 0.2  # share of the SD of residuals that is normal


@dataclass(frozen=True, eq=False)
class Noise:
    """What measurements differ by: SDs, and residuals if it is not as normal numbers do."""

    spreads: dict[str, float]
    residuals: np.ndarray | None = None  # quantiles of them, to which a normal number of SD `smooth` is added

    @property
    def smooth(self) -> float:
        """The SD of the normal part of the residuals."""
        return self.spreads["residual"] * (1.0 if self.residuals is None else SMOOTHED)


@dataclass(frozen=True, kw_only=True)
class Calling:
    """Which genes are hits, and which are called."""

    hits: float  # share of the genes
    rate: float
    how: Calls
    beyond: float  # of call_genes, log2
    genes: int  # of a screen

    @property
    def n_hits(self) -> int:
        """How many genes of a screen are hits."""
        return max(1, round(self.genes * self.hits))


@dataclass(frozen=True)
class Found:
    """What was called in screens of one design."""

    power: float  # share of the hits that are called, with the right sign
    power_se: float  # over the screens; NaN of one
    false_sign: float  # share of all calls that are hits of the other sign
    false_discovery: float  # share of all calls that are no hits, or whose effect is not beyond the limit
    calls: float  # share of all genes


def found_in_screens(point: Mapping[str, float], noise: Noise, calling: Calling, n: int, rng: Any) -> Found:
    """Draw screens of a design, call genes in each, and count.

    Parameters
    ----------
    point : mapping of str to float
        `guides`, `replicates`, `lines` and `effect`.
    noise : Noise
    calling : Calling
    n : int
        Screens, 1 or more.
    rng : numpy.random.Generator

    Returns
    -------
    Found
    """
    called_of = _called_by_call_genes if calling.how == "call_genes" else _called_by_ranks
    is_false = calling.how == "call_genes" and abs(point["effect"]) <= calling.beyond
    powers, calls, wrong, false = [], 0, 0, 0
    for _ in range(n):
        called = called_of(_drawn(point, noise, calling, rng), point, calling)
        hit = _is_hit(called, calling)
        right = np.sign(called["estimate"]) == np.sign(point["effect"])
        powers.append((hit & right).sum() / calling.n_hits)
        calls, wrong = calls + len(called), wrong + int((hit & ~right).sum())
        false += len(called) if is_false else int((~hit).sum())
    error = np.std(powers, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    shares = (wrong / max(1, calls), false / max(1, calls), calls / (n * calling.genes))
    return Found(float(np.mean(powers)), float(error), *shares)


def _is_hit(genes: pd.DataFrame, calling: Calling) -> pd.Series:
    """Tell which genes are hits, by their numbers: `_drawn` gives the first ones an effect."""
    return genes["gene"].str.removeprefix("gene_").astype(int) < calling.n_hits


def _called_by_ranks(table: pd.DataFrame, point: Mapping[str, float], calling: Calling) -> pd.DataFrame:
    """Return the first genes of a fit by REML that keep the rate: of genes without effect, or of s-values."""
    terms = ["(1 | gene)"]
    terms += ["(1 | gene:sgRNA)"] if point["replicates"] * point["lines"] > 1 else []
    terms += ["(1 | gene:cell_line)"] if point["lines"] > 1 else []
    ranked = rank_genes(fit_model(Model("log_fc ~ " + " + ".join(terms), table), method="reml", progress=False))
    hit = _is_hit(ranked, calling)
    share = (~hit).cumsum() / np.arange(1, len(ranked) + 1) if calling.how == "discovery" else ranked["s_value"]
    return ranked.head(int(np.flatnonzero(share <= calling.rate)[-1]) + 1 if (share <= calling.rate).any() else 0)


def _called_by_call_genes(table: pd.DataFrame, point: Mapping[str, float], calling: Calling) -> pd.DataFrame:
    """Return the genes that call_genes calls, on the side of the effect."""
    side: Literal["negative", "positive"] = "negative" if point["effect"] < 0 else "positive"
    genes = call_genes(table, direction=side, beyond=calling.beyond, rate=calling.rate).table
    return genes[genes["called"]]


def _drawn(point: Mapping[str, float], noise: Noise, calling: Calling, rng: Any) -> pd.DataFrame:
    """Draw the log fold changes of a screen whose first genes are hits."""
    spreads = noise.spreads
    sizes = {"guides_per_gene": "guides", "cell_lines": "lines", "replicates": "replicates"}
    table = screen_design(genes=calling.genes, **{name: int(point[own]) for name, own in sizes.items()})
    gene, guide, line = (pd.factorize(table[name])[0] for name in ("gene", "sgRNA", "cell_line"))
    n_guides, n_lines = int(guide.max()) + 1, int(line.max()) + 1
    effect = np.where(np.arange(calling.genes) < calling.n_hits, point["effect"], 0.0)
    own = _own_parts(spreads["spread"], n_guides, rng)
    values = own[guide] * effect[gene] + rng.normal(0, spreads["guide"], n_guides)[guide]
    if n_lines > 1:
        values = values + rng.normal(0, spreads["line"], (calling.genes, n_lines))[gene, line]
    values = values + rng.normal(0, spreads["guide_line"], (n_guides, n_lines))[guide, line]
    values = values + rng.normal(0, noise.smooth, len(table))
    values = values if noise.residuals is None else values + rng.choice(noise.residuals, len(table))
    return table.assign(log_fc=values - np.median(values[effect[gene] == 0]))  # as reads are normalised


def _own_parts(spread: float, n: int, rng: Any) -> np.ndarray:
    """Draw what guides show of their gene's effect over what they show on average, as `simulate_screen` does.

    Efficacies are Beta(a, 2): the square of their SD over their mean is 2 / (a (a + 3)).
    """
    if not spread:
        return np.ones(n)
    a = (np.sqrt(9 + 8 / spread**2) - 3) / 2
    return np.asarray(rng.beta(a, _BETA, n) * (a + _BETA) / a)
