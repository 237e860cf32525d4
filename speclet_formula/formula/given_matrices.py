"""gr(line, cov = A) and gr(line, precision = Q), right of a bar: levels that vary together as a matrix says."""

from collections.abc import Container, Iterator
from dataclasses import replace

from speclet_formula.formula.expressions import read_name
from speclet_formula.formula.multi_membership import MEMBERSHIP
from speclet_formula.formula.refusals import Context, TreeNode, children_of, error_under, kind_of, source_of, unwrapped
from speclet_formula.formula.terms import (
    MATRIX_ARGUMENTS,
    Call,
    Formula,
    GivenMatrix,
    GroupTerm,
    Name,
    Term,
    columns_of,
    grouping_text,
)

type _Factors = frozenset[Name | Call]  # of a grouping factor

_ALLOWED = "gr() takes a grouping factor and a matrix of its levels by name: cov = A, or precision = Q, its inverse."


def given_matrix(grouping: TreeNode, context: Context) -> tuple[TreeNode, GivenMatrix | None]:
    """Return what stands in gr(), and its matrix; of any other grouping factor itself and None.

    gr(line) alone is left to `read_groups`, which refuses it.

    Raises
    ------
    FormulaError
        gr() has another argument, or what varies is not a column or a call.
    """
    node = unwrapped(grouping)
    if kind_of(node) != "call":
        _refuse_inside(node, context)
        return grouping, None
    function, _, *inside, _ = children_of(node)
    if str(function) != "gr" or "gr" in context.own or len(inside) < 2:  # noqa: PLR2004 - gr(line)
        return grouping, None
    first, *others = inside[::2]
    *name, factor = children_of(first)
    given = [_matrix_in(other, context) for other in others]
    if name[:1] not in ([], [None]) or len(given) != 1 or given[0] is None:
        raise error_under(context, node, f"'{source_of(context, node)}' is not how gr is written.", _ALLOWED, _remedy(
            source_of(context, factor), others, context))  # fmt: skip
    inner = unwrapped(factor)
    several = kind_of(inner) == "call" and str(children_of(inner)[0]) == MEMBERSHIP
    if several or kind_of(inner) not in ("NAME", "QUOTED_NAME", "call"):
        problem = f"'{source_of(context, factor)}' is not one grouping factor."
        remedy = "Make a column of what has a level in the matrix, and write gr(column, cov = A)."
        raise error_under(context, factor, problem, _ALLOWED, remedy)
    return factor, given[0]


def _refuse_inside(node: TreeNode, context: Context) -> None:
    """Refuse a:gr(b, cov = A) and gr(b, cov = A)/a."""
    if kind_of(node) not in ("product", "interaction"):
        return
    for part in map(unwrapped, children_of(node)[::2]):
        if kind_of(part) == "call" and str(children_of(part)[0]) == "gr" and "gr" not in context.own:
            problem = f"'{source_of(context, part)}' stands beside another grouping factor."
            remedy = f"Write (1 | {source_of(context, part)}), and another group term for the rest."
            raise error_under(context, part, problem, "The matrix of gr() has all levels of its group term.", remedy)


def _matrix_in(argument: TreeNode, context: Context) -> GivenMatrix | None:
    """Return what cov = A or precision = Q says; None of anything else."""
    name, *_, value = children_of(argument)
    if str(name) not in MATRIX_ARGUMENTS or kind_of(value) not in ("NAME", "QUOTED_NAME"):
        return None
    return GivenMatrix("cov" if str(name) == "cov" else "precision", read_name(value, context).name)


def _remedy(factor: str, others: list[TreeNode], context: Context) -> str:
    """Say what to write for brms' other arguments, or for an expression in the place of a name."""
    by = next((one for one in others if str(children_of(one)[0]) == "by"), None)
    if by is not None:
        column = source_of(context, children_of(by)[-1])
        return (
            f"For an SD in each level of {column} write (0 + {column} || {factor}); for a matrix gr({factor}, cov = A)."
        )
    return f"Write gr({factor}, cov = A), and hand the matrix over by its name: matrices={{'A': A}}."


def factors_apart(formula: Formula) -> frozenset[_Factors]:
    """Return the grouping factors whose levels vary together in one group term of a formula, and otherwise in another.

    (1 | line) + (1 | gr(line, cov = A)): these terms need names of their own.
    """
    known: dict[_Factors, set[GivenMatrix | None]] = {}
    for term in _every_term(formula):
        known.setdefault(frozenset(term.group.factors), set()).add(term.matrix)
    return frozenset(factors for factors, matrices in known.items() if len(matrices) > 1)


def _every_term(formula: Formula) -> Iterator[GroupTerm]:
    """Go through the group terms of the mean and of the other parameters."""
    for side in (formula, *(part for _, part in formula.parameters)):
        yield from side.group_terms


def copied_for_brms(formula: Formula) -> tuple[Formula, dict[str, Term]]:
    """Name a copy of a grouping factor that other terms have with another matrix: brms refuses a column's second term.

    Returns
    -------
    formula : Formula
    copies : dict of str to Term
        The copies by name, and what each is made of.
    """
    copies: dict[str, Term] = {}
    for factors in sorted(factors_apart(formula), key=repr):
        terms = [term for term in _every_term(formula) if frozenset(term.group.factors) == factors]
        for matrix in [one for one in dict.fromkeys(term.matrix for term in terms) if one != terms[0].matrix]:
            name = _copy_name(terms[0].group, matrix, {*columns_of(formula), *copies})
            copies[name] = terms[0].group
            formula = _regrouped(formula, factors, matrix, Term((Name(name),)))
    return formula, copies


def _copy_name(group: Term, matrix: GivenMatrix | None, taken: Container[str]) -> str:
    name = "_".join(factor.name if isinstance(factor, Name) else factor.function for factor in group.factors)
    name += "_alone" if matrix is None else f"_{matrix.name}"
    while name in taken:
        name += "_"
    return name


def _regrouped(formula: Formula, factors: _Factors, matrix: GivenMatrix | None, group: Term) -> Formula:
    """Give the group terms with a factor and a matrix another factor."""
    terms = (
        replace(term, group=group) if (frozenset(term.group.factors), term.matrix) == (factors, matrix) else term
        for term in formula.group_terms
    )
    parameters = ((name, _regrouped(part, factors, matrix, group)) for name, part in formula.parameters)
    return replace(formula, group_terms=tuple(terms), parameters=tuple(parameters))


def lacks_matrices(formula: Formula, package: str, but: str = "") -> Iterator[str]:
    """Say in comments which levels vary together, as they cannot in a package."""
    for block in (one for one in _every_term(formula) if one.matrix is not None):
        yield f"# {package} has no {grouping_text(block)}: this is another model, with independent levels{but}"


def matrices_of_brms(formula: Formula) -> dict[str, str]:
    """Return the matrices of a formula by the names that brms has for them, and how R makes each."""
    known = dict.fromkeys(one.matrix for one in _every_term(formula) if one.matrix is not None)
    return {_name_in_brms(one): f"solve({one.name})" if one.argument == "precision" else one.name for one in known}


def in_brms(group: str, matrix: GivenMatrix | None) -> str:
    """Write a grouping factor with its matrix for brms, which has covariances alone."""
    return group if matrix is None else f"gr({group}, cov = {_name_in_brms(matrix)})"


def _name_in_brms(matrix: GivenMatrix) -> str:
    """Return the name that brms has for a covariance: that of a precision's inverse, which R makes."""
    return f"{matrix.name}_inverse" if matrix.argument == "precision" else matrix.name


def words_of_matrix(matrix: GivenMatrix | None, name: str) -> str:
    """Say how the levels of a grouping factor vary together, after a semicolon; nothing where they do not."""
    if matrix is None:
        return ""
    inverse = "the inverse of " if matrix.argument == "precision" else ""
    return f"; their covariances from {name} to {name} are those of {inverse}the matrix {matrix.name}"
