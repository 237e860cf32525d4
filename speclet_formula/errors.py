"""The errors that a user can meet, one class for each phase of the work.

A message has three parts, a line each: what is wrong, what is allowed, what to do. Two functions help to word them: the
nearest match and a short list. Every other module raises; this one only words.
"""

import difflib
from collections.abc import Iterable, Sequence

WIDEST = 200  # characters of a formula's line that a message shows around a place in it
LONGEST = 1200  # characters of a part of a message, which may quote what was given; of longer ones both ends are shown
ENDS = (700, 300)


class SpecletError(Exception):
    """Base of all errors that the package raises on purpose.

    Parameters
    ----------
    problem : str
        What is wrong, quoting the user's own text.
    allowed : str
        What would be right here.
    remedy : str
        What to do about it: the nearest match, or the call to write instead.
    """

    def __init__(self, problem: str, allowed: str, remedy: str) -> None:
        super().__init__(problem, allowed, remedy)
        self.problem = problem
        self.allowed = allowed
        self.remedy = remedy

    def __str__(self) -> str:
        return "\n".join(map(_bounded, (self.problem, self.allowed, self.remedy)))


class FormulaError(SpecletError):
    """The formula's text cannot be read, or asks for what does not exist.

    Parameters
    ----------
    problem, allowed, remedy : str
        As in `SpecletError`.
    text : str, optional
        The formula as it was written. With `position`, the message begins with it and a caret below the place.
    position : int, optional
        Index into `text` of the first offending character.
    """

    def __init__(
        self, problem: str, allowed: str, remedy: str, text: str | None = None, position: int | None = None
    ) -> None:
        super().__init__(problem, allowed, remedy)
        # All five in args, so that the error survives pickling on its way back from a worker process.
        self.args = (problem, allowed, remedy, text, position)
        self.text = text
        self.position = position

    def __str__(self) -> str:
        message = super().__str__()
        if self.text is None or self.position is None:
            return message
        start = self.text.rfind("\n", 0, self.position) + 1
        line, place = self.text[start:].split("\n", 1)[0].replace("\t", " "), self.position - start
        if len(line) > WIDEST:
            first = max(place - WIDEST // 2, 0)
            shown = line[first : first + WIDEST]
            before, after = "..." if first else "", "..." if first + WIDEST < len(line) else ""
            line, place = before + shown + after, place - first + len(before)
        return f"{line}\n{' ' * place}^\n{message}"


def _bounded(part: str) -> str:
    """Leave out the middle of a part that quotes something long."""
    return part if len(part) <= LONGEST else f"{part[: ENDS[0]]} ... {part[-ENDS[1] :]}"


class DataError(SpecletError):
    """The data cannot serve the formula: columns, types, missing or infinite values, new levels."""


class PriorError(SpecletError):
    """A prior that does not exist, has wrong parameters, or names a slot that the model lacks."""


class SamplingError(SpecletError):
    """A fit that cannot be run as asked, or that failed while running."""


class NoStartError(SamplingError):
    """A posterior that an engine does not find; another one may."""


class EstimateError(SpecletError):
    """A summary of a fit that cannot be made as asked."""


class ComparisonError(SpecletError):
    """Fits that cannot be compared with each other."""


class UnknownNameError(SpecletError, AttributeError):
    """A name of another package's that does not exist here, and what to write instead."""


def nearest(word: object, choices: Iterable[str]) -> str | None:
    """Return the choice that a user most likely meant, whatever its case, or None if none is close."""
    by_lower = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def listed(items: Iterable[object], limit: int = 12) -> str:
    """Return the items with commas between, and how many more there are beyond the limit."""
    words = [str(item) for item in items]
    more = f" and {len(words) - limit:,} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more


def some_of(names: Sequence[str], most: int = 4) -> str:
    """Return the first few names in quotes, and how many more there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + rest
