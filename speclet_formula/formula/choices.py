"""An argument goes in with its choices; nothing comes out, or a FormulaError with the nearest choice.

For the arguments that say how a formula is spelled: a dialect, a family, a link.
What is spelled is left to `equations` and `dialects`.
"""

from speclet_formula.errors import FormulaError, nearest


def check_choice(what: str, given: object, choices: tuple[str, ...]) -> None:
    """Refuse an argument that is not one of its choices."""
    if given in choices:
        return
    near = nearest(str(given), choices)
    problem = f"{given!r} is not a {what}."
    remedy = f"Write {near!r}." if near else f"Choose one of them for {what}=."
    raise FormulaError(problem, f"Choices: {', '.join(choices)}.", remedy)
