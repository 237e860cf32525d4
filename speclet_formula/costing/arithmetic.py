"""Sizes of a model and a sampling plan go in; seconds and bytes of each engine come out.

Every figure is a constant with a name, fitted by eye to measured runs. Which engine serves which model, and the words,
are left to `forecast`.
"""

from dataclasses import dataclass

from speclet_formula.costing.sizes import Sizes
from speclet_formula.inference.precision.systems import MOST_DENSE

# Measured on one core of an Intel server, Linux, in a process that has compiled before, on twelve designs: slopes of
# 18 to 5,000 levels, crossed factors of 40 to 1,000, nested ones, 300 dummies. "entry" and "operation" are of `Sizes`.
BASE_BYTES = 0.30e9  # Python with this package's imports
ROW_BYTES = 100  # for each row and term, while the equations are built
FACTOR_BYTES = 250  # for each entry of the factor, its pattern and its copies for two threads
DRAW_BYTES = 8

# One evaluation of the density of the variances: of whole matrices, ...
SECONDS_PER_MATRIX = 12e-6
SECONDS_PER_CUBE = 4.5e-11  # of the number of coefficients
# ... or of sparse ones; BLAS does most operations of those that have many.
SECONDS_PER_FACTOR = 50e-6
SECONDS_PER_ENTRY = 16e-9
SECONDS_PER_COEFFICIENT = 17e-9
SECONDS_PER_OPERATION = 5e-11
SECONDS_PER_ROW = 1e-6  # for each row and term: build and order the equations

EXACT_START = 0.15
EXACT_EVALUATIONS = 125  # to find the modes and fit the proposals, times the squared number of variance parameters
EXACT_PROPOSALS = 0.7  # more for each draw, with each variance parameter beyond ...
EXACT_FEW = 4  # ... these: their proposals cover the posterior less well
DRAWING = 1.2  # a draw of the coefficients, in evaluations
SECONDS_PER_DRAWN = 1.2e-8  # a number drawn and written
SECONDS_PER_JUDGED = 2.2e-7  # a number of which the diagnostics are computed, of 1,000 parameters of each term at most
MOST_JUDGED = 1000

POINT_START = 0.03
POINT_EVALUATIONS = 45  # for each variance parameter beside the residual's
POINT_EVALUATION = 1.6  # each next to one of the exact engine

NUTS_START = 10.0  # translation and compilation: m7 takes 13 s in all
NUTS_STEPS = 40  # gradients for each draw; seen: 13 (27 parameters) to about 180 (hap1, 740 parameters)
NUTS_SECONDS_PER_ROW = 6e-9  # one gradient, for each row and group term, ...
NUTS_SECONDS_PER_CELL = 6e-10  # ... and for each row and fixed column, which BLAS multiplies
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
    """Return seconds and bytes of the exact engine: evaluations and draws on all cores, the verdict on one."""
    kept = work.draws * work.chains
    proposals = kept * (1 + EXACT_PROPOSALS * max(sizes.variances - EXACT_FEW, 0))
    evaluations = EXACT_EVALUATIONS * sizes.variances**2 + proposals + DRAWING * kept
    judged = min(sizes.parameters, sizes.fixed + sizes.variances + MOST_JUDGED * (sizes.terms - sizes.fixed))
    after = kept * (SECONDS_PER_DRAWN * sizes.parameters + SECONDS_PER_JUDGED * judged)
    seconds = EXACT_START + _building(sizes) + evaluations * _evaluation(sizes) / work.cores + after
    return seconds, _point_bytes(sizes) + DRAW_BYTES * kept * sizes.parameters


def point_cost(sizes: Sizes, work: Work) -> tuple[float, float]:
    """Return seconds and bytes of REML and maximum likelihood, which draw nothing."""
    del work
    evaluations = POINT_EVALUATIONS * max(sizes.variances - 1, 1)
    seconds = POINT_START + _building(sizes) + evaluations * POINT_EVALUATION * _evaluation(sizes)
    return seconds, _point_bytes(sizes)


def nuts_cost(sizes: Sizes, work: Work) -> tuple[float, float]:
    """Return seconds and bytes of nuts: compilation, then gradients, each over all rows; a chain on each core."""
    gradient = NUTS_SECONDS_PER_ROW * sizes.rows * (1 + sizes.terms - sizes.fixed)
    gradient += NUTS_SECONDS_PER_CELL * sizes.rows * sizes.fixed + NUTS_SECONDS_PER_PARAMETER * sizes.parameters
    rounds = -(-work.chains // work.cores)
    seconds = NUTS_START + rounds * (work.draws + work.tune) * NUTS_STEPS * gradient
    draws = NUTS_COPIES * DRAW_BYTES * work.draws * work.chains * sizes.parameters
    return seconds, NUTS_BASE_BYTES + draws + DENSE_COPIES * dense_bytes(sizes)


def dense_bytes(sizes: Sizes) -> float:
    """Return the size of the dense columns that Bambi builds for the largest grouping factor."""
    return 8.0 * sizes.rows * sizes.widest


def _evaluation(sizes: Sizes) -> float:
    if sizes.coefficients <= MOST_DENSE:
        return SECONDS_PER_MATRIX + SECONDS_PER_CUBE * sizes.coefficients**3
    sparse = SECONDS_PER_ENTRY * sizes.entries + SECONDS_PER_OPERATION * sizes.operations
    return SECONDS_PER_FACTOR + SECONDS_PER_COEFFICIENT * sizes.coefficients + sparse


def _building(sizes: Sizes) -> float:
    return SECONDS_PER_ROW * sizes.rows * sizes.terms


def _point_bytes(sizes: Sizes) -> float:
    return BASE_BYTES + ROW_BYTES * sizes.rows * sizes.terms + FACTOR_BYTES * sizes.entries
