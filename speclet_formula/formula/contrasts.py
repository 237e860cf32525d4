"""A formula whose factors are coded as `contrasts=` says: f becomes C(f, sum) in its fixed terms, and nowhere else.

That is where R's lme4 applies `contrasts`; the columns of a group term are coded where C() stands in it. A formula that
is changed keeps the codings of the one before it.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from speclet_formula.errors import FormulaError, listed, nearest
from speclet_formula.formula.coding import ALLOWED
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import Argument, Call, Formula, Name, Term, coding_of, text_of

_EXAMPLE = "For example contrasts={'f': 'sum'}."
_WEIGHTS = (
    "Contrasts of your own are given after the fit: sf.contrasts(sf.marginal_means(fit, 'f'), {'name': [-1, 1, 0]})."
)


def with_contrasts(formula: Formula, contrasts: Mapping[str, str] | None) -> Formula:
    """Code some factors of a formula's fixed terms, those of its parameters' formulas too.

    Parameters
    ----------
    formula : Formula
    contrasts : mapping of str to str, optional
        A column, or a call of the formula such as ``"factor(k)"``, and its coding as the second argument of C():
        ``"sum"``, ``"contr.helmert"``, ``"Treatment('b')"``.

    Raises
    ------
    FormulaError
        It is no such mapping, a coding does not exist, or no fixed term has the factor.

    Examples
    --------
    >>> print(with_contrasts(parse_formula("y ~ f * x + (f | g)"), {"f": "contr.sum"}))
    y ~ 1 + C(f, sum) + x + C(f, sum):x + (1 + f | g)
    """
    if contrasts is None:
        return formula
    if not isinstance(contrasts, Mapping):
        allowed = "It is a dictionary: the coding of each factor."
        raise FormulaError(f"contrasts is of type '{type(contrasts).__name__}'.", allowed, _EXAMPLE)
    known = _factors(formula)
    coded = {known[key]: _coded(key, known[key], word) for key, word in contrasts.items() if _is_known(key, known)}
    return _replaced(formula, coded)


def changed_formula(
    text: str,
    former: Formula,
    *,
    functions: Collection[str] = (),
    contrasts: Mapping[str, str] | None = None,
) -> Formula:
    """Change a formula by R's ``. ~ . - x``; factors that it codes keep their coding under their plain names.

    Parameters
    ----------
    text : str
    former : Formula
    functions : collection of str, optional
        As for `parse_formula`.
    contrasts : mapping of str to str, optional
        As for `with_contrasts`; what is named there is coded anew.
    """
    codings = {} if "C(" in text else _codings(former)
    plain = _replaced(former, {coded: factor for factor, (coded, _) in codings.items()})
    formula = parse_formula(text, functions=functions, former=plain)
    still = set(_factors(formula))
    kept = {text_of(factor): word for factor, (_, word) in codings.items() if text_of(factor) in still}
    named = {key: word for key, word in kept.items() if key not in (contrasts or {})}
    return with_contrasts(with_contrasts(formula, named), contrasts)


def _factors(formula: Formula) -> dict[str, Name | Call]:
    """Return the factors of the fixed terms by what they may be called: a column's name, a call's text."""
    sides = (formula, *(part for _, part in formula.parameters))
    factors = [factor for side in sides for term in side.terms for factor in term.factors]
    return {text_of(factor): factor for factor in factors} | {f.name: f for f in factors if isinstance(f, Name)}


def _codings(formula: Formula) -> dict[Name | Call, tuple[Call, str]]:
    """Return the factors that C() codes wherever they are in fixed terms, with the call and the coding."""
    factors = {factor: coding_of(factor) for factor in _factors(formula).values()}
    coded = [factor for factor, word in factors.items() if word is not None and isinstance(factor, Call)]
    insides = [factor.arguments[0].value for factor in coded]
    return {
        inside: (factor, str(factors[factor]))
        for inside, factor in zip(insides, coded, strict=True)
        if isinstance(inside, Name | Call) and inside not in factors and insides.count(inside) == 1
    }


def _is_known(key: str, known: Mapping[str, Name | Call]) -> bool:
    """Refuse a factor that no fixed term has, or that is coded already."""
    if key in known and coding_of(known[key]) is None:
        return True
    problem = f"contrasts= names {key!r}, which is " + ("coded already." if key in known else "in no fixed term.")
    near = nearest(str(key), list(known))
    remedy = f"Nearest: {near!r}." if near and near != key else "Leave it out, or write C() into the formula."
    raise FormulaError(problem, f"Factors of the fixed terms: {listed(known) or 'none'}.", remedy)


def _coded(key: str, factor: Name | Call, word: object) -> Call:
    """Return the call of a factor with a coding, read as a formula would be."""
    if not isinstance(word, str):
        remedy = _EXAMPLE if isinstance(word, int | float) or word is None else _WEIGHTS
        raise FormulaError(f"contrasts[{key!r}] is of type '{type(word).__name__}'.", ALLOWED, remedy)
    problem = f"contrasts[{key!r}] is {word!r}, which is no coding."
    try:
        read = parse_formula(f"y ~ C(f, {word})")
    except FormulaError as error:
        raise FormulaError(problem, ALLOWED, error.remedy) from None
    call = read.terms[0].factors[0]
    if not isinstance(call, Call) or read != Formula(Name("y"), True, (Term((call,)),), (), (), ()):
        raise FormulaError(problem, ALLOWED, _EXAMPLE)
    return replace(call, arguments=(Argument(None, factor), *call.arguments[1:]))


def _replaced(formula: Formula, factors: Mapping[Name | Call, Name | Call]) -> Formula:
    """Return a formula with other factors in its fixed terms."""
    terms = tuple(Term(tuple(factors.get(factor, factor) for factor in term.factors)) for term in formula.terms)
    parameters = tuple((name, _replaced(part, factors)) for name, part in formula.parameters)
    return replace(formula, terms=terms, parameters=parameters)
