"""Findings about a screen go in one by one; a table of them comes out. Who finds them is left to the other files."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from speclet_formula.errors import listed

COLUMNS = ("finding", "unit", "n", "what", "done", "examples")
_NAMED = 5


@dataclass(frozen=True)
class Notes:
    """What was found so far."""

    rows: list[tuple[str, str, int, str, str, str]] = field(default_factory=list)

    def add(self, finding: str, unit: str, names: Iterable[object], what: str, done: str) -> None:
        """Note a finding about the named things; `{n}` in `what` stands for how many there are. None is no finding."""
        found = list(names)
        if found:
            text = what.replace("{n}", f"{len(found):,}")
            self.rows.append((finding, unit, len(found), text, done, listed(found, _NAMED)))

    def say(self, finding: str, unit: str, n: int, what: str, done: str) -> None:
        """Note a finding whose things have no names of their own."""
        self.rows.append((finding, unit, n, what, done, ""))

    def frame(self) -> pd.DataFrame:
        """Return the findings as a table."""
        return pd.DataFrame(self.rows, columns=list(COLUMNS))
