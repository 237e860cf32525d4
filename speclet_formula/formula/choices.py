"""An argument goes in with its choices; nothing comes out, or a FormulaError with the nearest choice.

For the arguments that say how a formula is spelled: a dialect, a family, a link.
What is spelled is left to `equations` and `dialects`.
"""

import difflib

from speclet_formula.errors import FormulaError


def check_choice(what: str, given: object, choices: tuple[str, ...]) -> None:
    """Refuse an argument that is not one of its choices."""
    if given in choices:
        return
    nearest = difflib.get_close_matches(str(given).lower(), choices, n=1)
    problem = f"{given!r} is not a {what}."
    remedy = f"Write {nearest[0]!r}." if nearest else f"Choose one of them for {what}=."
    raise FormulaError(problem, f"Choices: {', '.join(choices)}.", remedy)
