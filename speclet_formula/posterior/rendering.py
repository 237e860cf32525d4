"""The parts of a print-out go in; text in lme4's layout, or HTML that needs no network, comes out.

Nothing is computed here, and all that comes from the data is escaped in HTML. The words are left to `layout`.
"""

import textwrap
from collections.abc import Iterator
from html import escape

from speclet_formula.posterior.summary import Layout, Table

WIDTH = 100  # characters at which sentences wrap; tables are as wide as they need to be


def render_text(layout: Layout) -> str:
    """Set a layout as plain text.

    Parameters
    ----------
    layout : Layout

    Returns
    -------
    str
        Lines without trailing blanks, numbers aligned on the right.
    """
    facts = [f"{label:>7}: {text}" for label, text in layout.facts]
    lines = [*_sentences(layout), layout.heading, *facts, ""]
    if layout.group_effects.rows:
        lines += _text_table(layout.group_effects, indent=" ")
    lines += [layout.counts, ""]
    lines += _text_table(layout.fixed_effects, indent="") if layout.fixed_effects.rows else ["Fixed effects: none"]
    if layout.family_parameters is not None:
        lines += ["", *_text_table(layout.family_parameters, indent="")]
    for table in layout.parameters:
        lines += ["", *_text_table(table, indent=" " if table.labels > 1 else "")]
    lines += ["", *textwrap.wrap(layout.foot, WIDTH)]
    return "\n".join(line.rstrip() for line in lines)


def _sentences(layout: Layout) -> Iterator[str]:
    """Wrap the verdict, and the remedy where there is one; what was found in the design has a line each."""
    for label, text in ((layout.verdict, layout.sentence), ("What to do", layout.remedy)):
        if text:
            yield from textwrap.wrap(f"{label}: {text}", WIDTH, subsequent_indent="  ")
    yield from (f"Note: {finding}" for finding in layout.findings)


def _text_table(table: Table, indent: str) -> Iterator[str]:
    """Align a table; a group's name is printed once."""
    rows = [table.header, *_without_repeats(table)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield f"{table.caption}:"
    for row in rows:
        cells = [
            cell.ljust(width) if place < table.labels or cell == "Corr" else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield indent + "  ".join(cells)
    if table.note:
        yield indent + table.note


def _without_repeats(table: Table) -> Iterator[tuple[str, ...]]:
    """Leave out the first name of a row where it is that of the row above."""
    above = None
    for row in table.rows:
        yield ("", *row[1:]) if table.labels > 1 and row[0] == above else row
        above = row[0]


def render_html(layout: Layout) -> str:
    """Set a layout as HTML: paragraphs, a list of facts and tables with captions and scoped headers.

    Parameters
    ----------
    layout : Layout

    Returns
    -------
    str
        One `<div>` without styles from elsewhere, scripts or images.
    """
    facts = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in layout.facts)
    shown = (layout.group_effects, layout.fixed_effects, layout.family_parameters, *layout.parameters)
    tables = [_html_table(table) for table in shown if table is not None and table.rows]
    remedy = f"<p><strong>What to do:</strong> {escape(layout.remedy)}</p>" if layout.remedy else ""
    parts = [
        '<div class="speclet-fit">',
        f"<p><strong>{escape(layout.verdict)}:</strong> {escape(layout.sentence)}</p>",
        remedy,
        f"<ul>{''.join(f'<li>{escape(finding)}</li>' for finding in layout.findings)}</ul>" if layout.findings else "",
        f"<p>{escape(layout.heading)}</p>",
        f"<dl>{facts}</dl>",
        *tables,
        f"<p>{escape(layout.counts)}</p>",
        f"<p><small>{escape(layout.foot)}</small></p>",
        "</div>",
    ]
    return "\n".join(part for part in parts if part)


def _html_table(table: Table) -> str:
    """Set one table; every row repeats its group's name, so that it can be read by itself."""
    body = "\n".join(f"<tr>{_html_cells(row, table.labels)}</tr>" for row in table.rows)
    note = f"\n<p>{escape(table.note)}</p>" if table.note else ""
    head = f"<thead><tr>{_html_header(table)}</tr></thead>"
    return f"<table>\n<caption>{escape(table.caption)}</caption>\n{head}\n<tbody>\n{body}\n</tbody>\n</table>{note}"


def _html_cells(row: tuple[str, ...], labels: int) -> str:
    """Set a row: its names as headers, its numbers as data."""
    names = "".join(f'<th scope="row">{escape(cell)}</th>' if cell else "<td></td>" for cell in row[:labels])
    return names + "".join(f"<td>{escape(cell)}</td>" for cell in row[labels:])


def _html_header(table: Table) -> str:
    """Set the header; an empty one widens the header on its left."""
    spans: list[tuple[str, int]] = []
    for place, cell in enumerate(table.header):
        if cell or place < table.labels:
            spans.append((cell or "Term", 1))
        else:
            spans[-1] = (spans[-1][0], spans[-1][1] + 1)
    return "".join(
        f'<th scope="colgroup" colspan="{span}">{escape(cell)}</th>'
        if span > 1
        else f'<th scope="col">{escape(cell)}</th>'
        for cell, span in spans
    )
