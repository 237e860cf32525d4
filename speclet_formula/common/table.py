"""Tables of text as a terminal, Markdown, a web page or LaTeX shows them, print-outs made of them, and numbers as text.

Every result prints itself by these writers, and all that comes from data is escaped. What stands in a table is said
where the result is made.
"""

import math
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from html import escape
from itertools import groupby, pairwise
from shutil import get_terminal_size
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.habits import Answering

WIDTH = 100  # characters at which sentences wrap, fewer in a narrower terminal, into whose lines tables are fitted too
NARROWEST = 40  # characters of a terminal that are counted on
SIGNIFICANT = 3  # digits of the smallest standard error or deviation
MOST_DECIMALS = 6
SMALL, LARGE = 1e-3, 1e5  # numbers outside need more decimals, or an exponent
MANY_DIGITS = 10  # where all numbers of a column have as many, one decimal is enough
DIGITS = 4  # of a value that something is computed at, and of one that is printed with an exponent for its size
SMALLEST_P = 2.2e-16  # R's: what is smaller cannot be told from it
PLAIN_P = 1e-4  # below it a p-value is printed with an exponent
P_VALUES = ("p_value", "rank_p", "Pr(>|z|)", "Pr(>|t|)", "Pr(>F)", "Pr(>Chisq)")  # columns of them
FREEDOM = ("df", "DenDF")  # columns of degrees of freedom, which may be broken
COUNTS = ("npar", "Df", "ess_bulk", "ess_tail", "rows_per_level", "sign_claims")  # columns of them, and all n_...
NEAR_ZERO = ("error", "z", "pit", "bias", "corr", "slope", "type_s", "z_mean", "power")  # where a small one means none
FIGURE_SPACE, POINT_SPACE = "\u2007", "\u2008"  # as wide as a digit, and as a point
ITEM = "* "  # what a line of a list begins with
LEFT = ("Corr",)  # headers that stand above the first of several columns

_BREAKS = str.maketrans(dict.fromkeys("\n\r\t", " "))
# Also what a cell's first signs could begin: a list, a quotation, a heading; and a line break would end the row.
_MARKDOWN = str.maketrans({**{sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|~$&"}, "\n": " ", "\r": " "})
_LATEX = str.maketrans({
    **{sign: f"\\{sign}" for sign in "_%&#${}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "[": "{[}", "]": "{]}", "\n": " ", "\r": " ",
    FIGURE_SPACE: r"\phantom{0}", POINT_SPACE: r"\phantom{.}",
})  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes
    ----------
    caption : str
    header : tuple of str
        One for each column; "" continues the header on its left.
    rows : tuple of tuple of str
    labels : int
        How many of the first columns name the row.
    note : str
        What stands below: how much is not shown and where to find it. Empty when all is shown.
    blocks : bool
        Whether rows of the same first name belong together, so that a terminal shows it once.
    headings : tuple of (int, str)
        Headings of parts: the place of the row that each stands above, in order.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1
    note: str = ""
    blocks: bool = False
    headings: tuple[tuple[int, str], ...] = ()

    def text(self, indent: str = "") -> str:
        """Align the columns for a terminal: names on the left, numbers on the right."""
        rows = [tuple(cell.translate(_BREAKS) for cell in row) for row in (self.header, *_without_repeats(self))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        limit = terminal_width()
        gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= min(limit or WIDTH, WIDTH) else " "
        lines: list[str] = []
        for places in _strips(self, widths, gap, (limit or math.inf) - len(indent)):
            strip = [
                gap.join(
                    row[place].ljust(widths[place])
                    if place < self.labels or row[place] in LEFT
                    else row[place].rjust(widths[place])
                    for place in places
                )
                for row in rows
            ]
            below = _with_headings(self, strip[1:], lambda heading: heading.translate(_BREAKS))
            lines += [*([""] if lines else []), strip[0], *below]
        caption = [wrapped(f"{self.caption}:")] if self.caption else []
        note = ["", *textwrap.wrap(self.note, line_width() - len(indent))] if self.note else []
        return "\n".join([*caption, *(f"{indent}{line}".rstrip() for line in (*lines, *note))])

    def markdown(self) -> str:
        """Set the table in GitHub's Markdown, numbers on the right."""
        rule = "|".join(":---" if place < self.labels else "---:" for place in range(len(self.header)))
        blank = ("",) * (len(self.header) - 1)
        rows = _with_headings(
            self, map(_markdown_row, self.rows), lambda heading: _markdown_row((heading, *blank), strong=True)
        )
        lines = [_markdown_row(self.header), f"|{rule}|", *rows]
        above = [f"**{self.caption.translate(_MARKDOWN)}**", ""] if self.caption else []
        below = ["", self.note.translate(_MARKDOWN)] if self.note else []
        return "\n".join([*above, *lines, *below])

    def latex(self) -> str:
        """Set the table with the rules of booktabs."""
        columns = "l" * self.labels + "r" * (len(self.header) - self.labels)
        head = " & ".join(_latex_cells(self)) + r" \\"
        plain = (" & ".join(cell.translate(_LATEX) for cell in row) + r" \\" for row in self.rows)
        wide = len(self.header)
        rows = _with_headings(
            self,
            plain,
            lambda text: rf"\addlinespace \multicolumn{{{wide}}}{{l}}{{\emph{{{text.translate(_LATEX)}}}}} \\",
        )
        lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule",
                 r"\end{tabular}"]  # fmt: skip
        caption = [rf"\caption{{{self.caption.translate(_LATEX)}}}"] if self.caption else []
        note = [r"\par\smallskip", rf"{{\footnotesize {self.note.translate(_LATEX)}}}"] if self.note else []
        return "\n".join([r"\begin{table}", r"\centering", *caption, *lines, *note, r"\end{table}"])

    def html(self, *, ident: str = "", styled: bool = False) -> str:
        """Set the table by great_tables: each row with its name as a header, each cell with the headers it is under.

        Parameters
        ----------
        ident : str
            The caption's id, by which a box around the table can be named; one made of the table by default.
        styled : bool
            With great_tables' own look and with title and note in the table, for a page without a style sheet; else
            the bare table.
        """
        ident = ident or f"table-{blake2b(repr(self).encode(errors='replace'), digest_size=6).hexdigest()}"
        made = _great_table(self, ident)
        if styled:
            made = made.tab_header(self.caption) if self.caption else made
            return str((made.tab_source_note(self.note) if self.note else made).as_raw_html())
        raw = made.as_raw_html()
        start, end = raw.index("<table"), raw.rindex("</table>") + len("</table>")
        begin = raw.index(">", start) + 1
        caption = f'\n<caption id="{escape(ident)}">{escape(self.caption)}</caption>' if self.caption else ""
        note = f"\n<p>{escape(self.note)}</p>" if self.note else ""
        return f"{raw[start:begin]}{caption}{raw[begin:end]}{note}"


def terminal_width() -> int | None:
    """Return how many characters a line of the terminal has; None where what is printed goes elsewhere."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return max(get_terminal_size().columns, NARROWEST)


def line_width() -> int:
    """Return the characters at which sentences wrap."""
    return min(terminal_width() or WIDTH, WIDTH)


def _strips(table: Table, widths: Sequence[int], gap: str, limit: float) -> list[list[int]]:
    """Divide the columns into strips that fit into a line, each beginning with those that name the row."""
    names = list(range(table.labels))
    strips = [names.copy()]
    for first, last in pairwise([*_begun(table), len(widths)]):
        wide = sum(widths[place] + len(gap) for place in (*strips[-1], *range(first, last))) - len(gap)
        if wide > limit and len(strips[-1]) > len(names):
            strips.append(names.copy())
        strips[-1] += range(first, last)
    return strips


def _begun(table: Table) -> list[int]:
    """Return the columns behind the names whose header is not that of the column on their left."""
    return [place for place in range(table.labels, len(table.header)) if table.header[place] or place == table.labels]


def _without_repeats(table: Table) -> Iterator[tuple[str, ...]]:
    """Leave out the first name of a row where it is that of the row above."""
    above = None
    for row in table.rows:
        yield ("", *row[1:]) if table.blocks and row[0] == above else row
        above = row[0]


def _with_headings(table: Table, rows: Iterable[str], written: Callable[[str], str]) -> Iterator[str]:
    """Put the headings of parts between the rows."""
    headings = dict(table.headings)
    for place, row in enumerate(rows):
        if place in headings:
            yield written(headings[place])
        yield row


def _markdown_row(row: tuple[str, ...], *, strong: bool = False) -> str:
    cells = (f"**{cell.translate(_MARKDOWN)}**" if strong and cell else cell.translate(_MARKDOWN) for cell in row)
    return f"| {' | '.join(cells)} |"


def _latex_cells(table: Table) -> Iterator[str]:
    """Set the header; what stands above several columns is centred over them."""
    spans = {first: width for first, width in spans_of(table) if first >= table.labels}
    covered = {place for first, width in spans.items() for place in range(first + 1, first + width)}
    for place, cell in enumerate(table.header):
        text = cell.translate(_LATEX)
        if place not in covered:
            yield rf"\multicolumn{{{spans[place]}}}{{c}}{{{text}}}" if place in spans else text


def _great_table(table: Table, ident: str) -> Any:
    from great_tables import GT, html  # here, since it takes a second to import

    # Named by their places: two headings may be the same, and a name also becomes an id.
    names = [f"column-{place}" for place in range(len(table.header))]
    body = pd.DataFrame(list(table.rows), columns=names, dtype=object)
    grouped: dict[str, Any] = {}
    if table.headings:
        starts = [*(place for place, _ in table.headings), len(table.rows)]
        parts = [
            [heading] * (after - place) for (place, heading), after in zip(table.headings, starts[1:], strict=True)
        ]
        grouped = {"groupname_col": "part"}
        body["part"] = [heading for part in parts for heading in part]
    made = GT(body, rowname_col=names[0] if table.labels else None, **grouped).with_id(ident)
    heads = [cell or ("Term" if place < table.labels else " ") for place, cell in enumerate(table.header)]
    if table.labels:
        made = made.tab_stubhead(heads[0])
    for first, width in spans_of(table):
        made = made.tab_spanner(html(escape(heads[first])), names[first : first + width], id=f"{ident}-span-{first}")
        heads[first] = " "
    # As HTML that is escaped here: great_tables reads units out of plain text, and then escapes nothing.
    made = made.cols_label({name: html(escape(head)) for name, head in zip(names, heads, strict=True)})
    return made.cols_align("left", names[: table.labels]).cols_align("right", names[table.labels :])


def spans_of(table: Table) -> Iterator[tuple[int, int]]:
    """Find the headers that an empty one continues: their places, and over how many columns they stand."""
    filled = [place for place, cell in enumerate(table.header) if cell or place < table.labels]
    for first, after in zip(filled, [*filled[1:], len(table.header)], strict=True):
        if after - first > 1:
            yield first, after - first


@dataclass(frozen=True)
class Sheet:
    """A result's print-out: a title, lines, then tables, then sentences to keep in mind while reading."""

    title: str
    head: Sequence[str]
    tables: Sequence[Table]
    foot: Sequence[str] = ()

    def text(self) -> str:
        """Set the parts below each other, an empty line before each table and before the foot; sentences wrap."""
        above = "\n".join(map(wrapped, filter(None, (self.title, *self.head))))
        tables = [table.text() for table in self.tables if table.rows]
        return "\n\n".join(filter(None, (above, *tables, "\n".join(map(wrapped, self.foot)))))

    def html(self) -> str:
        """Set the title in bold letters, tables by great_tables, items as lists, all else as paragraphs."""
        title = [f"<p><strong>{escape(self.title)}</strong></p>"] if self.title else []
        tables = [table.html() for table in self.tables if table.rows]
        return "\n".join([*title, *_paragraphs(self.head), *tables, *_paragraphs(self.foot)])


class Printed(Answering):
    """A record that prints itself by a sheet."""

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.sheet().text()

    def _repr_html_(self) -> str:
        return self.sheet().html()


class Worded:
    """A record whose print-out is text alone: HTML sets its lines as they are."""

    def _repr_html_(self) -> str:
        return preformatted(repr(self))


def preformatted(text: str) -> str:
    """Return lines that keep their breaks; where they are too long they are scrolled, not torn within words."""
    return f'<pre style="white-space: pre; overflow-x: auto">{escape(text)}</pre>'


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    for listed, part in groupby(lines, lambda line: line.startswith(ITEM)):
        if listed:
            yield f"<ul>{''.join(f'<li>{escape(line.removeprefix(ITEM))}</li>' for line in part)}</ul>"
        else:
            yield from (f"<p>{escape(line)}</p>" for line in part)


def wrapped(sentence: str) -> str:
    """Break a text into lines that a terminal shows whole; those of an item of a list stand below its first word."""
    indent, width = "  " if sentence.startswith(ITEM) else "", line_width()
    return textwrap.fill(sentence, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def text_table(frame: pd.DataFrame, caption: str = "", *, labels: int = 1, note: str = "") -> Table:
    """Return a frame as a table; its index is not shown, the first columns name the row, numbers become text."""
    columns = [column_text(frame.iloc[:, place], str(name)) for place, name in enumerate(frame.columns)]
    return Table(caption, tuple(map(str, frame.columns)), tuple(zip(*columns, strict=True)), labels, note)


def rows_table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], labels: int = 1) -> Table:
    """Return rows of text as a table."""
    return Table(caption, tuple(header), tuple(map(tuple, rows)), labels)


def formatted(frame: pd.DataFrame, scale: Sequence[float]) -> list[list[str]]:
    """Format numbers with the decimals that give the smallest of `scale` its significant digits.

    Parameters
    ----------
    frame : pandas.DataFrame
        Numbers.
    scale : sequence of float
        Standard errors or deviations.

    Returns
    -------
    list of list of str
        Row by row.
    """
    values = frame.to_numpy(dtype=np.float64)
    known = np.abs(np.asarray(scale, dtype=np.float64))
    known = known[np.isfinite(known) & (known > 0)]
    smallest = known.min() if len(known) else 1.0
    decimals = max(SIGNIFICANT - 1 - math.floor(math.log10(smallest)), 0)
    wide = len(known) > 0 and np.abs(values[np.isfinite(values)]).max(initial=0.0) >= 10.0 ** (10 - decimals)
    pattern = f"#.{SIGNIFICANT + 1}g" if decimals > MOST_DECIMALS or wide else f".{decimals}f"
    return [[number(value, pattern) for value in row] for row in values]


def number(value: float, pattern: str) -> str:
    """Format a number; what is not known is a dash, and nothing is -0.00.

    Parameters
    ----------
    value : float
    pattern : str
        As for `format`.
    """
    if math.isnan(value):
        return "-"
    text = format(value, pattern).removesuffix(".")
    return text.removeprefix("-") if not text.strip("-0.") else text


def share(value: float, pattern: str, draws: int) -> str:
    """Format a probability that was counted over draws: none of S is "< 1/S", all are "> 1 - 1/S".

    Parameters
    ----------
    value : float
    pattern : str
        As for `format`.
    draws : int
        How many were counted; 0 for a probability that was not.
    """
    if draws and value in (0, 1):
        return f"> 1 - 1/{draws:,}" if value else f"< 1/{draws:,}"
    return number(value, pattern)


def probability(value: float, draws: int, pattern: str = ".3f") -> str:
    """Format a probability: one that was counted as `share`; of others small ones get an exponent.

    Parameters
    ----------
    value : float
    draws : int
        Over how many it was counted; 0 for one that was not.
    pattern : str
        As for `format`, of those that are not small.

    Examples
    --------
    >>> [probability(value, 0) for value in (0.25, 1.23e-40)], probability(0.0, 4000)
    (['0.250', '1.2e-40'], '< 1/4,000')
    """
    return number(value, ".2g") if 0 < value < 0.5 * SMALL else share(value, pattern, draws)


def p_value(value: float) -> str:
    """Format a p-value as R does.

    Examples
    --------
    >>> [p_value(value) for value in (0.04, 2.34567e-5, 1e-60)]
    ['0.0400', '2.35e-05', '< 2.2e-16']
    """
    if value < SMALLEST_P:
        return "< 2.2e-16"
    return number(value, ".2e" if value < PLAIN_P else ".4f")


def stated(values: Sequence[float]) -> list[str]:
    """Format values that something is computed at, which were chosen: as many decimals as the longest of them needs.

    Examples
    --------
    >>> stated([0.1, 1 / 3]), stated([0.0, 10.0])
    (['0.1000', '0.3333'], ['0', '10'])
    """
    short = [number(float(value), f".{DIGITS}g") for value in values]
    if any("e" in text for text in short):
        return short
    decimals = max((len(text.partition(".")[2]) for text in short), default=0)
    return [number(float(value), f".{decimals}f") for value in values]


def column_text(values: Iterable[Any], name: str = "") -> list[str]:
    """Return the cells of a column as text: its numbers share their decimals, and what is missing is a dash.

    Parameters
    ----------
    values : iterable
        Text is kept as it is, counts get thousands separators, p-values R's style, truth values yes or no.
    name : str
        The column's, which says whether its numbers are counts, p-values, or small ones where they mean none.

    Examples
    --------
    >>> column_text([11.23, 1.2333, float("nan")])
    ['11.230', '1.233', '-']
    >>> column_text([3958.7, None], "ess_bulk")
    ['3,958', '-']
    """
    cells = list(values)
    numbers = [float(value) for value in cells if isinstance(value, float | np.floating)]
    style, whole = _style(numbers, name), "," if _is_count(name) else "d"
    return [_cell_text(value, style, whole) for value in cells]


def _is_count(name: str) -> bool:
    return name in COUNTS or name.startswith("n_")


def _style(numbers: Sequence[float], name: str) -> Callable[[float], str]:
    """Return how all numbers of a column are written."""
    if name in P_VALUES:
        return p_value
    if name in FREEDOM:
        return lambda value: number(value, ",.1f")
    if _is_count(name):
        ess = name.startswith("ess")
        places = 0 if ess or all(value.is_integer() for value in numbers if math.isfinite(value)) else 1
        return lambda value: number(math.floor(value) if ess and math.isfinite(value) else value, f",.{places}f")
    sizes = sorted(abs(value) for value in numbers if 0 < abs(value) < LARGE) or [1.0]
    # Of numbers of both signs some are near zero by chance, and the middle one says how large they are.
    near_zero = name in NEAR_ZERO
    exponent = not near_zero and all(value >= 0 for value in numbers if not math.isnan(value))
    smallest = sizes[0 if exponent else len(sizes) // 2]
    decimals = 1 if sizes[0] >= MANY_DIGITS else 3
    if smallest < SMALL and not near_zero:
        needed = 1 - math.floor(math.log10(smallest))
        decimals = needed if needed <= MOST_DECIMALS else decimals
    return lambda value: _decimals(value, decimals, exponent=exponent)


def _decimals(value: float, decimals: int, *, exponent: bool) -> str:
    """Format a number; with an exponent where it is too large, or too small for its decimals."""
    hidden = exponent and 0 < abs(value) < 0.5 * 10.0**-decimals
    return number(value, f".{DIGITS}g" if abs(value) >= LARGE else ".2g" if hidden else f".{decimals}f")


def _cell_text(value: Any, style: Callable[[float], str], whole: str) -> str:
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, str) and not value):
        return "-"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return style(float(value))
    return format(int(value), whole) if isinstance(value, int | np.integer) else str(value)
