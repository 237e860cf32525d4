"""What a finding is, and how it lists names. The files beside this one make findings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# What a response's family takes; "other": positive numbers, shares, angles.
Support = Literal["real", "binary", "count", "proportion", "ordinal", "other"]

_NAMED = 5  # levels or columns that a sentence names


@dataclass(frozen=True)
class Finding:
    """One thing about a design that its owner would want to know.

    Attributes
    ----------
    kind : str
        A stable name, such as "few_levels".
    what, why, remedy : str
        One or two sentences each: what was seen, why it matters, what to do.
    """

    kind: str
    what: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what} {self.why} {self.remedy}"


def listed(names: Sequence[str], *, quoted: bool = True) -> str:
    """Return the first names with commas between, and dots for the others.

    Parameters
    ----------
    names : sequence of str
    quoted : bool
        Whether each gets quotes.

    Returns
    -------
    str
    """
    shown = [f"'{name}'" if quoted else name for name in names[:_NAMED]]
    return ", ".join([*shown, "..."] if len(names) > _NAMED else shown)
