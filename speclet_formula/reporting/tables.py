"""Tables of results by the names of their parts, with headings that a reader knows: `render_table` sets them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import pandas as pd

from speclet_formula.common.table import Printed, Table, column_text, share
from speclet_formula.errors import DataError, nearest
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.diagnostics import Diagnostics
from speclet_formula.posterior.fit import summary_of
from speclet_formula.posterior.summary import Summary
from speclet_formula.recovery.recover import Recovery

type TableFormat = Literal["text", "markdown", "html", "latex"]

PARAMETERS = {
    "term": "Term", "group": "Group", "class": "Kind", "truth": "Truth", "realized": "Realized", "median": "Estimate",
    "lo": "Low 90 %", "hi": "High 90 %", "error": "Error", "z": "z", "contraction": "Contraction",
    "lme4": "lme4 (REML)", "ess_bulk": "ESS", "r_hat": "R-hat", "verdict": "Verdict",
}  # fmt: skip
GROUPS = {
    "group": "Group", "term": "Term", "n_levels": "Levels", "rows_per_level": "Rows a level", "coverage": "Coverage",
    "coverage_lo": "Chance low", "coverage_hi": "Chance high", "bias": "Bias", "rmse": "RMSE", "rmse_null": "RMSE of 0",
    "corr": "Correlation", "slope": "Slope", "reliability": "Reliability", "sign_claims": "Claims", "type_s": "Type S",
    "type_m": "Type M",
}  # fmt: skip
COUNTED = ("p_negative", "lfsr", "post_prob", "p_lowest", "p_rope")  # probabilities counted over draws
UNBOUNDED = (  # what stands below a table of a fit without draws
    "Standard deviations and correlations of a fit without draws have no conf_low and conf_high here; "
    'sf.confint(fit, method="profile") makes them of a gaussian fit.'
)
KINDS = {
    "b": "coefficient", "sd": "SD", "cor": "correlation", "length": "length-scale", "sigma": "residual SD",
    "family": "family", "mean": "mean",
}  # fmt: skip


def render_table(result: Any, format: TableFormat = "text", *, part: str | None = None) -> str:  # noqa: A002 - pandas' and R's word
    r"""Set a result's tables for a terminal, a Markdown file, a web page or an article.

    Parameters
    ----------
    result : Fit, PointFit, Diagnostics, Recovery, pandas.DataFrame, or what else prints tables
        Such as a Comparison, LikelihoodRatios, Means, a Study or a Predictive. Of a DataFrame, such as `fixef`,
        `varcorr` and `ranef` return, columns become headings, and the index the first column if it has a name or is
        not counted from 0.
    format : {"text", "markdown", "html", "latex"}
        HTML is made by great_tables, its styles inline. LaTeX needs the packages booktabs and textcomp.
    part : str, optional
        One table alone: of a fit "fixed", "variances", "family" or "diagnostics", of a recovery "parameters" or
        "groups"; those of a parameter's formula by their captions, "sigma (log link), fixed effects".
        All of them by default, one after the other.

    Returns
    -------
    str
        Numbers are rounded as in the print-outs: to three significant digits of the smallest standard error or
        deviation, or to three decimals or more elsewhere; those of a column share their decimals.

    Raises
    ------
    DataError
        The result has no tables, or no such part, or there is no such format.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"gene": ["TP53", "a|b"], "estimate": [-0.51234, 0.25]})
    >>> print(render_table(frame, "markdown"))
    | gene | estimate |
    |:---|---:|
    | TP53 | -0.512 |
    | a\|b | 0.250 |
    """
    formats: dict[str, Callable[[Table], str]] = {
        "text": Table.text, "markdown": Table.markdown, "html": lambda table: table.html(styled=True),
        "latex": Table.latex,
    }  # fmt: skip
    if format not in formats:
        near = nearest(str(format), formats)
        raise DataError(
            f"there is no format {format!r}.",
            f"The formats are {', '.join(formats)}.",
            f"Nearest: '{near}'." if near else "Choose one of these.",
        )
    tables = tables_of(result)
    if part is not None:
        tables = {part: _part(tables, part)}
    return "\n\n".join(map(formats[format], tables.values()))


def _part(tables: dict[str, Table], part: str) -> Table:
    """Return one of the tables by its name."""
    if part in tables:
        return tables[part]
    near = nearest(str(part), tables)
    raise DataError(
        f"there is no part {part!r}.",
        f"The parts are {', '.join(tables)}.",
        f"Nearest: '{near}'." if near else "Choose one of these, or leave part= out.",
    )


def tables_of(result: Any) -> dict[str, Table]:
    """Return a result's tables by the names of its parts.

    Returns
    -------
    dict of str to Table
        Those that have rows.

    Raises
    ------
    DataError
        There is no table of such a result.
    """
    for kind, make in _TABLES.items():
        if isinstance(result, kind):
            return make(result)
    raise DataError(
        f"there is no table of a {type(result).__name__}.",
        "Tables are made of a fit, its diagnostics, a DataFrame, and of all results that print tables: comparisons, "
        "recoveries, means, studies and others.",
        "Hand over one of these.",
    )


def diagnostics_table(diagnostics: Diagnostics) -> Table:
    """Tabulate what the draws say about themselves, the verdict below."""
    (table,) = diagnostics.sheet().tables
    return replace(table, note=f"{diagnostics.verdict}: {diagnostics.sentence}")


def frame_table(frame: pd.DataFrame, caption: str = "", note: str = "") -> Table:
    """Tabulate a frame: columns of text first name the row, the numbers of a column share their decimals.

    Where the frame's ``attrs`` say over how many draws probabilities were counted, none of S is "< 1/S"; and where they
    name the interval or say what tests are, the note does.
    """
    named = frame.index.name is not None or not isinstance(frame.index, pd.RangeIndex)
    shown = frame.reset_index(names=[str(frame.index.name or "")]) if named else frame
    draws = int(frame.attrs.get("draws", 0))
    of_all = frame.attrs.get("value")  # of a matrix of one value
    columns = [_frame_column(shown[name], str(of_all or name), draws) for name in shown.columns]
    texts = [not pd.api.types.is_numeric_dtype(shown[name].dtype) for name in shown.columns]
    labels = next((place for place, text in enumerate(texts) if not text), len(texts))
    header = tuple(map(str, shown.columns))
    interval = frame.attrs.get("interval", "none")
    if "conf_low" in header:
        bounded = "" if interval == "none" else f"conf_low and conf_high bound the {interval}."
        of_points = any(name in interval for name in ("none", "Wald", "t interval"))
        without = frame["conf_low"].isna().any() and of_points
        note = " ".join(filter(None, (note, bounded, UNBOUNDED if without else "")))
    tests = [frame.attrs.get(name, "") for name in ("tests", "adjustment")] if "p_value" in header else []
    note = " ".join(filter(None, (note, *tests)))
    return Table(caption, header, tuple(zip(*columns, strict=True)), labels, note)


def recovered_parameters(recovery: Recovery, *, wide: bool = True) -> Table:
    """Tabulate the first table of a recovery; without `wide` only what fits a page."""
    left_out = () if wide else ("error", "z", "contraction", "ess_bulk", "r_hat")
    shown = {name: heading for name, heading in PARAMETERS.items() if name not in left_out}
    frame = recovery.parameters.assign(
        **{"class": recovery.parameters["class"].map(lambda kind: KINDS.get(kind, kind))}
    )
    note = " ".join([*_unreliable(recovery), *recovery.foot])
    return _chosen(frame, shown, f"Parameters of {recovery.formula} beside the truth", 3, note)


def recovered_groups(recovery: Recovery, *, wide: bool = True) -> Table:
    """Tabulate the second table of a recovery; without `wide` only what fits a page."""
    left_out = () if wide else ("coverage_lo", "coverage_hi", "rmse_null", "sign_claims", "type_s", "type_m")
    shown = {name: heading for name, heading in GROUPS.items() if name not in left_out}
    return _chosen(recovery.groups, shown, f"Group effects of {recovery.formula} beside the truth", 2, "")


def _chosen(frame: pd.DataFrame, shown: Mapping[str, str], caption: str, labels: int, note: str) -> Table:
    """Tabulate the columns that are named and there."""
    there = {name: heading for name, heading in shown.items() if name in frame.columns}
    columns = [column_text(frame[name], name) for name in there]
    return Table(caption, tuple(there.values()), tuple(zip(*columns, strict=True)), labels, note)


def _unreliable(recovery: Recovery) -> Iterable[str]:
    if recovery.verdict == "failed":
        yield f"The fit failed: {recovery.diagnosis} None of these numbers can be relied on."


def _frame_column(values: pd.Series, name: str, draws: int) -> list[str]:
    """Return the cells of a frame's column; a probability that was counted over draws is never 0 or 1."""
    cells = column_text(values, name)
    if name not in COUNTED or not draws:
        return cells
    return [share(value, ".3f", draws) if value in (0, 1) else cell for value, cell in zip(values, cells, strict=True)]


def summary_tables(summary: Summary) -> dict[str, Table]:
    """Return the tables of a fit's summary that have rows, by the names of its parts."""
    tables = {"fixed": summary.fixed_effects, "variances": summary.group_effects}
    if summary.smooth_terms is not None:
        tables["smooths"] = summary.smooth_terms
    if summary.family_parameters is not None:
        tables["family"] = summary.family_parameters
    tables |= {table.caption: table for table in summary.parameters}
    return {name: _with_term(table) for name, table in tables.items() if table.rows}


def _with_term(table: Table) -> Table:
    """Give the first column its heading."""
    return replace(table, header=(table.header[0] or "Term", *table.header[1:]))


def _fit_tables(fit: Fit) -> dict[str, Table]:
    return summary_tables(summary_of(fit)) | {"diagnostics": diagnostics_table(fit.diagnostics)}


def _recovery_tables(recovery: Recovery) -> dict[str, Table]:
    tables = {"parameters": recovered_parameters(recovery), "groups": recovered_groups(recovery)}
    return {name: table for name, table in tables.items() if table.rows}


def _printed_tables(result: Printed) -> dict[str, Table]:
    """Return the tables of a print-out, below the last one the sentences that are to be read with them."""
    sheet = result.sheet()
    *first, last = (table for table in sheet.tables if table.rows)
    words = " ".join((*sheet.head, *sheet.foot)).replace("\n", " ")
    return {table.caption or "table": table for table in (*first, replace(last, note=words))}


_TABLES: Mapping[type, Callable[[Any], dict[str, Table]]] = {
    Fit: _fit_tables,
    PointFit: lambda fit: summary_tables(summary_of(fit)),
    Diagnostics: lambda found: {"diagnostics": diagnostics_table(found)},
    Recovery: _recovery_tables,
    Printed: _printed_tables,
    pd.DataFrame: lambda frame: {"table": frame_table(frame)},
}
