"""A `Formula` and a family go in; the code that fits the same model in lme4, brms or Bambi comes out.

The formula's own text is that of `dialects`; what another package cannot do is said in a comment of its language.
"""

import json
from collections.abc import Iterator
from dataclasses import replace

from speclet_formula.formula.choices import check_choice
from speclet_formula.formula.dialects import Dialect, spell_formula
from speclet_formula.formula.families import FAMILY_NAMES, OF_PROPORTIONS, R_LINKS
from speclet_formula.formula.terms import Argument, Call, Formula, Name, Number, Operation, columns_of, text_of

_MISSING = {
    "lognormal": "# lme4 has no lognormal family: fit log(y) as a gaussian response",
}


def spell_call(formula: Formula, dialect: Dialect, *, family: str, link: str, weights: str | None = None) -> str:
    """Write the code that fits a formula in another package, to data of the name `data`.

    Parameters
    ----------
    formula : Formula
        A parsed formula.
    dialect : {"lme4", "brms", "bambi"}
        Whose code to write.
    family, link : str
        This package's names: "gaussian", "identity".
    weights : str, optional
        The column of weights that divide the residual variance, or of the numbers of trials of a proportion.

    Returns
    -------
    str
        R code for lme4 (``lm`` or ``glm`` where there is no group term) and brms, Python code for Bambi. What the other
        package lacks stands in a comment; families that lme4 lacks are written for glmmTMB or ordinal where these have
        them. Priors are each package's own. brms' ``zi`` and ``hu`` are 1 - psi.

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
    check_choice("dialect", dialect, ("lme4", "brms", "bambi"))
    if dialect == "bambi":
        return "\n".join(_bambi(formula, family, link, weights))
    spell = _lme4 if dialect == "lme4" else _brms
    return "\n".join(spell(formula, family, link, weights))


def _lme4(formula: Formula, family: str, link: str, weights: str | None) -> Iterator[str]:
    """Write R code for lme4, or for R itself where nothing varies by group."""
    weights = None if weights is None else text_of(Name(weights))
    spelled = FAMILY_NAMES[family]
    if not (spelled.glm or family in ("t", "negativebinomial")):
        yield from _beside_lme4(formula, family, link, weights)
        return
    mixed = bool(formula.group_terms)
    if mixed:
        yield "library(lme4)"
    text, *comments = spell_formula(formula, "lme4").split("\n")
    yield from comments
    if family == "t":
        yield "# lme4 has no t family: this is the gaussian model"
        family = "gaussian"
    arguments = [text, "data = data"]
    if family == "negativebinomial":
        if not mixed:
            yield "library(MASS)"
        function = "glmer.nb" if mixed else "glm.nb"
        arguments += [] if link == "log" else [f"link = {link}"]
    elif (family, link) == ("gaussian", "identity"):
        function = "lmer" if mixed else "lm"
        arguments += [] if weights is None else [f"weights = {weights}"]
    else:
        function = "glmer" if mixed else "glm"
        arguments += [f"family = {_r_family(spelled.glm, link, spelled.link)}"]
        arguments += [] if weights is None else [f"weights = {weights}"]
    yield f"{function}({', '.join(arguments)})"


def _beside_lme4(formula: Formula, family: str, link: str, weights: str | None) -> Iterator[str]:
    """Write R code for the package that has a family which lme4 lacks."""
    text, *_ = spell_formula(formula, "lme4").split("\n")
    spelled = FAMILY_NAMES[family]
    if family == "cumulative":
        yield "library(ordinal)"
        given = "" if link == spelled.link else f', link = "{link}"'
        yield f"{'clmm' if formula.group_terms else 'clm'}({text}, data = data{given})"
    elif spelled.glmm_tmb:
        yield "library(glmmTMB)"
        arguments = [text, "data = data", f"family = {_r_call(spelled.glmm_tmb, link, spelled.link)}"]
        arguments += ["ziformula = ~1"] if spelled.zeros else []
        arguments += [] if weights is None else [f"weights = {weights}"]
        yield f"glmmTMB({', '.join(arguments)})"
    else:
        yield _MISSING.get(family, f"# neither lme4 nor glmmTMB has a family like {family}")


def _brms(formula: Formula, family: str, link: str, weights: str | None) -> Iterator[str]:
    """Write R code for brms."""
    yield "library(brms)"
    text = spell_formula(formula, "brms")
    if weights is not None and family in OF_PROPORTIONS:
        response, _, side = text.partition(" ~ ")
        column = text_of(Name(weights))
        text = f"round({response} * {column}) | trials({column}) ~ {side}"
    spelled = FAMILY_NAMES[family]
    default = "tan_half" if family == "vonmises" else spelled.link
    arguments = f"data = data, family = {_r_call(spelled.brms, link, default)}"
    if weights is not None and family not in OF_PROPORTIONS:
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
    inside = text.removeprefix("bf(").removesuffix(")") if formula.parameters else text
    yield f"# b_{own}_Intercept is sigma, with brms' own prior of it; a row's SD is sigma / sqrt({weights})"
    yield f'of_sigma <- subset(get_prior({text}, {arguments}), class == "sigma")$prior'
    yield f"brm(bf({inside}, nlf(sigma ~ log({own}) {_added(root)}), {own} ~ 1), {arguments},"
    yield f'    prior = set_prior(of_sigma, nlpar = "{own}", lb = 0))'


def _with_offset(part: Formula, offset: Operation) -> Formula:
    return replace(part, offsets=(*part.offsets, offset))


def _added(operation: Operation) -> str:
    """Write a product that begins with a sign behind a sum: "- 0.5 * log(w)"."""
    return text_of(operation).replace("-", "- ", 1)


def _r_family(name: str, link: str, default: str) -> str:
    return name if link == default else f'{name}(link = "{R_LINKS.get(link, link)}")'


def _r_call(name: str, link: str, default: str) -> str:
    return f"{name}()" if link == default else _r_family(name, link, default)


def _bambi(formula: Formula, family: str, link: str, weights: str | None) -> Iterator[str]:
    """Write Python code for Bambi."""
    text = spell_formula(formula, "bambi")
    yield "import bambi as bmb"
    if "np." in text:
        yield "import numpy as np"
    if any(term.correlated and len(term.terms) + term.intercept > 1 for term in formula.group_terms):
        yield "# Bambi has no correlated group effects: this leaves the correlation out; sf.to_bambi(model) keeps it"
    if weights is not None and family in OF_PROPORTIONS:
        response, _, side = text.partition(" ~ ")
        yield f'data["successes"] = (data["{response.strip("`")}"] * data["{weights}"]).round().astype(int)'
        text = f"p(successes, {weights}) ~ {side}"
    elif weights is not None:
        yield f"# Bambi's own families have no weights that divide the variance: {weights} is left out"
    quoted = text if text.startswith("bmb.Formula(") else json.dumps(text, ensure_ascii=False)
    chosen = [] if (family, link) == ("gaussian", "identity") else [f'family="{family}"']
    chosen += [] if link == FAMILY_NAMES[family].link else [f'link="{link}"']
    yield f"bmb.Model({', '.join([quoted, 'data', *chosen])}).fit()"
