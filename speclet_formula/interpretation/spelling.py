"""The code that fits a formula and a family in lme4, mgcv, brms or Bambi.

The formula's own text is that of `formula.dialects`, a family's names there are in its specification; what another
package cannot do is said in a comment of its language.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from speclet_formula.families import FAMILIES, FamilySpecification
from speclet_formula.families.specification import Elsewhere
from speclet_formula.formula.dialects import (
    Dialect,
    Levels,
    lacking_in_bambi,
    lacks_limits,
    lacks_structures,
    lme4_lacks,
    lme4_text,
    r_side,
    spell_formula,
)
from speclet_formula.formula.formulae import bambi_text, renamed_columns
from speclet_formula.formula.given_matrices import copied_for_brms, lacks_matrices, matrices_of_brms
from speclet_formula.formula.monotonic import monotonic_columns, with_free_steps
from speclet_formula.formula.multi_membership import MEMBERSHIP, memberships_in, without_memberships
from speclet_formula.formula.refusals import check_choice
from speclet_formula.formula.smooths import about_processes, smooths_in, with_processes, without_penalties
from speclet_formula.formula.terms import (
    FUNCTIONS,
    Argument,
    Call,
    Expression,
    Formula,
    Name,
    Number,
    Operation,
    calls_in,
    coding_of,
    columns_of,
    text_of,
)
from speclet_formula.interpretation.gam import about_smooths, gam_code, gamm4_code, r_family

type Spelled = Dialect | Literal["mgcv"]
NEWER_STRUCTURES = ("homdiag", "homcs", "hetar1")  # glmmTMB 1.1.5 has diag, cs and ar1 alone


def spell_call(
    formula: Formula,
    dialect: Spelled,
    *,
    family: str,
    link: str,
    weights: str | None = None,
    levels: Levels | None = None,
) -> str:
    """Write the code that fits a formula in another package, to data of the name `data`.

    Parameters
    ----------
    formula : Formula
        A parsed formula.
    dialect : {"lme4", "brms", "bambi", "mgcv"}
        Whose code to write.
    family, link : str
        This package's names: "gaussian", "identity".
    weights : str, optional
        The column of weights that divide the residual variance, or of the numbers of trials of a proportion.
    levels : mapping of str to sequence of str, optional
        What the data say of a column: its levels, or none for a number. A column that is not there may be either.

    Returns
    -------
    str
        R code for lme4 (``lm`` or ``glm`` where there is no group term) and brms, Python code for Bambi. What the other
        package lacks stands in a comment; lme4's code of smooths is mgcv's, or gamm4's beside group terms, and "mgcv"
        has group terms as smooths with ``bs = "re"``; what lme4 lacks of families, links and formulas of parameters
        is written for glmmTMB or ordinal where these have it. Priors are each package's own. A parameter's formula has
        the other package's name for it: brms' ``phi`` and ``shape``, glmmTMB's ``dispformula``; brms' ``zi`` and ``hu``
        and glmmTMB's ``ziformula`` are of 1 - psi, whose coefficients have the opposite sign, which a comment says.

    Raises
    ------
    FormulaError
        If there is no such dialect.

    Examples
    --------
    >>> from speclet_formula.formula.parse import parse_formula
    >>> print(spell_call(parse_formula("n ~ x + (1 | g)"), "lme4", family="poisson", link="log"))
    library(lme4)
    glmer(n ~ 1 + x + (1 | g), data = data, family = poisson)
    """
    check_choice("dialect", dialect, ("lme4", "brms", "bambi", "mgcv"))
    known = FAMILIES[family]
    left_out = () if dialect == "brms" else (*_of_memberships(formula, dialect), *_of_steps(formula, dialect))
    formula = named_formula(formula, dialect, family) if left_out else formula
    single: tuple[str, ...] = ()
    if dialect in ("brms", "bambi") and known.single_trials and weights is None and not _is_counted(formula):
        if levels is None:
            single = (f"# of single trials: {_title(dialect)} has the family {known.single_trials} for them",)
        else:  # the data were read as single trials
            known = FAMILIES[known.single_trials]
    if dialect == "bambi":
        return "\n".join((*left_out, *single, *_bambi(formula, known, link, weights, levels)))
    if dialect == "brms":
        lines = _brms(formula, known, link, weights)
    else:
        write = gam_code if dialect == "mgcv" else gamm4_code if smooths_in(formula) else _lme4
        lines = write(formula, known, link, weights, levels)
    return "\n".join((*left_out, *_of_packages(formula), *_of_functions(formula), *single, *lines))


def _title(dialect: Spelled) -> str:
    """Return how a package writes its name."""
    return "Bambi" if dialect == "bambi" else dialect


def _is_counted(formula: Formula) -> bool:
    return isinstance(formula.response, Call) and formula.response.function == "cbind"


def named_formula(formula: Formula, dialect: Spelled, family: str) -> Formula:
    """Give the formulas of a family's parameters the names, and the signs of their offsets, that they have elsewhere.

    Returns
    -------
    Formula
        For brms with its names; otherwise without terms of mm(), and with free steps in the place of monotonic effects,
        which other packages lack.
    """
    if dialect != "brms":
        return with_free_steps(without_memberships(formula), coded=dialect != "bambi")
    named = ((in_brms(FAMILIES[family], name), part) for name, part in formula.parameters)
    return replace(formula, parameters=tuple((known.name, _signed(part, known.sign)) for known, part in named))


def in_brms(family: FamilySpecification, parameter: str) -> Elsewhere:
    """Name a family's parameter as brms does: zi and hu are 1 - psi, an asymmetric Laplace's sigma goes as 1 / b."""
    return family.parameter(parameter).brms or Elsewhere(parameter)


def _of_packages(formula: Formula) -> Iterator[str]:
    """Load R's packages of spline bases and of successive differences where a formula calls them."""
    if any(call.function in ("bs", "ns") for call in calls_in(formula)):
        yield "library(splines)"
    if any(coding_of(call) == "sdif" for call in calls_in(formula)):
        yield "library(MASS)"


def _of_memberships(formula: Formula, dialect: Spelled) -> Iterator[str]:
    """Say which terms of mm() are left out."""
    for term in memberships_in(formula):
        yield f"# {_title(dialect)} has no mm(): this is another model, without {term}"
    if dialect == "lme4" and memberships_in(formula):
        yield "# brms has it, and lme4 where its matrix Zt is replaced by hand, between the steps of help(modular)"


def _of_steps(formula: Formula, dialect: Spelled) -> Iterator[str]:
    """Say which steps are free."""
    for name in monotonic_columns(formula):
        label = text_of(Name(name))
        yield f"# {_title(dialect)} has no mo(): this is another model, in which each step of {label} may go either way"
    if dialect == "bambi" and monotonic_columns(formula):
        yield "# sf.to_bambi(model) keeps them one way"


def _of_functions(formula: Formula) -> Iterator[str]:
    """Say which functions R does not know."""
    known = {*FUNCTIONS, MEMBERSHIP}
    for name in dict.fromkeys(call.function for call in calls_in(formula) if call.function not in known):
        yield f"# {name}() is a function of your own: define it in R too"


def _signed(formula: Formula, sign: int) -> Formula:
    """Change the sign of a predictor: its coefficients take it up, its offsets cannot."""
    if sign > 0:
        return formula
    return replace(formula, offsets=tuple(Operation("-", (offset,)) for offset in formula.offsets))


def _lme4(
    formula: Formula, family: FamilySpecification, link: str, weights: str | None, levels: Levels | None
) -> Iterator[str]:
    """Write R code for lme4, for R itself where nothing varies by group, or for the package that has what they lack."""
    column = None if weights is None else text_of(Name(weights))
    if family.logarithm_of and not family.zeros and link == "identity" and formula.response is not None:
        yield f"# a {family.name} response is the {family.logarithm_of} model of its logarithm"
        formula = replace(formula, response=Call("log", (Argument(None, formula.response),)))
        family = FAMILIES[family.logarithm_of]
    spelled = family.spelling
    if spelled.clm:
        yield from _ordinal(formula, family, link)
    elif link in spelled.glm_lacks:
        yield f"# neither lme4 nor glmmTMB has the link {link} for this family"
    elif _wants_glmm_tmb(formula, family, link):
        yield from _glmm_tmb(formula, family, link, column, levels)
    elif spelled.glm or spelled.own_functions:
        yield from _lme4_call(formula, family, link, column, levels)
    else:
        yield f"# neither lme4 nor glmmTMB has a family like {family.name}"


def _wants_glmm_tmb(formula: Formula, family: FamilySpecification, link: str) -> bool:
    """Tell whether glmmTMB has what lme4 lacks: the family, its link, or formulas of its parameters."""
    spelled = family.spelling
    if not spelled.glmm_tmb:
        return False
    mapped = [family.parameter(name).glmm_tmb for name, _ in formula.parameters]
    if spelled.glm:
        return bool(mapped) and None not in mapped
    if not spelled.own_functions or any(mapped):
        return True
    return bool(formula.group_terms) and link != family.links[0]


def _lme4_call(
    formula: Formula, family: FamilySpecification, link: str, weights: str | None, levels: Levels | None
) -> Iterator[str]:
    """Write the call of lme4, of MASS or of R itself."""
    mixed = bool(formula.group_terms)
    if mixed:
        yield "library(lme4)"
    yield from lme4_lacks(formula, levels)
    arguments = [lme4_text(formula, levels), "data = data"]
    if family.spelling.own_functions:
        if not mixed:
            yield "library(MASS)"
        function = family.spelling.own_functions[mixed]
        arguments += [] if link == family.links[0] else [f"link = {link}"]
    elif link == family.linear_link:
        function = "lmer" if mixed else "lm"
        arguments += [] if weights is None else [f"weights = {weights}"]
    else:
        function = "glmer" if mixed else "glm"
        arguments += [f"family = {r_family(family.spelling.glm, link, family.links[0])}"]
        arguments += [] if weights is None else [f"weights = {weights}"]
    yield f"{function}({', '.join(arguments)})"


def _glmm_tmb(
    formula: Formula, family: FamilySpecification, link: str, weights: str | None, levels: Levels | None
) -> Iterator[str]:
    """Write the call of glmmTMB, whose formulas of parameters are arguments."""
    spelled = family.spelling
    yield "library(glmmTMB)"
    yield from lacks_limits(formula, "glmmTMB")
    yield from lacks_matrices(formula, "glmmTMB")
    for word in dict.fromkeys(block.structure.word for block in formula.group_terms if block.structure is not None):
        if word in NEWER_STRUCTURES:
            yield f"# {word}() needs a recent glmmTMB: version 1.1.5 lacks it"
    arguments = [lme4_text(formula, levels, glmm_tmb=True), "data = data"]
    if link != family.linear_link:
        arguments.append(f"family = {_r_call(spelled.glmm_tmb, link, spelled.glmm_tmb_link or family.links[0])}")
    sides = {"ziformula": "~1"} if spelled.glmm_tmb_zeros else {}
    for name, part in formula.parameters:
        known = family.parameter(name).glmm_tmb
        if known is None:
            yield f"# glmmTMB has no formula for this parameter: {name} ~ {r_side(part)}"
            continue
        yield from _about_parameter(known, part, family)
        sides[known.name] = f"~ {r_side(_signed(part, known.sign))}"
    arguments += [f"{name} = {side}" for name, side in sides.items()]
    if weights is not None and family.weights == "trials":
        arguments.append(f"weights = {weights}")
    elif weights is not None:
        yield f"# glmmTMB has no weights that divide the variance: {weights} is left out"
    yield f"glmmTMB({', '.join(arguments)})"


def _about_parameter(known: Elsewhere, part: Formula, family: FamilySpecification) -> Iterator[str]:
    """Say how a parameter of glmmTMB differs from ours."""
    if known.note:
        yield known.note
    if family.linear_link and part.offsets:
        yield (
            "# older versions of glmmTMB (1.1.5) model the logarithm of the variance, not of sigma: double this offset "
            "there"
        )
    if known.name == "dispformula" and part.group_terms:
        yield "# group terms in dispformula need glmmTMB 1.1.9 or a newer one"


def _ordinal(formula: Formula, family: FamilySpecification, link: str) -> Iterator[str]:
    """Write the call of ordinal, for cumulative models."""
    yield "library(ordinal)"
    if any(not block.correlated and block.terms for block in formula.group_terms):
        yield "# ordinal has no (x || g): a term for each column instead, (1 | g) + (0 + x | g)"
    given = "" if link == family.links[0] else f', link = "{link}"'
    yield from (*lacks_structures(formula, "ordinal"), *lacks_matrices(formula, "ordinal"))
    formula = replace(formula, group_terms=tuple(replace(block, structure=None) for block in formula.group_terms))
    text = lme4_text(formula, dict.fromkeys(columns_of(formula), ()))
    yield f"{'clmm' if formula.group_terms else 'clm'}({text}, data = data{given})"


def _brms(formula: Formula, family: FamilySpecification, link: str, weights: str | None) -> Iterator[str]:
    """Write R code for brms."""
    yield "library(brms)"
    if any(not smooth.is_process for smooth in smooths_in(formula)):
        yield "# sds() are those of mgcv's coordinates, and not of the curve: their priors are of another size"
    yield from about_smooths(formula, "brms")
    for name in monotonic_columns(formula):
        yield f"# mo() takes whole numbers, or a factor that is ordered in R: data${text_of(Name(name))}"
    spelled = family.spelling
    if not spelled.brms:
        yield f"# brms has no family like {family.name}"
        return
    if link in spelled.brms_lacks:
        yield f"# brms has no link {link} for this family"
    yield from (spelled.brms_note,) if spelled.brms_note else ()
    yield from (known.note for name, _ in formula.parameters if (known := in_brms(family, name)).note)
    yield from lacks_structures(formula, "brms")
    formula, copies = copied_for_brms(named_formula(formula, "brms", family.name))
    for name, group in copies.items():
        yield f"data${text_of(Name(name))} <- with(data, {text_of(group)})  # brms takes an effect of a column once"
    text = spell_formula(formula, "brms")
    if weights is not None and family.weights == "trials":
        response, _, side = text.partition(" ~ ")
        column = text_of(Name(weights))
        text = f"round({response} * {column}) | trials({column}) ~ {side}"
    if spelled.brms_fixed:
        text = f"bf({_inside(text, formula)}, {spelled.brms_fixed})"
    arguments = f"data = data, family = {_r_call(spelled.brms, link, spelled.brms_link or family.links[0])}"
    if matrices := matrices_of_brms(formula):
        arguments += f", data2 = list({', '.join(f'{name} = {made}' for name, made in matrices.items())})"
    if weights is not None and family.weights != "trials":
        yield from _brms_weighted(formula, weights, arguments)
    else:
        yield f"brm({text}, {arguments})"


def _brms_weighted(formula: Formula, weights: str, arguments: str) -> Iterator[str]:
    """Write a model whose weights divide the variance: log sigma has the offset -log(weight) / 2.

    A sigma without a formula keeps brms' own prior of it: it is a parameter of its own, whose logarithm is taken.
    """
    root = Operation("*", (Operation("-", (Number(0.5),)), Call("log", (Argument(None, Name(weights)),))))
    if any(name == "sigma" for name, _ in formula.parameters):
        parts = ((name, _with_offset(part, root) if name == "sigma" else part) for name, part in formula.parameters)
        yield f"brm({spell_formula(replace(formula, parameters=tuple(parts)), 'brms')}, {arguments})"
        return
    text = spell_formula(formula, "brms")
    own = next(name for name in ("s", "sd0", "sd1") if name not in (weights, *columns_of(formula)))
    inside = _inside(text, formula)
    yield f"# b_{own}_Intercept is sigma, with brms' own prior of it; a row's SD is sigma / sqrt({weights})"
    yield f'of_sigma <- subset(get_prior({text}, {arguments}), class == "sigma")$prior'
    yield f"brm(bf({inside}, nlf(sigma ~ log({own}) {_added(root)}), {own} ~ 1), {arguments},"
    yield f'    prior = set_prior(of_sigma, nlpar = "{own}", lb = 0))'


def _inside(text: str, formula: Formula) -> str:
    """Return brms' formulas without the call that holds several of them."""
    return text.removeprefix("bf(").removesuffix(")") if formula.parameters else text


def _with_offset(part: Formula, offset: Expression) -> Formula:
    return replace(part, offsets=(*part.offsets, offset))


def _added(operation: Operation) -> str:
    """Write a product that begins with a sign behind a sum: "- 0.5 * log(w)"."""
    return text_of(operation).replace("-", "- ", 1)


def _r_call(name: str, link: str, default: str) -> str:
    return f"{name}()" if link == default else r_family(name, link, default)


def _bambi(
    formula: Formula, family: FamilySpecification, link: str, weights: str | None, levels: Levels | None
) -> Iterator[str]:
    """Write Python code for Bambi."""
    yield from about_processes(formula, "Bambi")
    for smooth in (one for one in smooths_in(formula) if not one.is_process):
        yield f"# not the same model: Bambi has no {smooth.label}, and here is a spline without a penalty"
    formula = with_processes(without_penalties(formula), "Bambi")
    success = _success(formula, family, levels or {})
    text = bambi_text(formula, success)
    yield "import bambi as bmb"
    if "np." in text:
        yield "import numpy as np"
    yield from lacking_in_bambi(formula, levels)
    if family.per_level is not None:
        own = (f"{name} ~ {r_side(part)}" for name, part in formula.parameters)
        yield from (f"# Bambi has one formula for all levels of the response: {text}" for text in own)
        text = bambi_text(replace(formula, parameters=()))
    binary = family.support == "binary"
    if binary and isinstance(formula.response, Name) and formula.response.name not in (levels or {}):
        name = text_of(formula.response)
        yield f"# of a factor Bambi models the first level, and not the second: write {name}['its second level'] then"
    if success is not None and not formula.response.name.isidentifier():  # type: ignore[union-attr]
        text = bambi_text(formula)
        yield f"# not the same model: Bambi takes the first level, and {success!r} only of a column with a plain name"
    renamed = renamed_columns(formula)
    if renamed:
        yield f"data = data.rename(columns={_python_text(renamed)})"
    if weights is not None and family.weights == "trials":
        response, _, side = text.partition(" ~ ")
        yield f'data["successes"] = (data["{response.strip("`")}"] * data["{weights}"]).round().astype(int)'
        text = f"p(successes, {weights}) ~ {side}"
    elif weights is not None:
        yield f"# Bambi's own families have no weights that divide the variance: {weights} is left out"
    quoted = text if text.startswith("bmb.Formula(") else _python_text(text)
    chosen = [] if link == family.linear_link else [f'family="{family.name}"']
    chosen += [] if link == family.links[0] else [f'link="{link}"']
    yield f"bmb.Model({', '.join([quoted, 'data', *chosen])}).fit()"


def _success(formula: Formula, family: FamilySpecification, levels: Levels) -> str | None:
    """Return the level of a factor as response whose probability is modelled: the second."""
    response = formula.response
    if family.support != "binary" or not isinstance(response, Name) or not levels.get(response.name):
        return None
    return levels[response.name][1]


def _python_text(value: object) -> str:
    """Write text, or a dictionary of it, as Python, which reads JSON's."""
    return json.dumps(value, ensure_ascii=False)
