"""What reads well but has no meaning goes in; a FormulaError comes out whose remedy is the text to write instead.

Here stand the errors that need more than a line of wording, or that several files raise.
Text that the grammar cannot read is left to `syntax_errors`.
"""

from collections.abc import Iterable, Sequence
from typing import cast

from lark import Token

from speclet_formula.errors import FormulaError
from speclet_formula.formula.foreign import COVARIANCES, FOREIGN
from speclet_formula.formula.tree import Context, TreeNode, children_of, error_under, kind_of, source_of

RESPONSES = {
    "cbind": "cbind(successes, failures)",
    "censored": "censored(y, status)",
    "truncated": "truncated(y, lb, ub)",
}
"""The calls that are a whole response, as they are written."""
_SHORTEST = 3  # letters of a word whose misspelling can be told from another word
_TERMS = "Terms are joined by + - * / : ^ and %in%; group terms stand in parentheses, (1 | g)."


def not_a_term(node: TreeNode, context: Context) -> FormulaError:
    """Refuse text and comparisons among the terms."""
    source = source_of(context, node)
    remedy = f"Write I({source}) to compute it first."
    if kind_of(node) == "STRING":
        remedy = f"Write `{source[1:-1]}` if that is a column."
    return error_under(context, node, f"'{source}' is not a term.", _TERMS, remedy)


def bare_bar(node: TreeNode, context: Context) -> FormulaError:
    """Refuse `y ~ x | g`."""
    left, bar, right, *_ = children_of(node)
    columns = children_of(left)[-1] if kind_of(left) == "sum" else left
    inside = f"{source_of(context, columns)} | {source_of(context, right)}"
    problem = f"'{bar}' stands outside parentheses."
    remedy = f"Write ({inside}) for correlated effects, ({inside.replace('|', '||', 1)}) for uncorrelated ones."
    return error_under(context, bar, problem, "A group term stands in parentheses: (x | g).", remedy)


def misplaced_response(node: TreeNode, context: Context) -> FormulaError:
    """Refuse cbind, censored and truncated anywhere but as the response."""
    function = str(children_of(node)[0])
    problem = f"'{source_of(context, node)}' stands where {function} has no meaning."
    allowed = f"{RESPONSES[function]} is a whole response, on the left of '~'."
    return error_under(context, node, problem, allowed, "Write the columns as terms of their own.")


def misplaced_offset(node: TreeNode, context: Context) -> FormulaError:
    """Refuse offset anywhere but as a term of its own."""
    problem = f"'{source_of(context, node)}' is not an offset."
    allowed = "offset takes one argument without a name and is added to the formula with '+'."
    return error_under(context, node, problem, allowed, "Write y ~ x + offset(log(n)).")


def unknown_function(node: TreeNode, inside: Sequence[TreeNode], context: Context) -> FormulaError:
    """Refuse a call: by name where it is a word of another package, with our name for a slip of the keys."""
    function = cast("Token", node)
    problem = f"'{function}' is not a function that a formula can call."
    bars = kind_of(children_of(inside[0])[-1]) == "bars" if len(inside) == 1 else False
    if function in FOREIGN and bars == (function in COVARIANCES and bool(inside)):
        answer = FOREIGN[function]
        return error_under(context, node, problem, answer.allowed, _filled(answer.remedy, inside, context))
    allowed = f"A formula can call {', '.join(sorted(context.functions, key=str.lower))}."
    bare = function.rpartition(".")[2]
    near = bare if "." in function and bare in context.functions else _misspelled(function, context.functions)
    remedy = f"Write '{near}', or pass" if near else "Pass"
    remedy = f"{remedy} your own function in functions=."
    if bars:
        group = f"({source_of(context, inside[0])})"
        column = context.columns is None or function in context.columns
        remedy = f"Write {function} + {group} for a term and a group term." if column else f"Write {group} alone."
    return error_under(context, node, problem, allowed, remedy)


def _filled(remedy: str, inside: Sequence[TreeNode], context: Context) -> str:
    """Put the call's first argument into what to write."""
    first = source_of(context, children_of(inside[0])[-1]) if inside else "x"
    return remedy.format(x=first, bars=first.replace("||", "|").replace("|", "||"))


def _misspelled(word: str, functions: Iterable[str]) -> str | None:
    """Return the function that a word of three letters or more is a slip of the keys away from."""
    if len(word) < _SHORTEST:
        return None
    close = [known for known in sorted(functions) if len(known) >= _SHORTEST and _is_slip(word.lower(), known.lower())]
    return min(close, key=lambda known: (not word.startswith(known), abs(len(known) - len(word))), default=None)


def _is_slip(word: str, known: str) -> bool:
    """Tell whether one letter more, less, other or two exchanged make a word of another."""
    if word == known:
        return True
    start = next((k for k, (a, b) in enumerate(zip(word, known, strict=False)) if a != b), min(len(word), len(known)))
    left, right = word[start:], known[start:]
    exchanged = left[:2] == right[1::-1] and left[2:] == right[2:]
    return left[1:] == right[1:] or left[1:] == right or left == right[1:] or (len(left) > 1 and exchanged)
