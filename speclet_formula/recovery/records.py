"""What a recovery is: three frames and the sentences below them.

Nothing is computed here but the way it prints; `recover` fills it.
"""

from dataclasses import dataclass
from html import escape

import pandas as pd

from speclet_formula.common.table import show

NEAR_ZERO = ("error", "z", "pit", "bias", "corr", "slope", "type_s")  # where a small number means none


@dataclass(frozen=True, eq=False, repr=False)
class Recovery:
    """How well one fit recovered a known truth. The columns of the frames are defined in `recover`."""

    formula: str  # of the fitted model
    verdict: str  # the diagnostics' verdict on the fit: "converged", "doubtful" or "failed"
    diagnosis: str  # the same in a sentence
    parameters: pd.DataFrame  # one row per scalar
    groups: pd.DataFrame  # one row per block of group effects
    levels: pd.DataFrame  # one row per level of each block
    foot: tuple[str, ...]  # what to keep in mind while reading
    centred: bool = True  # whether effects were centred within their block before they were compared

    def __repr__(self) -> str:
        parts = [f"Recovery of {self.formula}", self._headline()]
        for title, frame in self._tables():
            parts += ["", title, frame.to_string(index=False)]
        return "\n".join([*parts, "", *self.foot])

    def _repr_html_(self) -> str:
        parts = [f"<p><strong>Recovery of {escape(self.formula)}</strong></p>"]
        parts.append(f"<p>{escape(self._headline())}</p>")
        for title, frame in self._tables():
            parts += [f"<p>{escape(title)}</p>", frame.to_html(index=False, escape=True, border=0)]
        return "\n".join([*parts, *(f"<p>{escape(sentence)}</p>" for sentence in self.foot)])

    def _headline(self) -> str:
        """What must be read before any number."""
        warning = " None of the numbers below can be relied on." if self.verdict == "failed" else ""
        return f"{self.verdict.capitalize()}: {self.diagnosis}{warning}"

    def _tables(self) -> list[tuple[str, pd.DataFrame]]:
        """The tables that have rows, as text, with their titles."""
        effects = "Group effects (centred):" if self.centred else "Group effects (with their fixed coefficient):"
        tables = [("Parameters (90 % intervals):", self.parameters), (effects, self.groups)]
        return [(title, shown(frame)) for title, frame in tables if len(frame)]


@dataclass(frozen=True, eq=False, repr=False)
class Recoveries:
    """How well several fits of the same rows recovered the same truth. The columns are defined in `recover`."""

    recoveries: dict[str, Recovery]  # by the fits' names
    comparison: pd.DataFrame  # one row per factor and fit
    levels: pd.DataFrame  # one row per factor, level and fit
    parameters: pd.DataFrame  # one row per scalar and fit
    foot: tuple[str, ...]

    def __repr__(self) -> str:
        parts = [f"Recovery of the same truth by {len(self.recoveries)} fits", *self._fits()]
        for title, frame in self._tables():
            parts += ["", title, frame.to_string(index=False)]
        return "\n".join([*parts, "", *self.foot])

    def _repr_html_(self) -> str:
        parts = [f"<p><strong>Recovery of the same truth by {len(self.recoveries)} fits</strong></p>"]
        parts += [f"<p>{escape(line)}</p>" for line in self._fits()]
        for title, frame in self._tables():
            parts += [f"<p>{escape(title)}</p>", frame.to_html(index=False, escape=True, border=0)]
        return "\n".join([*parts, *(f"<p>{escape(sentence)}</p>" for sentence in self.foot)])

    def _fits(self) -> list[str]:
        """What each name stands for, and whether it can be relied on."""
        return [f"{name}: {found.formula} ({found.verdict})" for name, found in self.recoveries.items()]

    def _tables(self) -> list[tuple[str, pd.DataFrame]]:
        """The tables that have rows, as text, with their titles."""
        columns = ["term", "group", "class", "fit", "truth", "median", "lo", "hi", "lme4", "verdict"]
        tables = [
            ("Means of levels (90 % intervals):", self.comparison),
            ("Parameters (90 % intervals):", self.parameters[columns]),
        ]
        return [(title, shown(frame)) for title, frame in tables if len(frame)]


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of a table as text."""
    return frame.apply(lambda column: column.map(lambda value: show(value, exponent=column.name not in NEAR_ZERO)))
