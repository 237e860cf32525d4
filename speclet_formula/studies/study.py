"""Many data sets of one truth, each fitted and judged: how well a model, a design or a grid of designs recovers it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from speclet_formula.common.checkpoints import seed_of
from speclet_formula.common.table import Printed, Sheet, text_table
from speclet_formula.design.design import sd_name
from speclet_formula.errors import DataError, listed
from speclet_formula.formula.terms import Formula
from speclet_formula.inference.plans import at_least
from speclet_formula.studies.data_sets import STUDY, Task
from speclet_formula.studies.summaries import (
    COLUMNS,
    PRINTED,
    by_class,
    class_summaries,
    data_sets_frame,
    parameter_summaries,
    rows_frame,
    study_foot,
)
from speclet_formula.studies.tasks import make_tasks, outcomes_of

RANKED = 99  # draws that each true value is ranked among: of 1,000 every tenth, as good as independent
FEWEST, MOST = 2, 1_000_000  # data sets of a study


@dataclass(frozen=True, eq=False, repr=False)
class Study(Printed):
    r"""How well many data sets of one truth are recovered.

    Attributes
    ----------
    formula, fitted : str
        The model that made the data, and the one that was fitted.
    n_sims : int
        Data sets of each design.
    random_seed : int
        The seed of all; the same one gives the same study.
    designs : tuple of str
        Columns that tell the designs of a power analysis apart; they come first in every frame. Empty for one design.
    table : pandas.DataFrame
        One row per design and parameter. Blocks of group effects (class `effects`) have one row each, their numbers
        being means over the levels, truth and draws centred within the block. Each estimate is followed by its Monte
        Carlo standard error, `bias_se` and so on.

        * `parameter` (its name in a posterior), `term`, `group`, `class` (`b`, `sd`, `cor`, `sigma`, `family`,
          `effects`), `truth` (NaN where it differs between data sets or levels).
        * `n_sims`, `n_failed` (fits that ended in an error: in `data_sets` with their reason, and in no number here),
          `n_flagged` (fits whose diagnostics did not say "converged": they are counted in all numbers).
        * `bias`, `rmse`: mean and root mean square of posterior median - truth; of fits without draws of estimate -
          truth, and standard errors stand for posterior SDs. `mean_sd`: mean posterior SD;
          `emp_sd`: SD of the errors between data sets (of effects: their rmse); `sd_ratio`: mean_sd / emp_sd, 1 where
          posterior SDs tell the size of the errors.
        * `cover50`, `cover90`, `cover95`: share of equal-tailed intervals that hold the truth. `cover90_lo`,
          `cover90_hi`: the binomial 99 % range of such a share at a coverage of 0.9; intervals that share a data set
          count as fewer, by the observed spread between data sets. `width90`: mean width of the 90 % intervals.
        * `z_mean`, `z_sd`: of (median - truth) / sd, for SDs on the log scale; 0 and 1 for normal posteriors.
        * `contraction`: median of 1 - (sd / prior sd)^2, since a prior without a variance, such as a half-Cauchy, now
          and then draws a truth so large that the posterior is much wider than the prior is by its quartiles.
          `rank_p`: p-value of uniform ranks of the truth among the draws.
        * `power`: share of 95 % intervals that exclude 0; where the truth is 0 that is the rate of false claims. NaN
          for SDs, which cannot be 0. `type_s`: share of the claims with the wrong sign; `type_m`: how much they
          exaggerate, sum of \|median\| / sum of \|truth\| among them.
        * `lme4_bias`, `lme4_rmse`: the same of the REML estimate, where there is one.
        * `seconds`: mean wall time of a data set.
    classes : pandas.DataFrame
        One row per design and class: `class`, `n_parameters`, `n_intervals`, `cover50`, `cover90`, `cover95` with their
        SEs, and the band `cover90_lo`, `cover90_hi`.
    rows : pandas.DataFrame
        One row per data set and parameter, for pictures: `data_set`, `parameter`, `term`, `group`, `class`, `n_values`
        (1, or the levels of a block), `truth`, `realized`, `median`, `sd`, `lo`, `hi` (90 %), `error`, `squared`,
        `cover50`, `cover90`, `cover95` (0 or 1, or a share of levels), `width90`, `z`, `z_squared`, `pit`, `rank`,
        `contraction`, `claims` (95 % intervals without 0), `wrong` (of these, with the wrong sign), `claimed`,
        `claimed_truth` (sums of \|median\| and \|truth\| over the claims), `lme4`. NaN where a column has no meaning.
    data_sets : pandas.DataFrame
        One row per data set: `data_set`, `status` ("fitted" or "failed"), `reason` (of a failure), `verdict`,
        `diagnosis`, `ess_bulk_min`, `r_hat_max`, `seconds` (wall), `cpu_seconds`.
    foot : tuple of str
        What to keep in mind while reading.
    """

    formula: str
    fitted: str
    n_sims: int
    random_seed: int
    designs: tuple[str, ...]
    table: pd.DataFrame
    classes: pd.DataFrame
    rows: pd.DataFrame
    data_sets: pd.DataFrame
    foot: tuple[str, ...]

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        columns = [*self.designs, *(name for name in PRINTED if self.table[name].notna().any())]
        tables = (
            by_class(self.classes, self.designs),
            text_table(self.table[columns], "By parameter", labels=len(self.designs) + 3),
        )
        return Sheet(self._title(), (), tables, self.foot)

    def _title(self) -> str:
        fitted = "" if self.fitted == self.formula else f", fitted by {self.fitted}"
        of_each = " of each design" if self.designs else ""
        return f"Study of {self.formula}{fitted}: {self.n_sims:,} data sets{of_each}, seed {self.random_seed}"


def study(
    formula: str | Formula,
    data: Any,
    truth: Mapping[str, Any],
    *,
    nsim: int = 200,
    fitted_formula: str | Formula | None = None,
    use_u: bool = False,
    reml: bool = True,
    random_seed: int | None = None,
    cores: int | None = None,
    progress: bool = True,
    folder: str | Path | None = None,
    **settings: Any,
) -> Study:
    """Simulate many data sets of one truth, fit each, and sum up how well the truth is recovered.

    Parameters
    ----------
    formula : str or Formula
        The model that makes the data.
    data : table, or mapping of str to table
        Predictors and grouping factors, as in `simulate`. Several by name make a study of designs: how many guides,
        cell lines or replicates are enough. The frames then begin with the column `design`.
    truth : dict
        The truth, as in `simulate`.
    nsim : int
        Data sets of each design. Of 200 the coverage of 90 % intervals is known to 2 % (its standard error).
    fitted_formula : str or Formula, optional
        The model that is fitted, if it is another one. Its truth is what `recover` would take for it.
    use_u : bool
        Group effects in `truth` beside an SD of theirs: False draws new ones for each data set, True uses them in all.
        Effects without an SD are always kept.
    reml : bool
        Whether lme4's estimates are made beside the posteriors.
    random_seed : int, optional
        The same seed gives the same study, whatever the number of processes. Data set i has the same seed in any study
        of that seed, so that more data sets can be added later.
    cores : int, optional
        Processes; one for each core by default. Inside `joblib.parallel_config` those of its backend: a Dask or Ray
        cluster serves so.
    progress : bool
        Whether to show a line with the time left, where standard error is a terminal.
    folder : str or Path, optional
        Where the outcome of each data set is kept, one small JSON file each, as it comes in. The same call with the
        same folder goes on where an earlier one was stopped, and ends with the same frames.
    **settings
        `family`, `link`, `priors`, `functions`, `matrices` as in `Model`, `weights` as the name of a column that the
        designs have;
        `method`, `draws` (500 by default), `chains`, `tune`, `target_accept`, `sampler` as in `fit`. Default priors are
        scaled to each data set, as in a fit of its own. By `method="reml"`, "ml" or "laplace", which takes
        milliseconds, fixed effects have the intervals of t tests with Satterthwaite's degrees of freedom (of Laplace's
        approximation of z tests), `power` is theirs at 5 %, and all else has estimates alone.

    Returns
    -------
    Study

    Raises
    ------
    FormulaError, DataError, PriorError, SamplingError
        As `simulate`, `Model` and `fit`, before anything runs; if a folder belongs to another study; if every data set
        fails. Single failures are counted, and listed in `Study.data_sets`.

    See Also
    --------
    power : the same over a grid of designs and effect sizes.
    calibrate : truths drawn from the priors.

    References
    ----------
    Morris, White and Crowther (2019). Using simulation studies to evaluate statistical methods. Statistics in Medicine
    38, 2074-2102. doi:10.1002/sim.8086.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> found = sf.study(
    ...     "log_fc ~ (1|gene/sgRNA) + (1|cell_line)", data, truth, nsim=200, random_seed=1
    ... )  # doctest: +SKIP
    >>> found.classes[["class", "cover90", "cover90_lo", "cover90_hi"]]  # doctest: +SKIP
    """
    named = dict(data) if _is_named(data) else {"": data}
    labels = pd.DataFrame({"design": list(named)}) if _is_named(data) else pd.DataFrame(index=[0])
    directory = None if folder is None else Path(folder)
    tasks = make_tasks(
        formula,
        fitted_formula,
        list(named.values()),
        [_fixed_truth(truth, use_u)] * len(named),
        settings,
        entropy=seed_of(random_seed, directory, STUDY),
        ranked=RANKED,
        reml=reml,
    )
    return _study(tasks, labels, nsim, cores=cores, progress=progress, folder=directory)


def power(
    formula: str | Formula,
    data: Callable[..., Any],
    truth: Mapping[str, Any],
    grid: Mapping[str, Sequence[Any]],
    *,
    nsim: int = 100,
    random_seed: int | None = None,
    cores: int | None = None,
    progress: bool = True,
    folder: str | Path | None = None,
    **settings: Any,
) -> Study:
    """Study each design and effect size of a grid: how much data it takes to find an effect.

    Parameters
    ----------
    formula : str or Formula
        The model that makes the data and is fitted.
    data : callable
        Makes a table of predictors and factors: `datasets.screen_design`, or a function of your own. Its arguments are
        the entries of `grid` that are not parameters.
    truth : dict
        The truth, as in `simulate`.
    grid : mapping of str to sequence
        Values to try, all combinations of them: of a parameter (`"drug": [0, 0.2, 0.5]`), or of an argument of `data`
        (`"guides_per_gene": [2, 4, 8]`).
    nsim, random_seed, cores, progress, folder, **settings
        As in `study`; `reml`, `fitted_formula` and `use_u` too.

    Returns
    -------
    Study
        Its frames begin with one column for each entry of the grid. `table["power"]` is the share of 95 % intervals
        that exclude 0, `width90` what the design's precision comes to. With `method="reml"`, simr's way, a grid takes
        seconds.

    Raises
    ------
    FormulaError, DataError, PriorError, SamplingError
        As `study`; if the grid is empty, or an entry has the name of a column of the tables.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> truth = {"Intercept": -0.3, "1|gene_sigma": 0.5, "1|cell_line_sigma": 0.3, "sigma": 1}
    >>> found = sf.power(
    ...     "log_fc ~ (1|gene) + (1|cell_line)", sf.datasets.screen_design, truth,
    ...     {"cell_lines": [5, 20], "Intercept": [0, -0.3]},
    ... )  # doctest: +SKIP
    >>> found.table.query("parameter == 'Intercept'")[["cell_lines", "Intercept", "power"]]  # doctest: +SKIP
    """
    points = _points(grid)
    fitted_formula, use_u = settings.pop("fitted_formula", None), settings.pop("use_u", False)
    reml = settings.pop("reml", True)
    directory = None if folder is None else Path(folder)
    tasks = make_tasks(
        formula,
        fitted_formula,
        [_made(data, {name: value for name, value in point.items() if name not in truth}) for point in points],
        [_fixed_truth({**truth, **{name: point[name] for name in point if name in truth}}, use_u) for point in points],
        settings,
        entropy=seed_of(random_seed, directory, STUDY),
        ranked=RANKED,
        reml=reml,
    )
    labels = pd.DataFrame([{name: _label(value) for name, value in point.items()} for point in points])
    return _study(tasks, labels, nsim, cores=cores, progress=progress, folder=directory)


def _study(
    tasks: tuple[Task, ...],
    labels: pd.DataFrame,
    nsim: int,
    *,
    cores: int | None,
    progress: bool,
    folder: Path | None,
) -> Study:
    """Run the tasks and sum up."""
    at_least("nsim", nsim, FEWEST, MOST)
    outcomes = outcomes_of(tasks, nsim, cores=_cores(cores), progress=progress, folder=folder)
    keys = tuple(map(str, labels.columns))
    rows, data_sets = rows_frame(outcomes, labels), data_sets_frame(outcomes, labels)
    table = parameter_summaries(rows, data_sets, keys, RANKED)
    classes = class_summaries(rows, data_sets, keys)
    return Study(
        formula=tasks[0].formula,
        fitted=tasks[0].fitted,
        n_sims=nsim,
        random_seed=tasks[0].entropy,
        designs=keys,
        table=table,
        classes=classes,
        rows=rows,
        data_sets=data_sets,
        foot=study_foot(table, classes, data_sets, outcomes),
    )


def _cores(cores: int | None) -> int | None:
    return None if cores is None else at_least("cores", cores, 1)


def _is_named(design: Any) -> bool:
    """Tell several designs by name from a table that is a dict of columns."""
    values = list(design.values()) if isinstance(design, Mapping) else []
    return bool(values) and all(hasattr(value, "columns") for value in values)


def _fixed_truth(truth: Mapping[str, Any], use_u: bool) -> dict[str, Any]:
    """Return the truth, without the effects that each data set draws anew."""
    if not isinstance(use_u, bool):
        raise DataError(f"use_u={use_u!r} is no choice.", "use_u is True or False.", "Leave it out to draw them anew.")
    drawn = {name for name in truth if not use_u and sd_name(name) in truth}
    return {name: value for name, value in truth.items() if name not in drawn}


def _points(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return all combinations of the grid's values."""
    empty = next((name for name, values in grid.items() if isinstance(values, str) or not len(list(values))), None)
    if empty is not None or not grid:
        raise DataError(
            "grid is empty." if not grid else f"grid['{empty}'] is {grid[empty]!r}.",  # type: ignore[index]
            "grid has a list of values for each parameter or argument that varies.",
            'For example grid={"cell_lines": [5, 10, 20]}.',
        )
    taken = next((name for name in grid if name in COLUMNS), None)
    if taken is not None:
        raise DataError(
            f"grid has an entry '{taken}', which is a column of the study's own tables.",
            f"The tables begin with a column for each entry, and have these beside them: {', '.join(COLUMNS)}.",
            f"Give it another name: data=lambda my_{taken}: layout({taken}=my_{taken}).",
        )
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def _made(data: object, arguments: Mapping[str, Any]) -> Any:
    """Return the table of a point of the grid."""
    if not callable(data):
        raise DataError(
            f"data= is of type '{type(data).__name__}', which makes no tables.",
            "It is a function: the grid's entries that are no parameters are its arguments.",
            "Write data=lambda: table for one table at all points, or sf.study(formula, table, truth).",
        )
    try:
        signature(data).bind(**arguments)
    except TypeError as error:
        raise DataError(
            f"data= cannot be called with {', '.join(f'{name}=' for name in arguments) or 'no argument'}: {error}.",
            "An entry of the grid is a parameter, as the truth names it, or an argument of data=.",
            "Mend the entry's name, or give data= such an argument.",
        ) from None
    except ValueError:  # what is compiled may show no signature
        pass
    return data(**arguments)


def _label(value: Any) -> Any:
    """Return a grid's value as a cell: a sequence as text."""
    return value if isinstance(value, str | int | float) else listed(value, 4)
