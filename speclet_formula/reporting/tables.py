"""A result goes in; its tables come out as plain text, Markdown, HTML or LaTeX, with every name escaped.

What stands in the tables is said by `contents`; here they are only set. Pictures are left to `plots`.
"""

import textwrap
from collections.abc import Iterator
from html import escape
from typing import Any, Literal

from speclet_formula.errors import DataError, nearest
from speclet_formula.posterior.rendering import WIDTH
from speclet_formula.posterior.summary import Table
from speclet_formula.reporting.contents import tables_of

type TableFormat = Literal["text", "markdown", "html", "latex"]

# Also what a cell's first signs could begin: a list, a quotation, a heading; and a line break would end the row.
_MARKDOWN = str.maketrans({**{sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|~$&"}, "\n": " ", "\r": " "})
_LATEX = str.maketrans({
    **{sign: f"\\{sign}" for sign in "_%&#${}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "[": "{[}", "]": "{]}", "\n": " ", "\r": " ",
})  # fmt: skip


def render_table(result: Any, format: TableFormat = "text", *, part: str | None = None) -> str:  # noqa: A002 - pandas' and R's word
    r"""Set a result's tables for a terminal, a Markdown file, a web page or an article.

    Parameters
    ----------
    result : Fit, PointFit, Diagnostics, Comparison, LikelihoodRatios, Recovery or pandas.DataFrame
        Of a DataFrame, such as `fixef`, `varcorr` and `ranef` return, columns become headings, and the index the first
        column if it has a name or is not counted from 0.
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
        deviation, or to three decimals in a recovery.

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
    if format not in RENDERERS:
        near = nearest(str(format), RENDERERS)
        raise DataError(
            f"there is no format {format!r}.",
            f"The formats are {', '.join(RENDERERS)}.",
            f"Nearest: '{near}'." if near else "Choose one of these.",
        )
    tables = tables_of(result)
    if part is not None:
        tables = {part: _part(tables, part)}
    return "\n\n".join(RENDERERS[format](table) for table in tables.values())


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


def as_text(table: Table) -> str:
    """Set a table with its columns aligned."""
    rows = [tuple(" ".join(cell.split()) for cell in row) for row in (table.header, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place < table.labels else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*([f"{table.caption}:"] if table.caption else []), *lines, *textwrap.wrap(table.note, WIDTH)])


def as_markdown(table: Table) -> str:
    """Set a table in GitHub's Markdown, numbers on the right."""
    rule = "|".join(":---" if place < table.labels else "---:" for place in range(len(table.header)))
    lines = [_markdown_row(table.header), f"|{rule}|", *map(_markdown_row, table.rows)]
    above = [f"**{table.caption.translate(_MARKDOWN)}**", ""] if table.caption else []
    below = ["", table.note.translate(_MARKDOWN)] if table.note else []
    return "\n".join([*above, *lines, *below])


def as_latex(table: Table) -> str:
    """Set a table with the rules of booktabs."""
    columns = "l" * table.labels + "r" * (len(table.header) - table.labels)
    head, *rows = (" & ".join(cell.translate(_LATEX) for cell in row) + r" \\" for row in (table.header, *table.rows))
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    caption = [rf"\caption{{{table.caption.translate(_LATEX)}}}"] if table.caption else []
    note = [r"\par\smallskip", rf"{{\footnotesize {table.note.translate(_LATEX)}}}"] if table.note else []
    return "\n".join([r"\begin{table}", r"\centering", *caption, *lines, *note, r"\end{table}"])


def as_great_table(table: Table) -> str:
    """Set a table by great_tables, a fragment that can stand in any page."""
    import pandas as pd
    from great_tables import GT  # here, since it takes a second to import

    # Named by their places: two headings may be the same, and a name also becomes an id.
    names = [f"column_{place}" for place in range(len(table.header))]
    body = pd.DataFrame(list(table.rows), columns=names, dtype=object)
    made = GT(body).cols_label({name: cell or " " for name, cell in zip(names, table.header, strict=True)})
    made = made.cols_align("left", names[: table.labels]).cols_align("right", names[table.labels :])
    if table.caption:
        made = made.tab_header(table.caption)
    if table.note:
        made = made.tab_source_note(table.note)
    return str(made.as_raw_html(inline_css=False))


def as_plain_html(table: Table, *, ident: str = "") -> str:
    """Set a table for the report: caption, scoped headings, no style of its own.

    Parameters
    ----------
    table : Table
    ident : str
        The caption's id, by which a scrolling box can be named.

    Returns
    -------
    str
    """
    caption = f"<caption{f' id="{escape(ident, quote=True)}"' if ident else ''}>{escape(table.caption)}</caption>"
    head = "".join(
        f'<th scope="col"{' class="words"' if place < table.labels else ""}>{escape(cell)}</th>'
        if cell
        else "<td></td>"
        for place, cell in enumerate(table.header)
    )
    body = "\n".join(f"<tr>{''.join(_html_cells(row, table.labels))}</tr>" for row in table.rows)
    return f"<table>\n{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _html_cells(row: tuple[str, ...], labels: int) -> Iterator[str]:
    for place, cell in enumerate(row):
        if place == 0 and cell:
            yield f'<th scope="row">{escape(cell)}</th>'
        else:
            yield f"<td{' class="words"' if place < labels else ''}>{escape(cell)}</td>"


def _markdown_row(row: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.translate(_MARKDOWN) for cell in row)} |"


RENDERERS = {"text": as_text, "markdown": as_markdown, "html": as_great_table, "latex": as_latex}
