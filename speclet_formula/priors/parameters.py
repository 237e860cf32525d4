"""Default priors of families' parameters: of one that is a single number, and of the terms of one with its own formula.

What a preset gives a parameter is a fact of its family, in `families.parameters`; here it becomes a prior. With a
formula a parameter is the inverse link of a linear predictor, whose terms get their priors here. Coefficients and group
SDs of the mean are left to `presets`, a user's changes to `slots`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from scipy.special import expit

from speclet_formula.design import Design
from speclet_formula.design.design import Predictor, replace_mean
from speclet_formula.families import FamilySpecification
from speclet_formula.families.parameters import Measures, Parameter, Stated
from speclet_formula.priors.densities import log_density
from speclet_formula.priors.prior import Preset, Prior
from speclet_formula.priors.scales import column_sd, linked, own_sds

# Linear predictors beyond it are left out of the moments of a prior: exp(60) is 1e26.
_FARTHEST = 60.0
# log |d parameter / d eta| of each link
_JACOBIANS: Mapping[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "log": (np.exp, lambda eta: eta),
    "logit": (expit, lambda eta: -np.logaddexp(0, eta) - np.logaddexp(0, -eta)),
    "identity": (np.asarray, np.zeros_like),
}


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
    Normal(5, 0.8), of nu Normal(2.7, 0.8), of psi Logistic(0, 1), any other's Normal(m, s); SDs and correlations as for
    the mean.

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
