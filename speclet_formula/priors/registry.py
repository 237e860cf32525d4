"""The distributions that a prior can have: name, support, parameters, density, sampler and standard deviation of each.

Names and parameters are PyMC's, so that a prior reads the same wherever it is fitted; `LKJ` is the one exception.
What a user may ask of which slot is left to `slots`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from speclet_formula.priors.distributions import (
    FloatArray,
    Number,
    above_zero,
    beta_density,
    beta_from_moments,
    beta_sd,
    between,
    cauchy_density,
    from_zero,
    gamma_density,
    gamma_from_moments,
    half_cauchy_density,
    half_normal_density,
    half_student_t_density,
    half_student_t_sd,
    in_unit,
    inverse_gamma_density,
    inverse_gamma_from_moments,
    inverse_gamma_sd,
    laplace_density,
    log_normal_density,
    log_normal_sd,
    logistic_density,
    normal_density,
    on_the_line,
    student_t_density,
    student_t_sd,
)

Support = Literal["real", "positive", "unit", "correlation"]
Domain = Literal["real", "positive", "unit"]
Form = Mapping[str, Domain]


@dataclass(frozen=True)
class Distribution:
    """One distribution that a prior can have.

    `forms` holds the sets of parameters that define it, each parameter with its domain; the functions take the
    parameters of the first form, and `canonical` turns the second form into the first.
    """

    name: str
    support: Support
    forms: tuple[Form, ...]
    inside: Callable[..., NDArray[np.bool_]]  # (x, **parameters) -> where the density is not zero
    log_density: Callable[..., FloatArray]  # (x, **parameters) -> log density, for x inside
    draw: Callable[..., FloatArray]  # (rng, shape, **parameters) -> an array of that shape
    sd: Callable[..., Number]  # (**parameters) -> inf where it is infinite, nan where it is undefined
    canonical: Callable[..., dict[str, Number]] | None = None


_REAL_LINE: tuple[Distribution, ...] = (
    Distribution(
        "Normal",
        "real",
        ({"mu": "real", "sigma": "positive"},),
        on_the_line,
        normal_density,
        lambda rng, shape, mu, sigma: rng.normal(mu, sigma, shape),
        lambda mu, sigma: sigma + 0 * mu,
    ),
    Distribution(
        "StudentT",
        "real",
        ({"nu": "positive", "mu": "real", "sigma": "positive"},),
        on_the_line,
        student_t_density,
        lambda rng, shape, nu, mu, sigma: mu + sigma * rng.standard_t(nu, shape),
        student_t_sd,
    ),
    Distribution(
        "Cauchy",
        "real",
        ({"alpha": "real", "beta": "positive"},),
        on_the_line,
        cauchy_density,
        lambda rng, shape, alpha, beta: alpha + beta * rng.standard_cauchy(shape),
        lambda alpha, beta: np.nan + 0 * alpha * beta,
    ),
    Distribution(
        "Laplace",
        "real",
        ({"mu": "real", "b": "positive"},),
        on_the_line,
        laplace_density,
        lambda rng, shape, mu, b: rng.laplace(mu, b, shape),
        lambda mu, b: math.sqrt(2) * b + 0 * mu,
    ),
    Distribution(
        "Logistic",
        "real",
        ({"mu": "real", "s": "positive"},),
        on_the_line,
        logistic_density,
        lambda rng, shape, mu, s: rng.logistic(mu, s, shape),
        lambda mu, s: s * math.pi / math.sqrt(3) + 0 * mu,
    ),
    Distribution(
        "Uniform",
        "real",
        ({"lower": "real", "upper": "real"},),
        between,
        lambda x, lower, upper: 0 * x - np.log(upper - lower),
        lambda rng, shape, lower, upper: rng.uniform(lower, upper, shape),
        lambda lower, upper: (upper - lower) / math.sqrt(12),
    ),
    Distribution(
        "Flat",
        "real",
        ({},),
        on_the_line,
        lambda x: 0 * x,
        lambda rng, shape: np.full(shape, np.nan),
        lambda: np.inf,
    ),
)

_POSITIVE: tuple[Distribution, ...] = (
    Distribution(
        "HalfNormal",
        "positive",
        ({"sigma": "positive"},),
        from_zero,
        half_normal_density,
        lambda rng, shape, sigma: np.abs(rng.normal(0, sigma, shape)),
        lambda sigma: sigma * math.sqrt(1 - 2 / math.pi),
    ),
    Distribution(
        "HalfStudentT",
        "positive",
        ({"nu": "positive", "sigma": "positive"},),
        from_zero,
        half_student_t_density,
        lambda rng, shape, nu, sigma: np.abs(sigma * rng.standard_t(nu, shape)),
        half_student_t_sd,
    ),
    Distribution(
        "HalfCauchy",
        "positive",
        ({"beta": "positive"},),
        from_zero,
        half_cauchy_density,
        lambda rng, shape, beta: np.abs(beta * rng.standard_cauchy(shape)),
        lambda beta: np.inf + 0 * beta,
    ),
    Distribution(
        "HalfFlat",
        "positive",
        ({},),
        from_zero,
        lambda x: 0 * x,
        lambda rng, shape: np.full(shape, np.nan),
        lambda: np.inf,
    ),
    Distribution(
        "Exponential",
        "positive",
        ({"lam": "positive"},),
        from_zero,
        lambda x, lam: np.log(lam) - lam * x,
        lambda rng, shape, lam: rng.exponential(1 / lam, shape),
        lambda lam: 1 / lam,
    ),
    Distribution(
        "Gamma",
        "positive",
        ({"alpha": "positive", "beta": "positive"}, {"mu": "positive", "sigma": "positive"}),
        from_zero,
        gamma_density,
        lambda rng, shape, alpha, beta: rng.gamma(alpha, 1 / beta, shape),
        lambda alpha, beta: np.sqrt(alpha) / beta,
        gamma_from_moments,
    ),
    Distribution(
        "InverseGamma",
        "positive",
        ({"alpha": "positive", "beta": "positive"}, {"mu": "positive", "sigma": "positive"}),
        above_zero,
        inverse_gamma_density,
        lambda rng, shape, alpha, beta: beta / rng.standard_gamma(alpha, shape),
        inverse_gamma_sd,
        inverse_gamma_from_moments,
    ),
    Distribution(
        "LogNormal",
        "positive",
        ({"mu": "real", "sigma": "positive"},),
        above_zero,
        log_normal_density,
        lambda rng, shape, mu, sigma: rng.lognormal(mu, sigma, shape),
        log_normal_sd,
    ),
)

_UNIT: tuple[Distribution, ...] = (
    Distribution(
        "Beta",
        "unit",
        ({"alpha": "positive", "beta": "positive"}, {"mu": "unit", "sigma": "positive"}),
        in_unit,
        beta_density,
        lambda rng, shape, alpha, beta: rng.beta(alpha, beta, shape),
        beta_sd,
        beta_from_moments,
    ),
)

SCALAR_DISTRIBUTIONS: dict[str, Distribution] = {entry.name: entry for entry in _REAL_LINE + _POSITIVE + _UNIT}
DISTRIBUTION_NAMES: tuple[str, ...] = tuple(sorted([*SCALAR_DISTRIBUTIONS, "LKJ"]))


def forms_of(name: str) -> tuple[Form, ...]:
    """Return the sets of parameters that define a distribution, each parameter with its domain.

    Parameters
    ----------
    name : str
        One of `DISTRIBUTION_NAMES`.

    Returns
    -------
    tuple of mapping
        One set for most; a second one for those that can also be given by mean and SD.

    Examples
    --------
    >>> [list(form) for form in forms_of("Gamma")]
    [['alpha', 'beta'], ['mu', 'sigma']]
    """
    return ({"eta": "positive"},) if name == "LKJ" else SCALAR_DISTRIBUTIONS[name].forms
