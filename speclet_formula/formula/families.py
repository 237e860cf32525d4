"""A family and its link go in; the argument that lme4, brms or Bambi take for them comes out.

Names only: what a family means is left to the room `families`. Where lme4 has none, the R package that has it is named.
"""

from collections.abc import Mapping

from speclet_formula.formula.choices import check_choice

# Bambi's name -> the call in R (for lme4's users; of another package where lme4 lacks it), and in brms.
_CALLS: Mapping[str, tuple[str, str]] = {
    "gaussian": ("gaussian", "gaussian"),
    "t": ("glmmTMB::t_family", "student"),
    "asymmetriclaplace": ("", "asym_laplace"),
    "vonmises": ("", "von_mises"),
    "gamma": ("Gamma", "Gamma"),
    "exponential": ("", "exponential"),
    "wald": ("inverse.gaussian", "inverse.gaussian"),
    "lognormal": ("", "lognormal"),
    "weibull": ("", "weibull"),
    "beta": ("glmmTMB::beta_family", "Beta"),
    "bernoulli": ("binomial", "bernoulli"),
    "binomial": ("binomial", "binomial"),
    "beta_binomial": ("glmmTMB::betabinomial", "beta_binomial"),
    "poisson": ("poisson", "poisson"),
    "negativebinomial": ("glmmTMB::nbinom2", "negbinomial"),
    "zero_inflated_poisson": ("poisson", "zero_inflated_poisson"),
    "zero_inflated_negativebinomial": ("glmmTMB::nbinom2", "zero_inflated_negbinomial"),
    "zero_inflated_binomial": ("binomial", "zero_inflated_binomial"),
    "hurdle_poisson": ("glmmTMB::truncated_poisson", "hurdle_poisson"),
    "hurdle_negativebinomial": ("glmmTMB::truncated_nbinom2", "hurdle_negbinomial"),
    "hurdle_gamma": ("glmmTMB::ziGamma", "hurdle_gamma"),
    "hurdle_lognormal": ("", "hurdle_lognormal"),
    "cumulative": ("", "cumulative"),
    "sratio": ("", "sratio"),
}
_R_LINKS = {"inverse_squared": "1/mu^2"}


def spell_family(family: str, link: str, dialect: str) -> str:
    """Write a family as another package's argument.

    Parameters
    ----------
    family, link : str
        As `Model` resolves them, in Bambi's words.
    dialect : {"lme4", "brms", "bambi"}

    Returns
    -------
    str
        * lme4: R's `family = ...`; with `ziformula = ~1`, or with a package before the name, it is one for glmmTMB. For
          ordered levels the function of `ordinal` that fits them; a comment where none of these has the family;
        * brms: its `family = ...`. Its `zi` and `hu` are 1 - psi;
        * bambi: `family="...", link="..."`.

        Empty for a gaussian response with the identity link, the default of all three.

    Raises
    ------
    FormulaError
        If there is no such dialect or family.

    Examples
    --------
    >>> from speclet_formula.formula.families import spell_family
    >>> spell_family("zero_inflated_poisson", "log", "brms")
    'family = zero_inflated_poisson("log")'
    """
    check_choice("dialect", dialect, ("lme4", "brms", "bambi"))
    check_choice("family", family, tuple(_CALLS))
    if (family, link) == ("gaussian", "identity"):
        return ""
    if dialect == "bambi":
        return f'family="{family}", link="{link}"'
    in_r, in_brms = _CALLS[family]
    argument = f'("{_R_LINKS.get(link, link)}")'
    if dialect == "brms":
        return f"family = {in_brms}{argument}"
    if family == "cumulative":
        return f'ordinal::clmm(link = "{link}")'
    if not in_r:
        return f"# lme4 and glmmTMB have no {family} family"
    zeros = ", ziformula = ~1" if family.startswith(("zero_inflated", "hurdle")) else ""
    return f"family = {in_r}{argument}{zeros}"
