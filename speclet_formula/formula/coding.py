"""How a factor is coded, as a formula says it: C(f, sum), in the words of R, patsy, formulae and statsmodels.

C() reads as one of three calls: `factor(f)`, `relevel(f, "b")` for treatment contrasts with another reference, or
`C(f, sum)` with one of the other codings. What their columns are is left to `design`.
"""

from collections.abc import Callable, Sequence
from typing import cast

from lark import Token

from speclet_formula.errors import FormulaError, nearest
from speclet_formula.formula.refusals import Context, TreeNode, children_of, error_under, kind_of, source_of
from speclet_formula.formula.terms import CODINGS, Argument, Call, Coding, Expression

TREATMENT = "treatment"
_WORDS = {word: ours for ours, words in CODINGS.items() for word in (ours, *words)}
_WORDS |= dict.fromkeys((TREATMENT, "contr.treatment", "Treatment"), TREATMENT)
ALLOWED = f"Codings: {TREATMENT}, {', '.join(CODINGS)}; contr.sum and Sum mean sum, and so on."
_REFERENCES = ("reference", "ref", "base")  # the argument of treatment contrasts in patsy, of relevel, in R


def read_coded(node: TreeNode, context: Context, read: Callable[[TreeNode], Expression]) -> Call:
    """Read C(f), C(f, sum), C(f, Treatment("b")).

    Parameters
    ----------
    node : TreeNode
        The call.
    context : Context
    read : callable
        What reads the factor's own expression.
    """
    inside = [_argument(child) for child in children_of(node)[2:-1:2]]
    names = [name for name, _ in inside]
    if names not in ([None], [None, None], [None, "contr"], [None, "contrast"]):
        raise _no_coding(node, inside, context)
    factor = read(inside[0][1])
    if len(inside) == 1:
        return Call("factor", (Argument(None, factor),))
    word, reference = _read_coding(inside[1][1], context, read)
    if reference is not None:
        return Call("relevel", (Argument(None, factor), Argument(None, reference)))
    if word == TREATMENT:
        return Call("factor", (Argument(None, factor),))
    return Call("C", (Argument(None, factor), Argument(None, Coding(word))))


def _argument(node: TreeNode) -> tuple[str | None, TreeNode]:
    """Return the name of a call's argument, if it has one, and its value."""
    name, _, value = cast("tuple[Token | None, Token | None, TreeNode]", tuple(children_of(node)))
    return None if name is None else str(name), value


def _no_coding(node: TreeNode, inside: Sequence[tuple[str | None, TreeNode]], context: Context) -> FormulaError:
    """Refuse other arguments of C."""
    factor = source_of(context, inside[0][1]) if inside else "f"
    return error_under(
        context,
        node,
        f"'{source_of(context, node)}' is not a factor with a coding.",
        f"C takes a factor and a coding. {ALLOWED}",
        f"Write C({factor}, sum), or relevel({factor}, 'control') for another reference.",
    )


def _read_coding(
    node: TreeNode, context: Context, read: Callable[[TreeNode], Expression]
) -> tuple[str, Expression | None]:
    """Read a coding, alone or with parentheses, and the reference level that treatment contrasts may have."""
    word, arguments = node, list[tuple[str | None, TreeNode]]()
    if kind_of(node) == "call":
        word, _, *inside = children_of(node)
        arguments = [_argument(child) for child in inside[:-1:2]]
    text = cast("Token", word)[1:-1] if kind_of(word) == "STRING" else source_of(context, word)
    ours = _WORDS.get(text)
    if ours is None:
        near = nearest(text, [TREATMENT, *CODINGS])
        remedy = f"Write {near}." if near else "Choose one of them."
        raise error_under(context, node, f"'{source_of(context, node)}' is not a coding.", ALLOWED, remedy)
    if not arguments:
        return ours, None
    name, level = arguments[0]
    if len(arguments) == 1 and ours == TREATMENT and name in (None, *_REFERENCES) and kind_of(level) == "STRING":
        return ours, read(level)
    allowed = "Treatment contrasts may name their reference level, a text; the other codings take nothing."
    remedy = (
        "Name the level: relevel(f, 'control')."
        if ours == TREATMENT
        else f"Write {ours} alone, and put the levels in another order by relevel() or in the column."
    )
    problem = f"'{source_of(context, node)}' has arguments that are not read."
    raise error_under(context, node, problem, allowed, remedy)
