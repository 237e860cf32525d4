"""The code that fits a formula in mgcv, or in gamm4 where smooths stand beside group terms.

mgcv's group effects are smooths with bs = "re": independent effects, those of each column with an SD of their own.
What is not said in a comment is the same model.
"""

from collections.abc import Iterator
from dataclasses import replace

from speclet_formula.common.structures import Structure
from speclet_formula.families import FamilySpecification
from speclet_formula.formula.dialects import Levels, lacks_limits, lacks_structures, lme4_text, r_side
from speclet_formula.formula.given_matrices import lacks_matrices
from speclet_formula.formula.smooths import about_processes, smooths_in, with_processes
from speclet_formula.formula.terms import Call, Formula, GroupTerm, Name, Term, columns_of, text_of

_HOM = Structure("diag", hom=True)
_SEVERAL = ("poly", "bs", "ns", "factor", "C", "interaction", "relevel", "dummy")  # functions of more than one column
_R_LINKS = {"inverse_squared": "1/mu^2"}


def r_family(name: str, link: str, default: str) -> str:
    """Write one of R's families."""
    return name if link == default else f'{name}(link = "{_R_LINKS.get(link, link)}")'


def gamm4_code(
    formula: Formula, family: FamilySpecification, link: str, weights: str | None, levels: Levels | None
) -> Iterator[str]:
    """Write the call of mgcv, or of gamm4 where something varies by group."""
    if not family.spelling.glm or formula.parameters:
        yield "# mgcv has families and formulas of parameters of its own: ?family.mgcv"
        return
    yield from lacks_limits(formula, "mgcv")
    yield from about_smooths(formula, "mgcv")
    formula = with_processes(formula, "mgcv")
    mixed = bool(formula.group_terms)
    yield "library(gamm4)" if mixed else "library(mgcv)"
    arguments = [lme4_text(replace(formula, group_terms=()), levels)]
    if mixed:
        groups = replace(formula, response=None, intercept=False, terms=(), offsets=())
        arguments.append(f"random = ~ {r_side(groups).removeprefix('0 + ')}")
    arguments += _settings(family.spelling.glm, family, link, weights)
    arguments += [] if mixed else ['method = "REML"']
    yield f"{'gamm4' if mixed else 'gam'}({', '.join(arguments)})"


def gam_code(
    formula: Formula, family: FamilySpecification, link: str, weights: str | None, levels: Levels | None
) -> Iterator[str]:
    """Write the call of mgcv's gam(), by REML."""
    name = family.spelling.glm or family.spelling.mgcv
    if not name:
        yield f"# mgcv has no family like {family.name}, or one of its own: ?family.mgcv"
        return
    yield from lacks_limits(formula, "mgcv")
    for parameter, part in formula.parameters:
        left_out = f"{parameter} ~ {r_side(part)}"
        yield f"# not the same model: mgcv has formulas of parameters in families of its own, ?gaulss, not {left_out}"
    formula = replace(formula, parameters=())
    yield from lacks_matrices(formula, "mgcv")
    plain = tuple(block for block in formula.group_terms if not _is_product(block))
    yield from lacks_structures(replace(formula, group_terms=plain), "mgcv")
    yield from about_smooths(formula, "mgcv")
    formula = with_processes(formula, "mgcv")
    made = [line for block in formula.group_terms for line in _random_effects(block, levels)]
    yield from dict.fromkeys(line for line in made if line.startswith("#"))
    if link != family.linear_link and (made or smooths_in(formula)):
        yield '# by REML; lme4 has ML here, to which method = "ML" is nearer, and not quite the same'
    yield "library(mgcv)"
    yield from _factors(formula)
    terms = [lme4_text(replace(formula, group_terms=()), levels), *(line for line in made if not line.startswith("#"))]
    arguments = [" + ".join(terms), *_settings(name, family, link, weights), 'method = "REML"']
    yield f"gam({', '.join(arguments)})"


def _settings(name: str, family: FamilySpecification, link: str, weights: str | None) -> list[str]:
    """Write the arguments of data, family and weights."""
    own = (
        []
        if link == family.linear_link and name == family.spelling.glm
        else [f"family = {r_family(name, link, family.links[0])}"]
    )
    return ["data = data", *own, *([] if weights is None else [f"weights = {text_of(Name(weights))}"])]


def about_smooths(formula: Formula, package: str) -> Iterator[str]:
    """Say what a smooth is in R that it is not here."""
    known = smooths_in(formula)
    factors = [smooth.by for smooth in known if smooth.by is not None]
    factors += [smooth.variables[-1] for smooth in known if smooth.basis == "fs"]
    for name in dict.fromkeys(text_of(factor) for factor in factors):
        yield f"# a column of text is a factor first: data${name} <- factor(data${name})"
    yield from about_processes(formula, package)
    if any(smooth.function == "t2" or smooth.basis == "fs" for smooth in known):
        yield f"# nearly the same model: {package} penalises constants and straight lines in coordinates of LAPACK's"


def _is_product(block: GroupTerm) -> bool:
    """Tell whether a term is s(g, x, bs = "re") whether x is a number or a factor."""
    alone = len(block.terms) == 1 and len(block.terms[0].factors) == 1
    return block.structure == _HOM and not block.intercept and alone


def _random_effects(block: GroupTerm, levels: Levels | None) -> Iterator[str]:
    """Write the smooths that a group term is; what these cannot be is told in comments."""
    group = ", ".join(map(text_of, block.group.factors))
    if _is_product(block):
        yield f's({group}, {text_of(block.terms[0])}, bs = "re")'
        return
    kinds = [_is_factor(term, levels) for term in block.terms]
    if block.correlated and (len(block.terms) + block.intercept > 1 or any(kinds)):
        yield f"# not the same model: in mgcv the effects of {text_of(block)} are not correlated"
    if block.intercept:
        yield f's({group}, bs = "re")'
    for term, is_factor in zip(block.terms, kinds, strict=True):
        name = text_of(term)
        if len(term.factors) > 1 or (isinstance(term.factors[0], Call) and term.factors[0].function in _SEVERAL):
            yield f"# not the same model: {name} of {text_of(block)} is left out; make a column of it"
        elif is_factor:
            if block.intercept:
                yield f"# not the same model: the first level of {name} has effects of its own as well"
            yield f's({group}, by = {name}, bs = "re")'
        else:
            if is_factor is None:
                yield f'# {name} is a number; of a factor write s({group}, by = {name}, bs = "re")'
            yield f's({group}, {name}, bs = "re")'


def _is_factor(term: Term, levels: Levels | None) -> bool | None:
    """Tell whether a term is a factor; None where nobody knows."""
    name = term.factors[0].name if isinstance(term.factors[0], Name) else None
    if name is None:
        return False
    return bool(levels[name]) if levels is not None and name in levels else None


def _factors(formula: Formula) -> Iterator[str]:
    """Make factors of the columns that group: of numbers bs = "re" would have a slope."""
    groups = [part for block in formula.group_terms for part in block.group.factors if isinstance(part, Name)]
    others = {name for term in formula.terms for factor in term.factors for name in columns_of(factor)}
    for name in dict.fromkeys(part.name for part in groups):
        text = text_of(Name(name))
        if name in others:
            yield f"# {text} groups as a factor alone: where it is a number among the fixed terms, copy it first"
        else:
            yield f"data${text} <- factor(data${text})"
