"""What a recovery is: three frames and the sentences below them.

Nothing is computed here but the way it prints; `recover` fills it.
"""

from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd

SMALL, LARGE = 1e-3, 1e5  # numbers outside are printed with an exponent
NEAR_ZERO = ("error", "z", "pit", "bias", "corr", "slope", "type_s")  # where a small number means none
MANY_DIGITS = 10  # from here on one decimal is enough


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
        tables = [("Parameters (90 % intervals):", self.parameters), ("Group effects (centred):", self.groups)]
        return [
            (
                title,
                frame.apply(
                    lambda column: column.map(lambda value: show(value, exponent=column.name not in NEAR_ZERO))
                ),
            )
            for title, frame in tables
            if len(frame)
        ]


def show(value: object, *, exponent: bool = True) -> str:
    """Return a cell as text: three decimals, exponents where these do not tell, a dash for what does not exist."""
    if not isinstance(value, float | np.floating):
        return str(value)
    number = float(value)
    if np.isnan(number):
        return "-"
    if np.isinf(number) or abs(number) >= LARGE or (exponent and 0 < abs(number) < SMALL):
        return f"{number:.2g}"
    return f"{number:z.3f}" if abs(number) < MANY_DIGITS else f"{number:.1f}"
