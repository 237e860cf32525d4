"""Numbers that are not what they seem: infinite ones, ids that lost digits, and columns of text made of numbers.

One stray cell makes text of a column of numbers, and text is a factor. Whether it is to be one is the analyst's to say.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_NAME = re.compile(r"[+-]?0\d+")  # "007": names that look like numbers
FEWEST = 0.5  # of the cells that are numbers: with fewer it is text
MANY = 10  # levels: as text, so many numbers with decimals are hardly meant as labels
_SHOWN = 3


@dataclass(frozen=True)
class NumericText:
    """What of a column of text are numbers."""

    cells: int
    numbers: int  # cells that are numbers, those with a comma among them
    commas: int  # cells with a decimal comma
    strays: tuple[tuple[int, str], ...]  # the first other cells: row, text
    comma: tuple[int, str] | None  # the first cell with a decimal comma

    @property
    def said(self) -> str:
        """How many cells are numbers, and which are not."""
        counted = f"{self.numbers:,} of its {self.cells:,} values are numbers"
        if self.comma is not None:
            row, text = self.comma
            counted += f", {self.commas:,} with a decimal comma, such as '{text}' in row {row}"
        others = self.cells - self.numbers
        shown = ", ".join(f"row {row} has '{text}'" for row, text in self.strays)
        more = f" and {others - len(self.strays):,} more have other text" if others > len(self.strays) else ""
        return f"{counted}; {shown}{more}" if others else counted

    def remedy(self, name: str) -> str:
        """Return what makes numbers of the column."""
        text = f'data["{name}"]'
        if self.commas:
            text += '.str.replace(",", ".")'
        coerce = ', errors="coerce"' if self.numbers < self.cells else ""
        made = ", which makes the others missing" if coerce else ""
        return f'Mend them where they were written, or write data["{name}"] = pandas.to_numeric({text}{coerce}){made}.'


def numeric_text(values: Any, rows: np.ndarray | None = None) -> NumericText | None:
    """Tell numbers in a column of text.

    Parameters
    ----------
    values : array or Series of text, numbers among it, or Categorical
    rows : array of int, optional
        What the values' rows are called; their places by default.

    Returns
    -------
    NumericText or None
        None where most cells are no numbers, or they may well be meant as labels: names with leading zeros, or nothing
        but a few numbers, or whole ones.
    """
    codes, levels = _factorized(values)
    texts = [str(level).strip() for level in levels]
    commas = np.array([bool(_COMMA.fullmatch(text)) for text in texts], dtype=bool)
    plain = np.array([bool(_NUMBER.fullmatch(text)) for text in texts], dtype=bool)
    numeric = plain | commas
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    cells, numbers = int(counts.sum()), int(counts[numeric].sum())
    if numbers < max(FEWEST * cells, 1) or numeric.sum() < 2 or any(_NAME.fullmatch(text) for text in texts):  # noqa: PLR2004
        return None
    decimals = any("." in text for text, is_plain in zip(texts, plain, strict=True) if is_plain)
    if numeric.all() and not commas.any() and not (decimals and len(texts) > MANY):
        return None
    names = np.arange(len(codes)) if rows is None else rows
    others = np.flatnonzero((codes >= 0) & ~numeric[codes])[:_SHOWN]
    with_comma = np.flatnonzero((codes >= 0) & commas[codes])[:1]
    return NumericText(
        cells,
        numbers,
        int(counts[commas].sum()),
        tuple((int(names[row]), str(levels[codes[row]])) for row in others),
        next(((int(names[row]), texts[codes[row]]) for row in with_comma), None),
    )


def _factorized(values: Any) -> tuple[np.ndarray, list[Any]]:
    if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
        factor = pd.Categorical(values)
        return np.asarray(factor.codes), list(factor.categories)
    codes, levels = pd.factorize(pd.Series(np.asarray(values, dtype=object)).map(str, na_action="ignore"))
    return codes, list(levels)


def refuse_infinite(values: np.ndarray, name: str, before: int | None = None) -> None:
    """Refuse infinite values.

    Parameters
    ----------
    values : ndarray of float, shape (rows,)
        Missing ones may be among them.
    name : str
        The column's.
    before : int, optional
        How many rows came before these, of a column of which this is one piece; None for a whole column, whose infinite
        values can be counted.
    """
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        count = f"{len(infinite)} " if before is None else ""
        raise DataError(
            f"column '{name}' has {count}infinite values, the first in row {infinite[0] + (before or 0)}.",
            "Numbers must be finite.",
            "Often a log of zero: add a pseudo-count before the log, or drop those rows.",
        )


def refuse_lost_digits(values: np.ndarray, name: str) -> None:
    """Refuse floats whose last digits were lost, where levels are to be told apart: several ids have become one.

    Parameters
    ----------
    values : ndarray of float
        Finite or missing.
    name : str
        The column's.
    """
    kind = np.finfo(values.dtype)
    large = np.unique(values[np.abs(values) >= 2.0 ** (kind.nmant + 1)])
    lost = next((value for value in large if _digits(value) > kind.precision), None)
    if lost is not None:
        raise DataError(
            f"column '{name}' has levels that are floats with too many digits, such as {lost:.0f}: the last are lost.",
            f"Numbers of more than {kind.precision} digits are told apart as integers, or as text.",
            f"Read the column as such, for example pandas.read_csv(path, dtype={{'{name}': str}}).",
        )


def _digits(value: Any) -> int:
    """Count the digits that tell a float from its neighbours."""
    return len(str(value).partition("e")[0].removesuffix(".0").replace(".", "").strip("-0"))
