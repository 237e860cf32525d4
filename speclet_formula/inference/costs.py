"""What a fit would cost: a model's parameters, and for each engine whether it serves, how long it takes, what memory.

Every figure is a constant with a name, fitted by eye to measured runs. Nothing is fitted.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from speclet_formula.common.arguments import answers_r
from speclet_formula.common.engines import ENGINES, Engine, engine_for
from speclet_formula.common.table import Printed, Sheet, text_table, wrapped
from speclet_formula.design import Design, GroupBlock
from speclet_formula.design.multi_membership import level_pairs
from speclet_formula.inference.algebra.equations import MOST_DENSE, arrow_work, build_system, rotated_block, shared_work
from speclet_formula.inference.exact.density import why_not_exact, why_not_plain
from speclet_formula.inference.plans import LARGEST_DENSE, evaluations, memory_in_words, time_in_words
from speclet_formula.model import Model
from speclet_formula.priors import Prior

PRECISION = (
    "Times hold on a server's cores within a factor of about two, of hmc three and of nuts five; the first fit in a "
    "process takes some seconds more."
)
LOOSE = "The grouping factors are large and sparsely crossed: here exact and reml are within a factor of ten."

FEW_JOINED = 1.0  # levels of its own factor that a level is joined with: a chain, which stays one
MOST_ANALYSED = 1e7  # entries of a factor up to which it is analysed rather than guessed
LOOP = 20  # operations of BLAS in the time of one of a compiled loop
SHARE_JOINED = 0.5  # of all others: from here on nearly all pairs fill up

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
SECONDS_PER_ENTRY = 9e-9
SECONDS_PER_COEFFICIENT = 30e-9
SECONDS_PER_OPERATION = 2.5e-11
# ... or by classes of levels that repeat few patterns; of each draw all coefficients are solved for.
SECONDS_PER_CLASSES = 1.2e-4
SECONDS_PER_SOLVED = 8e-9
SECONDS_PER_ROW = 5e-7  # for each row and term: build and order the equations
EXACT_START = 0.15
DRAWING = 1.2  # a draw of the coefficients, in evaluations
SECONDS_PER_DRAWN = 1.2e-8  # a number drawn and written
SECONDS_PER_JUDGED = 1.4e-7  # a number of which the diagnostics are computed, of 1,000 parameters of each term at most
MOST_JUDGED = 1000
POINT_START = 0.03
POINT_EVALUATIONS = 45  # for each variance parameter beside the residual's
POINT_EVALUATION = 1.6  # each next to one of the exact engine
# Hamiltonian Monte Carlo: a pass over the rows for their densities, and an evaluation of the Gaussian. Counted on cbpp,
# grouseticks and the two HAP1 screens.
HMC_START = 0.15
HMC_SECONDS_PER_ROW = 25e-9  # a density with its derivatives
HMC_SECONDS_PER_TERM = 4e-9  # a row's term, added up and handed back
HMC_SECONDS_PER_PRODUCT = 3e-9  # two terms of a row, in P
HMC_EVALUATIONS = 1500  # before the first draw
HMC_ROUNDS = 1.3  # for each draw, tuning included
HMC_MOVES, HMC_KICKS = 3, 4  # evaluations and kicks in each round
HMC_NODES = 5
NUTS_START = 10.0  # translation and compilation: m7 takes 13 s in all
NUTS_STEPS = 40  # gradients for each draw; seen: 13 (27 parameters) to about 180 (hap1, 740 parameters)
NUTS_SECONDS_PER_ROW = 6e-9  # one gradient, for each row and group term, ...
NUTS_SECONDS_PER_CELL = 6e-10  # ... and for each row and fixed column, which BLAS multiplies
NUTS_SECONDS_PER_PARAMETER = 20e-9
NUTS_BASE_BYTES = 0.5e9  # PyMC, PyTensor and Bambi are loaded
NUTS_COPIES = 8  # of the draws: tuning, the sampler's own records, the tree; seen: 4 to 12
DENSE_COPIES = 1.1  # of one dense column for each level, while Bambi builds the model: 20,000 rows, 2,000 levels


@dataclass(frozen=True)
class Sizes:
    """How large a model is.

    Attributes
    ----------
    rows : int
    fixed : int
        Fixed coefficients.
    group_effects : int
        Levels times columns, over all group terms.
    variances : int
        SDs, correlations, means of group effects that are estimated, and the family's own parameters.
    terms : int
        Terms that each row adds up: fixed columns and columns of group terms.
    widest : int
        Levels of the largest grouping factor.
    entries, operations : float
        Of the factor of the posterior precision: its numbers, and the multiplications that make it. One of a compiled
        loop counts as 20, since BLAS does so many in that time.
    loose : bool
        Whether these two are guesses within a factor of ten, as for very large factors that are sparsely crossed; for
        all others they are counts.
    shared : int or None
        Numbers that the exact engine goes through where the levels repeat few patterns of counts; None where not.
    """

    rows: int
    fixed: int
    group_effects: int
    variances: int
    terms: int
    widest: int
    entries: float
    operations: float
    loose: bool
    shared: int | None = None

    @property
    def coefficients(self) -> int:
        """Fixed coefficients and group effects."""
        return self.fixed + self.group_effects

    @property
    def parameters(self) -> int:
        """All that has a posterior."""
        return self.coefficients + self.variances


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
    each, drawing = _evaluation(sizes), DRAWING * _evaluation(sizes)
    if sizes.shared is not None:
        each = SECONDS_PER_CLASSES + SECONDS_PER_ENTRY * sizes.shared
        drawing = each + SECONDS_PER_SOLVED * sizes.coefficients
    work_each = sizes.entries if sizes.shared is None else sizes.shared
    counted = sum(evaluations(0 if sizes.coefficients <= MOST_DENSE else work_each, sizes.variances, kept))
    judged = min(sizes.parameters, sizes.fixed + sizes.variances + MOST_JUDGED * (sizes.terms - sizes.fixed))
    after = kept * (SECONDS_PER_DRAWN * sizes.parameters + SECONDS_PER_JUDGED * judged)
    working = counted * each + kept * drawing
    seconds = EXACT_START + _building(sizes) + working / work.cores + after
    return seconds, _point_bytes(sizes) + DRAW_BYTES * kept * sizes.parameters


def point_cost(sizes: Sizes, work: Work) -> tuple[float, float]:
    """Return seconds and bytes of REML and maximum likelihood, which draw nothing."""
    del work
    evaluations = POINT_EVALUATIONS * max(sizes.variances - 1, 1)
    seconds = POINT_START + _building(sizes) + evaluations * POINT_EVALUATION * _evaluation(sizes)
    return seconds, _point_bytes(sizes)


def hmc_cost(sizes: Sizes, work: Work) -> tuple[float, float]:
    """Return seconds and bytes of Hamiltonian Monte Carlo around a Gaussian: all grows with the rows."""
    one_pass = sizes.rows * (HMC_SECONDS_PER_ROW + HMC_SECONDS_PER_TERM * sizes.terms)
    solving = SECONDS_PER_ENTRY * sizes.entries + SECONDS_PER_COEFFICIENT * sizes.coefficients
    products = sizes.rows * sizes.terms * (sizes.terms + 1) / 2
    factoring = SECONDS_PER_ENTRY * sizes.entries + LOOP * SECONDS_PER_OPERATION * sizes.operations
    evaluation = HMC_NODES * one_pass + HMC_SECONDS_PER_PRODUCT * products + factoring + solving
    kept = work.draws * work.chains
    rounds = HMC_ROUNDS * kept * (HMC_MOVES * evaluation + HMC_KICKS * (one_pass + solving))
    judged = min(sizes.parameters, sizes.fixed + sizes.variances + MOST_JUDGED * (sizes.terms - sizes.fixed))
    seconds = HMC_START + _building(sizes) + (HMC_EVALUATIONS * evaluation + rounds) / work.cores
    seconds += kept * SECONDS_PER_JUDGED * judged
    room = 2 * work.chains * 24 * sizes.entries + 16 * products
    return seconds, _point_bytes(sizes) + room + 2 * DRAW_BYTES * kept * sizes.parameters


def nuts_cost(sizes: Sizes, work: Work) -> tuple[float, float]:
    """Return seconds and bytes of nuts: compilation, then gradients, each over all rows; a chain on each core."""
    gradient = NUTS_SECONDS_PER_ROW * sizes.rows * (1 + sizes.terms - sizes.fixed)
    gradient += NUTS_SECONDS_PER_CELL * sizes.rows * sizes.fixed + NUTS_SECONDS_PER_PARAMETER * sizes.parameters
    rounds = -(-work.chains // work.cores)
    seconds = NUTS_START + rounds * (work.draws + work.tune) * NUTS_STEPS * gradient
    draws = NUTS_COPIES * DRAW_BYTES * work.draws * work.chains * sizes.parameters
    return seconds, NUTS_BASE_BYTES + draws + DENSE_COPIES * dense_bytes(sizes)


def why_not_nuts(model: Model) -> str:
    """Say what keeps a model from nuts; "" if it serves."""
    if model.design.merged is not None:
        return "rows of the table are merged, and Bambi needs each by itself"
    if still := model.design.constant:
        return f"'{still}' is constant, which Bambi refuses"
    needed = dense_bytes(sizes_of(model))
    if needed > LARGEST_DENSE:
        return (
            f"Bambi would build {needed / 2**30:,.0f} GiB of dense columns, more than {LARGEST_DENSE / 2**30:.0f} GiB"
        )
    return ""


@dataclass(frozen=True, repr=False, eq=False)
class Costs(Printed):
    """What a fit would cost; prints itself.

    Attributes
    ----------
    sizes : Sizes
        Rows, fixed coefficients, group effects, variance parameters.
    auto : str
        The engine that `method="auto"` takes.
    table : pandas.DataFrame
        One row for each engine; the columns are defined in `costs`.
    notes : tuple of str
        How far the figures can be trusted.
    """

    sizes: Sizes
    auto: str
    table: pd.DataFrame
    notes: tuple[str, ...]

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        shown = text_table(self.table[["method", "time", "memory", "why_not"]], labels=4)
        return Sheet(count_parameters(self.sizes), (), (shown,), self.notes)

    def __repr__(self) -> str:  # shorter than the table: a reason is told once for all engines that it keeps away
        return "\n".join([wrapped(count_parameters(self.sizes)), *_rows(self), *map(wrapped, self.notes)])


@answers_r()
def costs(model: Model, *, draws: int = 1000, tune: int = 1000, chains: int = 4, cores: int | None = None) -> Costs:
    """Estimate, before anything runs, how long each engine takes and how much memory it needs.

    Parameters
    ----------
    model : Model
    draws, tune, chains : int
        As in `fit`.
    cores : int, optional
        Processor cores to use; all of them by default, at most one for each chain.

    Returns
    -------
    Costs
        With `sizes`, `auto`, `notes` and `table`, one row for each engine:

        * `method`: as in `fit`;
        * `serves`: whether it can fit the model;
        * `time`, `memory`: in words;
        * `seconds`, `peak_bytes`: the same as numbers, of a process that has fitted before; missing where it does not
          serve;
        * `fits`: whether the memory is less than this machine has (true where that is not known);
        * `why_not`: what keeps it from the model; empty where it serves.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> sf.costs(sf.Model("log_fc ~ (1 | gene) + (1 | cell_line)", data)).auto
    'exact'
    """
    sizes = sizes_of(model)
    work = Work(draws, tune, chains, cores or min(chains, os.cpu_count() or 1))
    table = pd.DataFrame([_row(engine, model, sizes, work) for engine in ENGINES if engine.cost_at])
    return Costs(sizes, engine_for(model, "auto").name, table, (PRECISION, *([LOOSE] if sizes.loose else [])))


def _row(engine: Engine, model: Model, sizes: Sizes, work: Work) -> dict[str, object]:
    reason = engine.why_not(model)
    seconds, peak = (float("nan"), float("nan")) if reason else engine.cost(sizes, work)
    fits = not peak > _memory()
    return {
        "method": engine.name,
        "serves": not reason,
        "time": "" if reason else time_in_words(seconds),
        "memory": "" if reason else memory_in_words(peak) + ("" if fits else ", does not fit into memory"),
        "seconds": seconds,
        "peak_bytes": peak,
        "fits": fits,
        "why_not": reason,
    }


def _memory() -> float:
    """Return the bytes of memory that this machine has, or infinity where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


def count_parameters(sizes: Sizes) -> str:
    """Return the numbers of parameters as a sentence."""
    fixed = f"{sizes.fixed:,} fixed coefficient{'' if sizes.fixed == 1 else 's'}"
    return (
        f"{sizes.parameters:,} parameters: {fixed}, {sizes.group_effects:,} group effects, {sizes.variances:,} SDs, "
        "correlations and the like."
    )


def _rows(costs: Costs) -> Iterator[str]:
    """Align the engines that serve, and say why the others do not."""
    serving = costs.table[costs.table["serves"]]
    width = max((len(time) for time in serving["time"]), default=0)
    for row in serving.itertuples():
        chosen = '   <- method="auto"' if row.method == costs.auto else ""
        yield f"  {row.method:<6} {row.time:<{width}}  {row.memory}{chosen}"
    for reason, rows in costs.table[~costs.table["serves"]].groupby("why_not", sort=False):
        yield wrapped(f"Not {' or '.join(rows['method'])}: {reason}.")


def sizes_of(model: Model) -> Sizes:
    """Count what a fit's time and memory depend on, in a time linear in the rows."""
    design = model.design
    blocks = design.blocks
    fixed = sum(predictor.X.shape[1] for predictor in design.predictors)
    entries, operations, loose = _factor(design.mean.groups, design.mean.X.shape[1])
    related = any(block.relation is not None for block in design.mean.groups)
    shared = None if related or why_not_exact(model) else shared_work(design)
    if (related or (loose and entries < MOST_ANALYSED)) and not why_not_plain(model):
        entries, operations, rotated = _analysed(design)
        loose, shared = False, rotated if related else shared
    return Sizes(
        rows=len(design.response),
        fixed=fixed,
        group_effects=sum(len(block.levels) * len(block.columns) for block in blocks),
        variances=sum(_variances(model, blocks)),
        terms=fixed + sum(len(block.columns) for block in blocks),
        widest=max((len(block.levels) for block in blocks), default=0),
        entries=entries,
        operations=operations,
        loose=loose,
        shared=shared,
    )


def _analysed(design: Design) -> tuple[float, float, int | None]:
    """Count the factor's entries and operations from its own pattern, which takes as long as some evaluations.

    The third is what goes through a factor in coordinates of related levels, where these are taken.
    """
    system = build_system(design, means=(), algebra="sparse")
    matrix = system.equations.matrix  # type: ignore[attr-defined]
    pattern, block = matrix.pattern, rotated_block(system.layout, matrix)
    rotated = None if block is None else arrow_work(system.layout, block)
    low, thin = np.diff(pattern.ends).astype(float), np.diff(pattern.thin_starts).astype(float)
    corner = float(pattern.size - pattern.lead)
    entries = pattern.lead + low.sum() + thin.sum() + pattern.n_wide * corner + corner**2 / 2
    in_loops = (low * (low + thin)).sum()
    return entries, float(LOOP * in_loops + pattern.n_wide * corner**2 + corner**3 / 3), rotated


def _variances(model: Model, blocks: Sequence[GroupBlock]) -> Iterator[int]:
    constant = len(model.family.parameters) - len(model.design.varying)
    yield constant + max(len(model.design.thresholds) - 1, 0)  # which are one parameter of the family
    for block in blocks:
        yield block.parameters
    yield sum(slot.kind == "group" and isinstance(slot.prior.parameters.get("mu"), Prior) for slot in model.slots)


def _factor(blocks: tuple[GroupBlock, ...], n_fixed: int) -> tuple[float, float, bool]:
    """Return entries of the Cholesky factor, multiplications for it, and whether they are guesses.

    Blocks are eliminated from the largest on. To eliminate a level is to join all that it meets: d levels of each later
    block on average. Levels of one block that are joined with few of their own kind may end joined with those alone, or
    with all: then the answer is the geometric mean of the two.
    """
    ordered = sorted(blocks, key=lambda block: -len(block.levels))
    levels = [len(block.levels) for block in ordered]
    met = {(a, b): _pairs(ordered[a], ordered[b]) for a, b in combinations(range(len(ordered)), 2)}
    least = most = np.array([n_fixed * (n_fixed + 1) / 2, n_fixed**3 / 3])
    loose = False
    for a, (block, q) in enumerate(zip(ordered, levels, strict=True)):
        k = len(block.columns)
        degrees = {b: met[a, b] / q for b in range(a + 1, len(levels))}
        later = sum(degree * len(ordered[b].columns) for b, degree in degrees.items()) + n_fixed
        for b, c in combinations(degrees, 2):
            met[b, c] = min(levels[b] * levels[c], met[b, c] + q * degrees[b] * degrees[c])
        joined = min(sum((met[b, a] / q) * (met[b, a] / levels[b] - 1) for b in range(a)), q - 1.0)
        sparsely = FEW_JOINED < joined < SHARE_JOINED * (q - 1)
        loose |= sparsely
        least = least + _columns(q * k, (k + 1) / 2 + k * joined / 2 + later)
        most = most + _columns(q * k, (k + 1) / 2 + k * (q - 1 if sparsely else joined) / 2 + later)
    entries, operations = np.sqrt(least * most).tolist()
    return entries, operations, loose


def _columns(count: int, height: float) -> np.ndarray:
    """Return entries and multiplications of so many columns of a factor, each so high."""
    return np.array([count * height, count * height**2])


def _pairs(one: GroupBlock, other: GroupBlock) -> float:
    return float(len(level_pairs(one, other)))


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
