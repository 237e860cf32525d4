"""Sizes of a model and a sampling plan go in; seconds and bytes of each engine come out.

Every figure is a constant with a name, fitted by eye to measured runs. Which engine serves which model, and the words,
are left to `forecast`.
"""

from dataclasses import dataclass

from speclet_formula.costing.sizes import Sizes

# Measured on two cores of an Intel server, 23 GB, Linux (benchmarks/results/two-cores.json: m7, hap1, sleepstudy,
# hap1_full, growth), in a process that has compiled before. "entry" and "operation" are of `Sizes`.
BASE_BYTES = 0.30e9  # Python with this package's imports
ROW_BYTES = 100  # for each row and term, while the equations are built
FACTOR_BYTES = 250  # for each entry of the factor, its pattern and its copies for two threads
DRAW_BYTES = 8

SECONDS_PER_ENTRY = 25e-9  # one evaluation of the density of the variances: hap1_full takes 20 ms
SECONDS_PER_OPERATION = 2.5e-9
SECONDS_PER_ROW = 1e-6  # for each row and term: build and order the equations, 0.9 s for hap1_full

EXACT_START = 0.4  # what a small model takes at the least: m7 0.55 s
EXACT_EVALUATIONS = 1500  # to find the mode and fit the proposals, besides one for each draw

POINT_START = 0.03
POINT_EVALUATIONS = 25  # for each variance parameter

NUTS_START = 10.0  # translation and compilation: m7 takes 13 s in all
NUTS_STEPS = 40  # gradients for each draw; seen: 13 (27 parameters) to about 180 (hap1, 740 parameters)
NUTS_SECONDS_PER_ROW = 6e-9  # one gradient, for each row and term
NUTS_SECONDS_PER_PARAMETER = 20e-9
NUTS_BASE_BYTES = 0.5e9  # PyMC, PyTensor and Bambi are loaded
NUTS_COPIES = 8  # of the draws: tuning, the sampler's own records, the tree; seen: 4 to 12
DENSE_COPIES = 1.1  # of one dense column for each level, while Bambi builds the model: 20,000 rows, 2,000 levels


@dataclass(frozen=True)
class Work:
    """How much is to be drawn.

    Attributes
    ----------
    draws, tune, chains, cores : int
        As in `fit`.
    """

    draws: int
    tune: int
    chains: int
    cores: int


def exact_cost(sizes: Sizes, work: Work) -> tuple[float, float]:
    """Return seconds and bytes of the exact engine: an evaluation for each draw, on all cores."""
    kept = work.draws * work.chains
    seconds = EXACT_START + _building(sizes) + (EXACT_EVALUATIONS + kept) * _evaluation(sizes) / work.cores
    return seconds, _point_bytes(sizes) + DRAW_BYTES * kept * sizes.parameters


def point_cost(sizes: Sizes, work: Work) -> tuple[float, float]:
    """Return seconds and bytes of REML and maximum likelihood, which draw nothing."""
    del work
    seconds = POINT_START + _building(sizes) + POINT_EVALUATIONS * sizes.variances * _evaluation(sizes)
    return seconds, _point_bytes(sizes)


def nuts_cost(sizes: Sizes, work: Work) -> tuple[float, float]:
    """Return seconds and bytes of nuts: compilation, then gradients, each over all rows; a chain on each core."""
    gradient = NUTS_SECONDS_PER_ROW * sizes.rows * sizes.terms + NUTS_SECONDS_PER_PARAMETER * sizes.parameters
    rounds = -(-work.chains // work.cores)
    seconds = NUTS_START + rounds * (work.draws + work.tune) * NUTS_STEPS * gradient
    draws = NUTS_COPIES * DRAW_BYTES * work.draws * work.chains * sizes.parameters
    return seconds, NUTS_BASE_BYTES + draws + DENSE_COPIES * dense_bytes(sizes)


def dense_bytes(sizes: Sizes) -> float:
    """Return the size of the dense columns that Bambi builds for the largest grouping factor."""
    return 8.0 * sizes.rows * sizes.widest


def _evaluation(sizes: Sizes) -> float:
    return SECONDS_PER_ENTRY * sizes.entries + SECONDS_PER_OPERATION * sizes.operations


def _building(sizes: Sizes) -> float:
    return SECONDS_PER_ROW * sizes.rows * sizes.terms


def _point_bytes(sizes: Sizes) -> float:
    return BASE_BYTES + ROW_BYTES * sizes.rows * sizes.terms + FACTOR_BYTES * sizes.entries
