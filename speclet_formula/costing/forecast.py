"""A Model goes in; a table of the engines comes out: which serve it, how long each takes and how much memory it needs.

The numbers are those of `arithmetic`. Nothing is fitted.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape

import pandas as pd

from speclet_formula.common.keywords import answers_r
from speclet_formula.costing.arithmetic import Work, dense_bytes, exact_cost, nuts_cost, point_cost
from speclet_formula.costing.sizes import Sizes, sizes_of
from speclet_formula.inference.exact.marginal import why_not_exact
from speclet_formula.inference.plans import LARGEST_DENSE, one_digit, time_in_words
from speclet_formula.inference.reml.fitting import why_not_reml
from speclet_formula.model import Model

PRECISION = (
    "Times hold on a server's cores within a factor of about two, of nuts five; the first fit in a process takes "
)
PRECISION += "some seconds more."
LOOSE = "The grouping factors are large and sparsely crossed: here exact and reml are within a factor of ten."


@dataclass(frozen=True)
class Engine:
    """An engine and what it costs."""

    method: str
    why_not: Callable[[Model], str | None]  # what keeps it from a model
    cost: Callable[[Sizes, Work], tuple[float, float]]  # seconds and bytes


def _why_not_nuts(model: Model) -> str | None:
    needed = dense_bytes(sizes_of(model))
    if needed > LARGEST_DENSE:
        return (
            f"Bambi would build {needed / 2**30:,.0f} GiB of dense columns, more than {LARGEST_DENSE / 2**30:.0f} GiB"
        )
    return None


# A new engine adds its row here, its seconds and bytes to `arithmetic`.
ENGINES = (
    Engine("exact", why_not_exact, exact_cost),
    Engine("nuts", _why_not_nuts, nuts_cost),
    Engine("reml", why_not_reml, point_cost),
    Engine("ml", why_not_reml, point_cost),
)


@dataclass(frozen=True, repr=False, eq=False)
class Costs:
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

    def __repr__(self) -> str:
        return "\n".join([count_parameters(self.sizes), *_rows(self), *self.notes])

    def _repr_html_(self) -> str:
        shown = self.table[["method", "time", "memory", "why_not"]].to_html(index=False, escape=True, border=0)
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<p>{escape(count_parameters(self.sizes))}</p>\n{shown}\n{notes}"


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
    table = pd.DataFrame([_row(engine, model, sizes, work) for engine in ENGINES])
    auto = "nuts" if why_not_exact(model) else "exact"
    return Costs(sizes, auto, table, (PRECISION, *([LOOSE] if sizes.loose else [])))


def _row(engine: Engine, model: Model, sizes: Sizes, work: Work) -> dict[str, object]:
    reason = engine.why_not(model)
    seconds, peak = (float("nan"), float("nan")) if reason else engine.cost(sizes, work)
    fits = not peak > _memory()
    return {
        "method": engine.method,
        "serves": reason is None,
        "time": "" if reason else time_in_words(seconds),
        "memory": "" if reason else memory_in_words(peak) + ("" if fits else ", does not fit into memory"),
        "seconds": seconds,
        "peak_bytes": peak,
        "fits": fits,
        "why_not": reason or "",
    }


def _memory() -> float:
    """Return the bytes of memory that this machine has, or infinity where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


def memory_in_words(size: float) -> str:
    """Return bytes as gigabytes, with one digit.

    Parameters
    ----------
    size : float

    Returns
    -------
    str
        "0.3 GB", "20 GB", ...
    """
    gigabytes = size / 1e9
    return f"{gigabytes:.1f} GB" if gigabytes < 1 else f"{one_digit(gigabytes):,} GB"


def count_parameters(sizes: Sizes) -> str:
    """Return the numbers of parameters as a sentence.

    Parameters
    ----------
    sizes : Sizes

    Returns
    -------
    str
    """
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
        yield f"Not {' or '.join(rows['method'])}: {reason}."
