"""The five presets: a prior for every slot of a design, before a user's changes.

The package's own defaults, those of Bambi, brms and rstanarm, and the fixed numbers of the notebook that the package
grew from. What a preset gives a family's parameter is a fact of the family, in `families.specification`; one that has a
formula is the inverse link of a linear predictor, whose terms get their priors here. What a user changes is left to
`slots`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from scipy.special import expit

from speclet_formula.common.correlations import MIDDLE
from speclet_formula.design import Design, FixedTerm, GroupBlock
from speclet_formula.design.design import Predictor, replace_mean
from speclet_formula.design.merged import column_means
from speclet_formula.errors import PriorError
from speclet_formula.families import FamilySpecification
from speclet_formula.families.specification import Measures, Parameter, Stated
from speclet_formula.formula.terms import text_of
from speclet_formula.priors.densities import log_density
from speclet_formula.priors.distributions import FloatArray
from speclet_formula.priors.prior import Preset, Prior
from speclet_formula.priors.scales import column_sd, linked, own_sds, response_sd, scales_of

_PROBIT = 4 / math.sqrt(2 * math.pi)  # rstanarm's dnorm(0) / dlogis(0)
# In SDs of the response, by the coverage of few levels: see docs/explanation/default-priors.md.
_REACH = 2.0  # the scale of a group SD's half-Cauchy prior
_WIDE = 10.0  # the SD of the intercept's prior
# Linear predictors beyond it are left out of the moments of a prior: exp(60) is 1e26.
_FARTHEST = 60.0
# log |d parameter / d eta| of each link
_JACOBIANS: Mapping[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "log": (np.exp, lambda eta: eta),
    "logit": (expit, lambda eta: -np.logaddexp(0, eta) - np.logaddexp(0, -eta)),
    "identity": (np.asarray, np.zeros_like),
}


def preset_of(name: str, design: Design, family: FamilySpecification, link: str) -> Preset:
    """Return a preset's priors for a design.

    Parameters
    ----------
    name : {"weak", "bambi", "brms", "rstanarm", "notebook"}
        The preset, see Notes. In all of them the prior of the intercept, or of an ordinal model's thresholds, is for
        the one **at the predictors' means**.
    design : Design
        The design that the priors are scaled to.
    family : FamilySpecification
        Those with a sigma in the response's units have their own rules in "bambi" and "rstanarm".
    link : str
        The link of the mean.

    Returns
    -------
    Preset

    Raises
    ------
    PriorError
        If the link has no defaults.

    Notes
    -----
    sd y is the SD of the response with n - 1, sd x that of a column over the rows; a column that never varies counts as
    SD 1, and so does such a response. m is the link of the mean response, less the mean offset.

    *weak*: intercept Normal(m, 10 u), coefficients Normal(0, 2.5 u / s) with s = sd x, but in and beside interactions
    with numbers the SD of what the other terms leave of the column (`scales.own_sds`); group SDs HalfCauchy(2 u), of
    slopes HalfCauchy(2 u / sd x), correlations LKJ(2), sigma HalfStudentT(4, sd y). Group intercepts are those at zero.
    u = sd y for the identity link and sd y / (mean y)^2 for inverse. On log, logit, probit and cloglog links u = 1.
    Where the mean cannot be any number, that is on other links than the identity and for other families than gaussian,
    t, laplace, asymmetriclaplace, exgaussian and the log-normal ones, the intercept has Normal(m, 2.5 u) and group SDs
    HalfNormal(u), of slopes HalfNormal(u / sd x). Without an intercept sqrt(u^2 + m^2) takes the place of u for the
    coefficients, which then also carry the distance from zero to the mean; without any fixed term it does so for the
    group SDs. The t family's nu has Gamma(2, 0.1), alpha, kappa and lam HalfCauchy(1) and psi Beta(2, 2), all as in
    Bambi, but for what has the response's units: lam (wald) HalfCauchy(mean^3 / sd^2), for asymmetriclaplace b
    HalfCauchy(sqrt(2) / sd y) and kappa LogNormal(0, 1), for laplace b HalfStudentT(4, sd y / sqrt(2)), for exgaussian
    nu HalfStudentT(4, sd y). For log-normal families y is log(y); for hurdles and zero-inflated families only rows
    above 0 are measured. For inverse_squared u is 2 sd y / (mean y)^3. Thresholds have Normal(link(share), 2.5) around
    the share of rows at or below each level (cumulative), or of those at the level among those that reach it (sratio).

    *bambi*: the numbers of Bambi 0.21's automatic priors (SDs with n). Group intercepts' SDs grow with the predictors'
    means there. Bambi has no correlations: LKJ(2). Thresholds Normal(-2 ... 2, 1), or Normal(0, 1) for sratio.

    *brms*: intercept StudentT(3, median, s), coefficients flat (improper), SDs and sigma HalfStudentT(3, s), LKJ(1),
    with s = max(2.5, MAD) of link(y), for sigma of y itself, both to one decimal; on logit, probit and cloglog links
    StudentT(3, 0, 2.5). The negative binomial's alpha (brms' shape) has InverseGamma(0.4, 0.3), other shapes and
    precisions Gamma(0.01, 0.01), von Mises' kappa Gamma(2, 0.01), exgaussian's nu Gamma(1, 0.1), laplace's b, which is
    twice brms' sigma, HalfStudentT(3, 2 s), psi Beta(1, 1), thresholds StudentT(3, 0, 2.5).

    *rstanarm*: intercept Normal(mean y, 2.5 sd y), coefficients Normal(0, 2.5 sd y / sd x), sigma Exponential(1 / sd
    y); Normal(0, 2.5) and Normal(0, 2.5 / sd x) for other families, alpha Exponential(1); 2.5 times 1.6, dnorm(0) /
    dlogis(0), with a probit link. Its decov prior makes the SD of a group intercept sigma tau with tau ~
    Exponential(1), and splits k sigma^2 tau^2 among the k variances of a correlated block by a flat Dirichlet. Here
    each SD has its own Exponential(1 / sd y) instead (Exponential(1) for other families): sd y stands for sigma, and a
    block's variances share no tau. LKJ(1). Kappa has Exponential(1) as its phi of a beta regression; thresholds
    Normal(0, 2.5), where rstanarm has a Dirichlet prior.

    *notebook*: Normal(0, 5) for intercept, thresholds and coefficients, Exponential(1) for SDs and sigma, LKJ(2).

    References
    ----------
    Gelman, Jakulin, Pittau & Su (2008), doi:10.1214/08-AOAS191. Westfall (2017), arXiv:1702.01201 (Bambi).
    Buerkner (2017), doi:10.18637/jss.v080.i01 (brms).
    """
    return _PRESETS[name](design, family, link)


def _weak(design: Design, family: FamilySpecification, link: str) -> Preset:
    """Scale everything to the response, and nothing to a predictor's mean."""
    scales = scales_of(measured(design, family), link)
    has_intercept = family.is_ordinal or design.mean.has_intercept
    # Without an intercept the coefficients also carry the distance from zero to the mean; without any fixed term it is
    # the group effects that do.
    from_zero = math.hypot(scales.unit, scales.centre)
    fixed_unit = scales.unit if has_intercept else from_zero
    group_unit = scales.unit if design.mean.fixed or family.is_ordinal else from_zero
    free = link == "identity" and family.is_unbounded
    return Preset(
        Prior("Normal", mu=scales.centre, sigma=(_WIDE if free else 2.5) * scales.unit),
        lambda term: Prior("Normal", mu=0, sigma=2.5 * fixed_unit / own_sds(design.mean, term, design.merged)),
        lambda block, column: _weak_group_sd(group_unit / _block_sd(design, block, column), free),
        Prior("LKJ", eta=2),
        parameter_priors("weak", family, design, link, mean=scales.mean, sd=scales.sd, wide=2.5 * scales.unit),
    )


def _weak_group_sd(unit: float, free: bool) -> Prior:
    """Give heavy tails where the unit is the response's SD: with few levels a large SD can be many times that.

    A mean that has to be positive is left with light ones, which seldom make it negative.
    """
    return Prior("HalfCauchy", beta=_REACH * unit) if free else Prior("HalfNormal", sigma=unit)


def _bambi(design: Design, family: FamilySpecification, link: str) -> Preset:
    """Reproduce bambi.priors.PriorScaler: only Gaussian and t responses are measured."""
    scaled = family.is_scaled
    mean, sd = (float(column_means(design, design.response)), response_sd(design, 0)) if scaled else (0.0, 1.0)
    logit_like = family.is_share and link in ("logit", "probit")
    sigmas = {
        term.name: _bambi_logit(design, term) if logit_like else _over_sd(design, term, 2.5 * sd, 0)
        for term in design.mean.fixed
        if term.kind != "intercept"
    }
    inflated = _bambi_inflated(design, sigmas, 2.5 * sd)
    return Preset(
        Prior("Normal", mu=0, sigma=1.5) if logit_like else Prior("Normal", mu=mean, sigma=inflated),
        lambda term: Prior("Normal", mu=0, sigma=sigmas[term.name]),
        lambda block, column: Prior(
            "HalfNormal",
            sigma=inflated if block.columns[column] == "1" else 2.5 * sd / _block_sd(design, block, column, 0),
        ),
        Prior("LKJ", eta=2),
        parameter_priors("bambi", family, design, link, mean=mean, sd=sd, wide=inflated),
    )


def _brms(design: Design, family: FamilySpecification, link: str) -> Preset:
    """Follow brms' def_scale_prior."""
    if design.merged is not None:
        raise PriorError(
            "the preset 'brms' takes the median of the response, which rows that are merged have lost.",
            "The presets 'weak', 'bambi', 'rstanarm' and 'notebook' serve merged rows.",
            "Leave priors= out for 'weak'.",
        )
    # brms takes all rows of a hurdle, but the logarithms of a log-normal response, a zero being 0.1 to it. Sigma has
    # the units of the response itself, whatever the link of its mean.
    logarithmic = bool(family.logarithm_of)
    scales = scales_of(measured(design, family) if family.is_ordinal else design, "log" if logarithmic else link)
    spread = max(2.5, scales.mad)
    residual = spread if logarithmic else max(2.5, scales_of(design, "identity").mad)
    positive = Prior("HalfStudentT", nu=3, sigma=spread)
    return Preset(
        Prior("StudentT", nu=3, mu=scales.median, sigma=spread),
        lambda _term: Prior("Flat"),
        lambda _block, _column: positive,
        Prior("LKJ", eta=1),
        parameter_priors("brms", family, design, link, mean=scales.mean, sd=residual, wide=spread),
    )


def _rstanarm(design: Design, family: FamilySpecification, link: str) -> Preset:
    """Follow rstanarm's autoscale, which measures Gaussian responses only."""
    scaled = family.is_scaled
    scales = scales_of(measured(design, family), link)
    sd = scales.sd if scaled else 1.0
    exponential = Prior("Exponential", lam=1 / sd)
    wide = 2.5 * sd * (_PROBIT if link == "probit" else 1)
    return Preset(
        Prior("Normal", mu=scales.mean if scaled and link == "identity" else 0, sigma=wide),
        lambda term: Prior("Normal", mu=0, sigma=_over_sd(design, term, wide)),
        lambda _block, _column: exponential,
        Prior("LKJ", eta=1),
        parameter_priors("rstanarm", family, design, link, mean=scales.mean, sd=sd, wide=wide),
    )


def _notebook(design: Design, family: FamilySpecification, link: str) -> Preset:
    """Give the notebook's numbers, whatever the data."""
    normal, exponential = Prior("Normal", mu=0, sigma=5), Prior("Exponential", lam=1)
    return Preset(
        normal,
        lambda _term: normal,
        lambda _block, _column: exponential,
        Prior("LKJ", eta=2),
        parameter_priors("notebook", family, design, link, mean=0.0, sd=1.0, wide=5.0),
    )


_PRESETS: Mapping[str, Callable[[Design, FamilySpecification, str], Preset]] = {
    "weak": _weak,
    "bambi": _bambi,
    "brms": _brms,
    "rstanarm": _rstanarm,
    "notebook": _notebook,
}
PRESETS: tuple[str, ...] = tuple(_PRESETS)


def uniform_correlation(block: GroupBlock) -> Prior:
    """Give the prior of the correlation of cs() and ar1(), the same in all presets: uniform over its whole range."""
    assert block.structure is not None
    return Prior("Uniform", lower=block.structure.lowest(len(block.columns)), upper=1)


def length_scale(block: GroupBlock) -> Prior:
    """Give the prior of the length-scale of a gp(), the same in all presets, in its variable's unit.

    Half of it lies above half the largest distance of a row from the mean, a quarter of the range of even rows; 98 %
    between a tenth of that distance and 2.5 times it.
    """
    assert block.structure is not None
    return Prior("LogNormal", mu=float(np.log(MIDDLE * block.structure.distance)), sigma=0.7)


def _over_sd(design: Design, term: FixedTerm, scale: float, ddof: int = 1) -> FloatArray:
    """Divide a scale by the SD of each of a term's columns."""
    rows = None if design.merged is None else design.merged.rows
    return np.array(
        [scale / column_sd(column, ddof, rows=rows) for column in design.mean.X[:, term.start : term.stop].T]
    )


def _block_sd(design: Design, block: GroupBlock, column: int, ddof: int = 1) -> float:
    """Give the SD of a block's column over the rows; 1 for its intercept, of a smooth that of all its columns."""
    if block.stretches:  # its SD is the curve's own
        return 1.0
    if block.smooth:
        sizes = np.square(block.values).sum(axis=1)
        return float(np.sqrt(sizes[sizes > 0].mean()))
    return column_sd(block.values[:, column], ddof, rows=None if design.merged is None else design.merged.rows)


def _bambi_inflated(design: Design, sigmas: Mapping[str, FloatArray], scale: float) -> float:
    """Give Bambi's SD of an intercept: it grows with the predictors' means."""
    terms = [term for term in design.mean.fixed if term.kind != "intercept"]
    added = sum(
        float(np.sum((sigmas[term.name] * column_means(design, design.mean.X[:, term.start : term.stop])) ** 2))
        for term in terms
    )
    return float(np.sqrt(scale**2 + added))


def _bambi_logit(design: Design, term: FixedTerm) -> FloatArray:
    """Give Bambi's SDs on logit and probit links: 1 for categories, 1 / sd x for numbers.

    In an interaction of categories with numbers, Bambi takes the SD of the rows' sums for all columns alike.
    """
    columns = design.mean.X[:, term.start : term.stop]
    if term.kind == "numeric":
        return _over_sd(design, term, 1.0, 0)
    interaction = any(text_of(known) == term.name and len(known.factors) > 1 for known in design.formula.terms)
    if not interaction or np.isin(columns, (0, 1)).all():
        return np.ones(columns.shape[1])
    return np.full(columns.shape[1], 1 / column_sd(columns.sum(axis=1), 0))


# --- parameters of families -------------------------------------------------------------------------------------------


def measured(design: Design, family: FamilySpecification) -> Design:
    """Return the design with the response that the mean's link belongs to.

    Parameters
    ----------
    design : Design
    family : FamilySpecification

    Returns
    -------
    Design
        The logarithms of a log-normal response; of zero-inflated families and hurdles the rows above 0 alone, where
        there are any; of an ordinal response whether it is the lowest level. Only `response`, `trials` and `offset`
        change.
    """
    if family.is_ordinal:
        return replace(design, response=(design.response == 0).astype(float))
    kept = design.response > 0
    if family.zeros and kept.any():
        trials = None if design.trials is None else design.trials[kept]
        design = replace_mean(design, offset=design.mean.offset[kept])
        design = replace(design, response=design.response[kept], trials=trials)
    if family.logarithm_of and (design.response > 0).all():
        design = replace(design, response=np.log(design.response))
    return design


def parameter_priors(
    preset: str, family: FamilySpecification, design: Design, link: str, *, mean: float, sd: float, wide: float
) -> dict[str, Prior]:
    """Give each of a family's parameters the prior that a preset has for it.

    Parameters
    ----------
    preset : str
    family : FamilySpecification
    design : Design
        As it was given, not `measured`.
    link : str
        Of the mean, which thresholds are on.
    mean, sd, wide : float
        What the preset measured of the response: its mean, the spread that it gives sigma, and the SD of the
        intercept.

    Returns
    -------
    dict of str to Prior
    """
    counts = np.bincount(design.response.astype(int), minlength=len(design.levels)) if family.is_ordinal else ()
    measures = Measures(mean, sd, wide, np.asarray(counts, dtype=float), lambda share: linked(share, link))
    return {parameter.name: stated_prior(parameter.default(preset, measures)) for parameter in family.own_parameters}


def stated_prior(stated: Stated) -> Prior:
    """Return the prior that a family's file states as a distribution's name and its parameters."""
    name, parameters = stated
    return Prior(name, **parameters)


def varying_preset(name: str, preset: Preset, predictor: Predictor, parameter: Parameter) -> Preset:
    """Return a preset's priors for the formula of one parameter.

    Parameters
    ----------
    name : {"weak", "bambi", "brms", "rstanarm", "notebook"}
        The preset.
    preset : Preset
        Its priors for the mean; `parameters` has that of the parameter as one number.
    predictor : Predictor
        The columns and blocks of the parameter's formula.
    parameter : Parameter
        Of the family.

    Returns
    -------
    Preset
        Its `parameters` are empty.

    Notes
    -----
    All priors are on the parameter's link. m and s are mean and SD of link(parameter) under the prior that the preset
    gives to the parameter as one number, found by quadrature: for weak's HalfStudentT(4, sd y) of sigma
    m = log(sd y) - 0.5 and s = 1.18.

    *weak*: intercept (at the predictors' means) Normal(m, s), so that equal parameters have nearly the prior that one
    number would have; coefficients Normal(0, 1 / s), s as for the mean: by a factor of 7 or more for each SD of x with
    a probability of 0.05; group SDs HalfNormal(1), of slopes HalfNormal(1 / sd x); correlations LKJ(2). Without an
    intercept sqrt(1 + m^2) takes the place of 1 for the coefficients, and without any fixed term for the group SDs.

    *bambi*: Normal(0, 1), HalfNormal(1), as Bambi 0.21, which does not scale these; LKJ(2).

    *brms*: coefficients flat; the intercept of sigma, alpha, kappa and lam StudentT(3, 0, 2.5), of von Mises' kappa
    Normal(5, 0.8), of a t response's nu Normal(2.7, 0.8), of exgaussian's Normal(1.7, 1.3), of laplace's b StudentT(3,
    log(2), 2.5), of psi Logistic(0, 1), any other's Normal(m, s); SDs and correlations as for the mean.

    *rstanarm* has no such formulas; its rules for non-Gaussian means: intercept Normal(m, 2.5), coefficients
    Normal(0, 2.5 / sd x), SDs Exponential(1), LKJ(1).

    *notebook*: as for the mean.
    """
    if name == "notebook":
        return preset
    if name == "brms" and parameter.brms_predictor:
        own = stated_prior(parameter.brms_predictor)
        return Preset(own, preset.fixed, preset.group_sd, preset.correlation, {})
    mean, spread = linked_moments(preset.parameters[parameter.name], str(parameter.link))
    intercept = Prior("Normal", mu=mean, sigma=spread)
    if name == "bambi":
        standard = Prior("Normal", mu=0, sigma=1)
        return Preset(
            standard, lambda _t: standard, lambda _b, _c: Prior("HalfNormal", sigma=1), preset.correlation, {}
        )
    if name == "brms":
        return Preset(intercept, preset.fixed, preset.group_sd, preset.correlation, {})
    if name == "rstanarm":
        intercept = Prior("Normal", mu=mean, sigma=2.5)
        exponential = Prior("Exponential", lam=1)
        return Preset(intercept, _slopes(predictor), lambda _b, _c: exponential, preset.correlation, {})
    from_zero = float(np.hypot(1.0, mean))
    fixed_unit = 1.0 if predictor.has_intercept else from_zero
    group_unit = 1.0 if predictor.fixed else from_zero
    return Preset(
        intercept,
        lambda term: Prior("Normal", mu=0, sigma=fixed_unit / own_sds(predictor, term)),
        lambda block, column: Prior("HalfNormal", sigma=group_unit / column_sd(block.values[:, column])),
        preset.correlation,
        {},
    )


def _slopes(predictor: Predictor) -> Callable[..., Prior]:
    """Return rstanarm's Normal priors, whose SDs shrink with the columns' own."""
    return lambda term: Prior(
        "Normal", mu=0, sigma=np.array([2.5 / column_sd(column) for column in predictor.X[:, term.start : term.stop].T])
    )


def linked_moments(prior: Prior, link: str) -> tuple[float, float]:
    """Return mean and SD of link(parameter) under the prior of the parameter.

    Parameters
    ----------
    prior : Prior
        Proper, with numbers as parameters.
    link : {"log", "logit", "identity"}

    Returns
    -------
    mean, sd : float

    Examples
    --------
    >>> [round(moment, 3) for moment in linked_moments(Prior("HalfStudentT", nu=4, sigma=1), "log")]
    [-0.5, 1.181]
    """
    inverse, log_jacobian = _JACOBIANS[link]
    eta = np.linspace(-_FARTHEST, _FARTHEST, 24_001)
    weights = np.exp(log_density(prior, inverse(eta)) + log_jacobian(eta))
    weights /= weights.sum()
    mean = round(float(weights @ eta), 12)  # of a symmetric prior 0, and not 1e-17
    return mean, float(np.sqrt(weights @ (eta - mean) ** 2))
