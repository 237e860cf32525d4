"""Several fits side by side, as a paper shows them: estimates, standard deviations, fit statistics, notes.

It is a Table, so that it prints as text, Markdown, HTML and LaTeX like all others; a file's suffix says as what.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from speclet_formula.common.engines import BY_NAME
from speclet_formula.common.files import replacing
from speclet_formula.common.table import FIGURE_SPACE, POINT_SPACE, Printed, Sheet, Table, formatted, number, p_value
from speclet_formula.comparison import loo as leave_one_out
from speclet_formula.design.merged import row_count
from speclet_formula.errors import DataError, SpecletError, listed
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.effects import family_parameters, fixef
from speclet_formula.posterior.tidy import tidy
from speclet_formula.posterior.variances import RESIDUAL, SCALE, varcorr
from speclet_formula.reporting.word import word_document

type Uncertainty = Literal["interval", "std_error"]

UNCERTAINTIES = ("interval", "std_error")
MOST_ROWS = 20_000  # of which leave-one-out takes seconds
PARTS = FIXED, VARYING, FIT = "Fixed effects", "Standard deviations and other parameters", "Fit"
RESIDUALS = (f"SD {RESIDUAL}", f"SD {SCALE}")
CORRELATION = "Cor."


@dataclass(frozen=True, eq=False, repr=False)
class ModelTable(Printed):
    """Fits side by side.

    Attributes
    ----------
    table : Table
        Its `text`, `markdown`, `html` and `latex` set it, and `render_table` as any other.
    frame : pandas.DataFrame
        The numbers: one row for each model and parameter or statistic, with `model`, `part`, `term`, `estimate`,
        `std_error`, `conf_low`, `conf_high` and `p_value`.
    notes : tuple of str
        What to keep in mind while reading.
    """

    table: Table
    frame: pd.DataFrame
    notes: tuple[str, ...]

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        return Sheet("", (), (self.table,), self.notes)


class _Entry(NamedTuple):
    """A number of a model."""

    part: str
    term: str
    estimate: float
    std_error: float = np.nan
    conf_low: float = np.nan
    conf_high: float = np.nan
    p_value: float = np.nan


def table(
    models: Mapping[str, Fit | PointFit] | Sequence[Fit | PointFit] | Fit | PointFit,
    path: str | Path | None = None,
    *,
    uncertainty: Uncertainty = "interval",
    below: bool = False,
    loo: bool | None = None,
    title: str = "",
    ci_prob: float | None = None,
    exponentiate: bool = False,
    p_values: bool = False,
) -> ModelTable:
    """Set several fits side by side: estimates, standard deviations, fit statistics.

    Parameters
    ----------
    models : mapping of str to Fit or PointFit
        By the names that stand above the columns; fits by different engines may stand together. Without names: a
        sequence of fits, which are numbered, or a single one.
    path : str or Path, optional
        A file to write the table to: ".txt", ".md", ".html", ".tex" (for the packages booktabs and textcomp), or
        ".docx" for Word.
    uncertainty : {"interval", "std_error"}
        What stands beside the estimates.
    below : bool
        Whether it stands below them instead, as in most papers: a narrower table, for many models.
    loo : bool, optional
        Whether fits with draws get their leave-one-out; by default those of up to 20,000 rows.
    title : str
        The caption.
    ci_prob : float, optional
        Mass of the intervals, as for `fixef`.
    exponentiate : bool
        Whether fixed effects and their intervals are exponentiated, as by `tidy`: odds ratios of a logit link, ratios
        of a log link; standard errors are multiplied by the estimate.
    p_values : bool
        Whether a last column, "p", has the p-values of `fixef`, which fits with draws have not; with `below` they stand
        behind the intervals.

    Returns
    -------
    ModelTable
        A column of estimates and one of their intervals for each fit; with `below` one column. Fixed effects of all, in
        the order in which they first appear; standard deviations and correlations (without standard errors but of fits
        with draws), parameters of the family; rows, levels, logLik, AIC and BIC of fits without draws, `elpd` with its
        standard error of fits with draws. What a model has not is left empty. Numbers have three significant digits of
        the smallest standard error in their row, and their points stand below each other.

    Raises
    ------
    DataError
        There is no fit, what is given is none, there is no such `uncertainty`, or the file cannot be written.
    EstimateError
        As `fixef`.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fits = {
    ...     "genes": sf.lmer("log_fc ~ (1 | gene)", data, method="ml"),
    ...     "lines": sf.lmer("log_fc ~ (1 | gene) + (1 | cell_line)", data, method="ml"),
    ... }
    >>> print(sf.table(fits).table.markdown().splitlines()[0])
    |  | genes |  | lines |  |
    """
    named = _named(models)
    if uncertainty not in UNCERTAINTIES:
        raise DataError(
            f"uncertainty={uncertainty!r} does not exist.",
            "Beside an estimate stands its interval or its standard error.",
            "Write uncertainty='interval' or uncertainty='std_error'.",
        )
    notes: list[str] = []
    entries = {name: list(_entries(name, fit, ci_prob, loo, notes, exponentiate)) for name, fit in named.items()}
    rows = _in_order((entry.part, entry.term) for one in entries.values() for entry in one)
    written = _written(rows, entries, uncertainty, below=below, p_values=p_values)
    parts = [part for part, _ in written]
    headings = tuple((parts.index(part), part) for part in dict.fromkeys(parts))
    columns = ("", "p") if p_values else ("",)
    header = ("", *(cell for name in named for cell in ((name,) if below else (name, *columns))))
    made = Table(title, header, tuple(row for _, row in written), headings=headings)
    frame = pd.DataFrame(
        [(name, *entry) for name, one in entries.items() for entry in one], columns=["model", *_Entry._fields]
    )
    result = ModelTable(
        made,
        frame,
        (*_about(named, uncertainty, ci_prob, exponentiate=exponentiate, p_values=p_values), *dict.fromkeys(notes)),
    )
    if path is not None:
        _write(result, Path(path))
    return result


def _in_order(rows: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the rows of the table: as they first appear, the residual's SD after those of groups."""
    return sorted(dict.fromkeys(rows), key=lambda row: (PARTS.index(row[0]), row[1] in RESIDUALS))


def _named(models: object) -> dict[str, Fit | PointFit]:
    """Return the fits by name; those without a name are numbered as in print."""
    if isinstance(models, Fit | PointFit):
        models = {"estimate": models}
    if isinstance(models, list | tuple):
        models = {f"({place})": fit for place, fit in enumerate(models, 1)}
    found = {str(name): fit for name, fit in models.items()} if isinstance(models, Mapping) else {}
    wrong = next((f"'{name}' is a {type(fit).__name__}" for name, fit in found.items()
                  if not isinstance(fit, Fit | PointFit)), "")  # fmt: skip
    if wrong or not found:
        raise DataError(
            f"{wrong or 'no fit was given'}.",
            "A table of models is of what sf.fit, sf.lmer or sf.glmer returned.",
            'Write table({"a": fit_a, "b": fit_b}); render_table sets the tables of other results.',
        )
    return found


def _entries(
    name: str, fit: Fit | PointFit, ci_prob: float | None, loo: bool | None, notes: list[str], exponentiate: bool
) -> Iterator[_Entry]:
    """Go through the numbers of a fit."""
    for row in tidy(fit, "fixed", ci_prob=ci_prob, exponentiate=exponentiate).itertuples():
        p = getattr(row, "p_value", np.nan)
        yield _Entry(FIXED, str(row.term), row.estimate, row.std_error, row.conf_low, row.conf_high, p)
    for row in varcorr(fit, ci_prob=ci_prob).itertuples():
        if isinstance(row.var2, str):
            label = f"{CORRELATION} {row.grp}: {row.var1}, {row.var2}"
        else:
            label = f"SD {row.grp}" + (f": {row.var1}" if isinstance(row.var1, str) else "")
        yield _Entry(VARYING, label, row.sdcor, np.nan, row.conf_low, row.conf_high)
    for row in family_parameters(fit, ci_prob=ci_prob).itertuples():
        yield _Entry(VARYING, str(row.term), row.estimate, row.std_error, row.conf_low, row.conf_high)
    yield _Entry(FIT, "Rows", row_count(fit.model.design))
    for block in {block.group: block for block in fit.model.design.factors}.values():
        yield _Entry(FIT, f"Levels of {block.group}", len(block.levels))
    if isinstance(fit, PointFit):
        yield _Entry(FIT, "Parameters", fit.df)
        yield from (
            _Entry(FIT, label, value)
            for label, value in (("logLik", fit.log_likelihood), ("AIC", fit.aic), ("BIC", fit.bic))
        )
        return
    yield from _left_out(name, fit, loo, notes)


def _left_out(name: str, fit: Fit, loo: bool | None, notes: list[str]) -> Iterator[_Entry]:
    """Return the leave-one-out of a fit with draws, or note why there is none."""
    if loo is False:
        return
    if loo is None and row_count(fit.model.design) > MOST_ROWS:
        notes.append(f"elpd is left out of fits of more than {MOST_ROWS:,} rows; write loo=True for it.")
        return
    try:
        found = leave_one_out(fit, progress=False)
    except SpecletError as error:
        notes.append(f"The elpd of '{name}' is not known: {error.problem}")
        return
    if found.caveat:
        notes.append(f"elpd of '{name}': {found.caveat}")
    yield _Entry(FIT, "elpd (leave-one-out)", float(found.elpd), float(found.se))


def _written(
    rows: Sequence[tuple[str, str]],
    entries: Mapping[str, Sequence[_Entry]],
    uncertainty: Uncertainty,
    *,
    below: bool,
    p_values: bool,
) -> list[tuple[str, tuple[str, ...]]]:
    """Return each row's part and its cells, the points of each column below each other."""
    known = {name: {(entry.part, entry.term): entry for entry in one} for name, one in entries.items()}
    cells: dict[str, list[tuple[str, str, str]]] = {name: [] for name in entries}
    for key in rows:
        style = _style([found for one in known.values() if (found := one.get(key)) is not None])
        for name, one in known.items():
            cells[name].append(_cells(one[key], style, uncertainty, p_values) if key in one else ("", "", ""))
    columns = [
        [*map(_aligned, ([row[place] for row in cells[name]] for place in (0, 1))), [row[2] for row in cells[name]]]
        for name in entries
    ]
    lines: list[tuple[str, tuple[str, ...]]] = []
    for place, (part, term) in enumerate(rows):
        of_each = [tuple(column[place] for column in of_model) for of_model in columns]
        if not below:
            shown = 3 if p_values else 2
            lines.append((part, (term, *(cell for model in of_each for cell in model[:shown]))))
            continue
        lines.append((part, (term, *(model[0] for model in of_each))))
        under = [f"{beside}, p {'' if p[:1] == '<' else '= '}{p}" if p else beside for _, beside, p in of_each]
        if any(under):
            lines.append((part, ("", *under)))
    return lines


def _style(entries: Sequence[_Entry]) -> Callable[[float], str]:
    """Return how the numbers of a row are written: all with the same decimals."""
    numbers = np.array([entry.estimate for entry in entries])
    if entries[0].part == FIT:
        whole = np.all(numbers == np.round(numbers))
        return lambda value: number(value, ",.0f" if whole else ",.1f")
    if entries[0].term.startswith(CORRELATION):
        return lambda value: number(value, ".2f")
    scale = [entry.std_error if np.isfinite(entry.std_error) else abs(entry.estimate) for entry in entries]
    return lambda value: formatted(pd.DataFrame([[value]]), scale)[0][0]


def _cells(
    entry: _Entry, style: Callable[[float], str], uncertainty: Uncertainty, p_values: bool
) -> tuple[str, str, str]:
    """Return an estimate, what stands beside it, and its p-value."""
    has_error, has_ends = np.isfinite(entry.std_error), np.isfinite(entry.conf_low)
    beside = ""
    if has_error and (uncertainty == "std_error" or entry.part == FIT):
        beside = f"({style(entry.std_error)})"
    elif has_ends and uncertainty == "interval":
        beside = f"[{style(entry.conf_low)}, {style(entry.conf_high)}]"
    return style(entry.estimate), beside, p_value(entry.p_value) if p_values and np.isfinite(entry.p_value) else ""


def _aligned(cells: Sequence[str]) -> list[str]:
    """Pad numbers on the right, so that their points stand below each other; intervals stay as they are."""
    tails = [len(cell.strip("()").partition(".")[2]) if cell and not cell.startswith("[") else 0 for cell in cells]
    most = max(tails, default=0)
    return [_padded(cell, tail, most) for cell, tail in zip(cells, tails, strict=True)]


def _padded(cell: str, tail: int, most: int) -> str:
    if not cell or cell.startswith("[") or "e" in cell or tail == most:
        return cell
    return cell + (POINT_SPACE if tail == 0 else "") + FIGURE_SPACE * (most - tail)


def _about(
    named: Mapping[str, Fit | PointFit],
    uncertainty: Uncertainty,
    ci_prob: float | None,
    *,
    exponentiate: bool,
    p_values: bool,
) -> Iterator[str]:
    """Say what the numbers are, and what speaks against them or against comparing them."""
    by_engine: dict[str, list[str]] = {}
    for name, fit in named.items():
        interval = fixef(fit, ci_prob=ci_prob).attrs["interval"]
        family = fit.model.family
        what = f"{BY_NAME[fit.method].title}, {family.name} ({family.link} link)"
        ends = f"; in brackets the {interval}" if uncertainty == "interval" and interval != "none" else ""
        by_engine.setdefault(what + ends, []).append(name)
    for what, names in by_engine.items():
        yield f"{listed(names)}: {what}."
    if uncertainty == "std_error":
        yield "In parentheses: standard errors, of fits with draws the posterior standard deviation."
    if exponentiate:
        yield "Fixed effects are exponentiated: of a log link they are ratios, of a logit link odds ratios."
    if p_values:
        yield "p is of a test of each coefficient against zero, not adjusted; fits with draws have none."
    for name, fit in named.items():
        judged = fit if isinstance(fit, PointFit) else fit.diagnostics
        if judged.verdict != "converged":
            yield f"{name}: {judged.verdict}. {judged.sentence}"
    yield from _not_comparable(named)


def _not_comparable(named: Mapping[str, Fit | PointFit]) -> Iterator[str]:
    """Say which statistics cannot be read across the columns."""
    fits = list(named.values())
    if len({(fit.model.design.response_name, row_count(fit.model.design)) for fit in fits}) > 1:
        yield "The models have different rows or responses: logLik, AIC, BIC and elpd cannot be compared across them."
    reml = [fit for fit in fits if fit.method == "reml"]
    if len({fit.model.design.mean.columns for fit in reml}) > 1:
        yield "REML likelihoods of different fixed effects cannot be compared; those by method='ml' can."
    if len({isinstance(fit, Fit) for fit in fits}) > 1:
        yield "Estimates of fits with draws are posterior means; these also have priors."


def _write(made: ModelTable, path: Path) -> None:
    """Write the table to a file as its suffix says."""
    with_note = replace(made.table, note=" ".join(made.notes))
    writers: dict[str, Callable[[], bytes]] = {
        ".txt": lambda: (repr(made) + "\n").encode(),
        ".md": lambda: (with_note.markdown() + "\n").encode(),
        ".html": lambda: (with_note.html(styled=True) + "\n").encode(),
        ".tex": lambda: (with_note.latex() + "\n").encode(),
        ".docx": lambda: word_document([with_note]),
    }
    if path.suffix.lower() not in writers:
        raise DataError(
            f"'{path.name}' ends in {path.suffix or 'no suffix'!r}, which is no format of a table.",
            f"The formats are {', '.join(writers)}.",
            f"For example path='{path.stem or 'models'}.docx'.",
        )
    content = writers[path.suffix.lower()]()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as stream:
            stream.write(content)
    except OSError as error:
        raise DataError(
            f"'{path}' cannot be written: {error.strerror or error}.",
            "A table is a file in a folder that can be written to.",
            "Choose another name.",
        ) from error
