"""What reads well but has no meaning goes in; a FormulaError comes out whose remedy is the text to write instead.

Here stand the errors that need more than a line of wording, or that several files raise.
Text that the grammar cannot read is left to `syntax_errors`.
"""

from collections.abc import Sequence
from typing import cast

from lark import Token

from speclet_formula.errors import FormulaError, nearest
from speclet_formula.formula.tree import Context, TreeNode, children_of, error_under, kind_of, source_of

RESPONSES = {
    "cbind": "cbind(successes, failures)",
    "censored": "censored(y, status)",
    "truncated": "truncated(y, lb, ub)",
}
"""The calls that are a whole response, as they are written."""
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
    """Refuse a call, with the nearest name."""
    function = cast("Token", node)
    problem = f"'{function}' is not a function that a formula can call."
    allowed = f"A formula can call {', '.join(sorted(context.functions, key=str.lower))}."
    near = nearest(function, context.functions)
    remedy = f"Write '{near}', or pass" if near else "Pass"
    remedy = f"{remedy} your own function in functions=."
    if len(inside) == 1 and kind_of(children_of(inside[0])[-1]) == "bars":
        remedy = f"Write {function} + ({source_of(context, inside[0])}) for a term and a group term."
    return error_under(context, node, problem, allowed, remedy)
