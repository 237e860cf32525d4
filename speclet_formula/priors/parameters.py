"""Default priors of families' parameters: of one that is a single number, and of the terms of one with its own formula.

A parameter such as sigma has a prior of its own while it is one number. With a formula it is the inverse link of a
linear predictor, whose terms get their priors here. Coefficients and group SDs of the mean are left to `presets`, a
user's changes to `slots`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from scipy.special import expit

from speclet_formula.design import Design
from speclet_formula.design.design import Predictor, replace_mean
from speclet_formula.priors.densities import log_density
from speclet_formula.priors.distributions import FloatArray
from speclet_formula.priors.prior import Preset, Prior
from speclet_formula.priors.scales import column_sd, linked_shares, own_sds, scales_of

ORDINAL = ("cumulative", "sratio")
LOGARITHMIC = ("lognormal", "hurdle_lognormal")
UNBOUNDED = ("gaussian", "t", "asymmetriclaplace", *LOGARITHMIC)  # whose mean, or that of logarithms, may be any number
_WITH_ZEROS = ("hurdle_", "zero_inflated_")

# Bambi 0.21's `default_priors`; brms has the same one for the degrees of freedom (Juarez & Steel 2010,
# doi:10.1198/jbes.2009.07145).
EXTRAS: Mapping[str, Prior] = {
    "nu": Prior("Gamma", alpha=2, beta=0.1),
    "alpha": Prior("HalfCauchy", beta=1),
    "kappa": Prior("HalfCauchy", beta=1),
    "lam": Prior("HalfCauchy", beta=1),
    "b": Prior("HalfNormal", sigma=1),
    "psi": Prior("Beta", alpha=2, beta=2),
}
# brms 2.18's: its shape, phi, zi and hu.
_VAGUE = Prior("Gamma", alpha=0.01, beta=0.01)
# Linear predictors beyond it are left out of the moments of a prior: exp(60) is 1e26.
_FARTHEST = 60.0
# log |d parameter / d eta| of each link
_JACOBIANS: Mapping[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "log": (np.exp, lambda eta: eta),
    "logit": (expit, lambda eta: -np.logaddexp(0, eta) - np.logaddexp(0, -eta)),
    "identity": (np.asarray, np.zeros_like),
}
# brms' def_dpar_prior, by its names sigma, shape, phi, shape, nu, and 1 - zi or 1 - hu; the others are flat there.
_BRMS = {
    **dict.fromkeys(("sigma", "alpha", "kappa", "lam"), Prior("StudentT", nu=3, mu=0, sigma=2.5)),
    "nu": Prior("Normal", mu=2.7, sigma=0.8),
    "psi": Prior("Logistic", mu=0, s=1),
}
_BRMS_VON_MISES = Prior("Normal", mu=5, sigma=0.8)  # of kappa
_NOT_BRMS = "asymmetriclaplace"  # which has other parameters there


def measured(design: Design, family: str) -> Design:
    """Return the design with the response that the mean's link belongs to.

    Parameters
    ----------
    design : Design
    family : str

    Returns
    -------
    Design
        The logarithms of a log-normal response; of zero-inflated families and hurdles the rows above 0 alone, where
        there are any; of an ordinal response whether it is the lowest level. Only `response`, `trials` and `offset`
        change.
    """
    if family in ORDINAL:
        return replace(design, response=(design.response == 0).astype(float))
    kept = design.response > 0
    if family.startswith(_WITH_ZEROS) and kept.any():
        trials = None if design.trials is None else design.trials[kept]
        design = replace_mean(design, offset=design.mean.offset[kept])
        design = replace(design, response=design.response[kept], trials=trials)
    if family in LOGARITHMIC and (design.response > 0).all():
        design = replace(design, response=np.log(design.response))
    return design


def weak_parameters(design: Design, family: str, link: str) -> dict[str, Prior]:
    """Scale the parameters that have the response's units, and leave the others as Bambi has them.

    Parameters
    ----------
    design : Design
        As it was given, not `measured`.
    family, link : str

    Returns
    -------
    dict of str to Prior
    """
    scales = scales_of(measured(design, family), link)
    found = {**EXTRAS, "sigma": Prior("HalfStudentT", nu=4, sigma=scales.sd)}
    if family == "asymmetriclaplace":
        found |= {"b": Prior("HalfCauchy", beta=np.sqrt(2) / scales.sd), "kappa": Prior("LogNormal", mu=0, sigma=1)}
    if family == "wald":
        found["lam"] = Prior("HalfCauchy", beta=scales.mean**3 / scales.sd**2)
    if family in ORDINAL:
        found["threshold"] = Prior("Normal", mu=linked_shares(_shares(design, family), link), sigma=2.5)
    return found


def _shares(design: Design, family: str) -> FloatArray:
    """Return the share of rows at or below each level but the last; for ratios among the rows at or above it."""
    counts = np.bincount(design.response.astype(int), minlength=len(design.levels)).astype(float)
    shares: FloatArray = np.cumsum(counts)[:-1] / counts.sum()
    if family == "sratio":
        shares = counts[:-1] / np.cumsum(counts[::-1])[::-1][:-1]
    return shares


def bambi_parameters(design: Design, family: str) -> dict[str, Prior]:
    """Give Bambi's defaults, but for sigma.

    Parameters
    ----------
    design : Design
    family : str

    Returns
    -------
    dict of str to Prior
    """
    found = dict(EXTRAS)
    if family == "asymmetriclaplace":
        found["kappa"] = Prior("HalfNormal", sigma=1)
    if family == "vonmises":
        found["kappa"] = Prior("HalfStudentT", nu=4, sigma=1)
    if family in ORDINAL:
        count = len(design.levels) - 1
        places = np.round(np.linspace(-2, 2, count), 2) if family == "cumulative" else np.zeros(count)
        found["threshold"] = Prior("Normal", mu=places, sigma=1)
    return found


def brms_parameters(family: str, spread: float) -> dict[str, Prior]:
    """Give brms' defaults.

    Parameters
    ----------
    family : str
    spread : float
        The scale of its priors of SDs.

    Returns
    -------
    dict of str to Prior
    """
    counts = "negativebinomial" in family
    return {
        **EXTRAS,
        "sigma": Prior("HalfStudentT", nu=3, sigma=spread),
        "alpha": Prior("InverseGamma", alpha=0.4, beta=0.3) if counts else _VAGUE,
        "kappa": Prior("Gamma", alpha=2, beta=0.01) if family == "vonmises" else _kappa(family),
        "lam": _VAGUE,
        "psi": Prior("Beta", alpha=1, beta=1),
        "threshold": Prior("StudentT", nu=3, mu=0, sigma=2.5),
    }


def _kappa(family: str) -> Prior:
    """Give brms' prior of a precision; brms has another parameter for the asymmetry."""
    return EXTRAS["b"] if family == "asymmetriclaplace" else _VAGUE


def varying_preset(
    name: str, preset: Preset, predictor: Predictor, parameter: str, link: str, *, family: str = ""
) -> Preset:
    """Return a preset's priors for the formula of one parameter.

    Parameters
    ----------
    name : {"weak", "bambi", "brms", "rstanarm", "notebook"}
        The preset.
    preset : Preset
        Its priors for the mean; `parameters` has that of the parameter as one number.
    predictor : Predictor
        The columns and blocks of the parameter's formula.
    parameter : str
        "sigma"
    link : str
        The link of the parameter, "log".
    family : str
        The family's name, where the preset has rules of its own for its parameters.

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
    if name == "brms" and family != _NOT_BRMS and parameter in _BRMS:
        own = _BRMS_VON_MISES if family == "vonmises" else _BRMS[parameter]
        return Preset(own, preset.fixed, preset.group_sd, preset.correlation, {})
    mean, spread = linked_moments(preset.parameters[parameter], link)
    intercept = Prior("Normal", mu=mean, sigma=spread)
    if name == "bambi":
        one = Prior("Normal", mu=0, sigma=1)
        return Preset(one, lambda _t: one, lambda _b, _c: Prior("HalfNormal", sigma=1), preset.correlation, {})
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
