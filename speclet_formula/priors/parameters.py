"""A family and its response come in; what presets measure of the response and the priors of parameters go out.

Coefficients and group SDs are left to `presets`, a user's changes to `slots`.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from speclet_formula.design import Design
from speclet_formula.priors.distributions import FloatArray
from speclet_formula.priors.records import Prior
from speclet_formula.priors.scales import linked_shares, scales_of

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
        design = replace(design, response=design.response[kept], offset=design.offset[kept], trials=trials)
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
