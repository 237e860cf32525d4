"""The distributions that a prior can have: name, support, parameters, density, sampler and SD of each, in plain numpy.

Names and parameters are PyMC's, so that a prior reads the same wherever it is fitted; `LKJ` is the one exception, whose
functions stand in `densities`. The names of R, SciPy and Stan are known too, for the errors that say what to write
instead. What a user may ask of which slot is left to `slots`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, xlog1py, xlogy

from speclet_formula.errors import PriorError, nearest

FloatArray = NDArray[np.float64]
Number = float | FloatArray
Shape = tuple[int, ...]
Support = Literal["real", "positive", "unit", "correlation", "simplex"]
Domain = Literal["real", "positive", "unit"]
Form = Mapping[str, Domain]

_LOG_2PI = math.log(2 * math.pi)
_LOG_2 = math.log(2)
_LOG_PI = math.log(math.pi)
_VARIANCE_ABOVE = 2  # degrees of freedom, or the shape of an inverse gamma


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


def on_the_line(x: FloatArray, **_: Number) -> NDArray[np.bool_]:
    """The real line."""
    return np.isfinite(x)


def from_zero(x: FloatArray, **_: Number) -> NDArray[np.bool_]:
    """Zero and above: the density is finite at zero."""
    return (x >= 0) & (x < np.inf)


def above_zero(x: FloatArray, **_: Number) -> NDArray[np.bool_]:
    """Above zero only."""
    return (x > 0) & (x < np.inf)


def in_unit(x: FloatArray, **_: Number) -> NDArray[np.bool_]:
    """Zero to one."""
    return (x >= 0) & (x <= 1)


def between(x: FloatArray, lower: Number, upper: Number) -> NDArray[np.bool_]:
    """From lower to upper."""
    return (x >= lower) & (x <= upper)


def normal_density(x: FloatArray, mu: Number, sigma: Number) -> FloatArray:
    """-z^2 / 2 - log(sigma sqrt(2 pi)), z = (x - mu) / sigma."""
    z = (x - mu) / sigma
    return -0.5 * z * z - np.log(sigma) - 0.5 * _LOG_2PI


def student_t_density(x: FloatArray, nu: Number, mu: Number, sigma: Number) -> FloatArray:
    """Student's t with nu degrees of freedom, moved by mu and stretched by sigma."""
    z = (x - mu) / sigma
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * (np.log(nu) + _LOG_PI) - np.log(sigma)
    return np.asarray(constant - (nu + 1) / 2 * np.log1p(z * z / nu))


def cauchy_density(x: FloatArray, alpha: Number, beta: Number) -> FloatArray:
    """-log(pi beta (1 + z^2)), z = (x - alpha) / beta."""
    z = (x - alpha) / beta
    return -_LOG_PI - np.log(beta) - np.log1p(z * z)


def laplace_density(x: FloatArray, mu: Number, b: Number) -> FloatArray:
    """-|x - mu| / b - log(2 b)."""
    return np.asarray(-np.abs(x - mu) / b - _LOG_2 - np.log(b))


def logistic_density(x: FloatArray, mu: Number, s: Number) -> FloatArray:
    """-|z| - 2 log(1 + exp(-|z|)) - log s: written with |z|, which cannot overflow."""
    z = np.abs((x - mu) / s)
    return np.asarray(-z - 2 * np.log1p(np.exp(-z)) - np.log(s))


def half_normal_density(x: FloatArray, sigma: Number) -> FloatArray:
    """Twice the normal density."""
    return _LOG_2 + normal_density(x, 0.0, sigma)


def half_student_t_density(x: FloatArray, nu: Number, sigma: Number) -> FloatArray:
    """Twice Student's density."""
    return _LOG_2 + student_t_density(x, nu, 0.0, sigma)


def half_cauchy_density(x: FloatArray, beta: Number) -> FloatArray:
    """Twice Cauchy's density."""
    return _LOG_2 + cauchy_density(x, 0.0, beta)


def gamma_density(x: FloatArray, alpha: Number, beta: Number) -> FloatArray:
    """Shape alpha, rate beta."""
    return np.asarray(alpha * np.log(beta) - gammaln(alpha) + xlogy(alpha - 1, x) - beta * x)


def inverse_gamma_density(x: FloatArray, alpha: Number, beta: Number) -> FloatArray:
    """Shape alpha, scale beta."""
    return np.asarray(alpha * np.log(beta) - gammaln(alpha) - (alpha + 1) * np.log(x) - beta / x)


def log_normal_density(x: FloatArray, mu: Number, sigma: Number) -> FloatArray:
    """The normal density of log x, over x."""
    logarithm = np.log(x)
    return normal_density(logarithm, mu, sigma) - logarithm


def beta_density(x: FloatArray, alpha: Number, beta: Number) -> FloatArray:
    """x^(alpha - 1) (1 - x)^(beta - 1) / B(alpha, beta)."""
    return np.asarray(xlogy(alpha - 1, x) + xlog1py(beta - 1, -x) - betaln(alpha, beta))


def student_t_sd(nu: Number, mu: Number, sigma: Number) -> Number:
    """Infinite up to 2 degrees of freedom; up to 1 there is not even a mean."""
    excess = np.where(np.asarray(nu) > _VARIANCE_ABOVE, np.subtract(nu, 2), 1.0)
    finite = sigma * np.sqrt(nu / excess) + 0 * mu
    infinite = np.where(np.asarray(nu) > 1, np.inf, np.nan)
    return np.where(np.asarray(nu) > _VARIANCE_ABOVE, finite, infinite)


def half_student_t_sd(nu: Number, sigma: Number) -> Number:
    """The variance is E[x^2] - E[x]^2 with the moments of a folded t."""
    safe = np.where(np.asarray(nu) > _VARIANCE_ABOVE, nu, 3.0)
    mean = 2 * np.sqrt(safe / np.pi) * np.exp(gammaln((safe + 1) / 2) - gammaln(safe / 2)) / (safe - 1)
    spread = sigma * np.sqrt(safe / (safe - 2) - mean**2)
    return np.where(np.asarray(nu) > _VARIANCE_ABOVE, spread, np.inf)


def inverse_gamma_sd(alpha: Number, beta: Number) -> Number:
    """Infinite up to a shape of 2."""
    safe = np.where(np.asarray(alpha) > _VARIANCE_ABOVE, alpha, 3.0)
    return np.where(np.asarray(alpha) > _VARIANCE_ABOVE, beta / ((safe - 1) * np.sqrt(safe - 2)), np.inf)


def log_normal_sd(mu: Number, sigma: Number) -> Number:
    """exp(mu + sigma^2 / 2) sqrt(exp(sigma^2) - 1)."""
    return np.exp(mu + np.square(sigma) / 2) * np.sqrt(np.expm1(np.square(sigma)))


def beta_sd(alpha: Number, beta: Number) -> Number:
    """sqrt(a b / (a + b + 1)) / (a + b)."""
    return np.sqrt(alpha * beta / (alpha + beta + 1)) / (alpha + beta)


def gamma_from_moments(mu: Number, sigma: Number) -> dict[str, Number]:
    """Shape and rate from mean and SD."""
    return {"alpha": np.square(mu / sigma), "beta": mu / np.square(sigma)}


def inverse_gamma_from_moments(mu: Number, sigma: Number) -> dict[str, Number]:
    """Shape and scale from mean and SD."""
    alpha = np.square(mu / sigma) + 2
    return {"alpha": alpha, "beta": mu * (alpha - 1)}


def beta_from_moments(mu: Number, sigma: Number) -> dict[str, Number]:
    """Both shapes from mean and SD."""
    total = mu * (1 - mu) / np.square(sigma) - 1
    return {"alpha": mu * total, "beta": (1 - mu) * total}


_ENTRIES = (
    Distribution(
        "Normal", "real", ({"mu": "real", "sigma": "positive"},), on_the_line, normal_density,
        lambda rng, shape, mu, sigma: rng.normal(mu, sigma, shape), lambda mu, sigma: sigma + 0 * mu,
    ),
    Distribution(
        "StudentT", "real", ({"nu": "positive", "mu": "real", "sigma": "positive"},), on_the_line, student_t_density,
        lambda rng, shape, nu, mu, sigma: mu + sigma * rng.standard_t(nu, shape), student_t_sd,
    ),
    Distribution(
        "Cauchy", "real", ({"alpha": "real", "beta": "positive"},), on_the_line, cauchy_density,
        lambda rng, shape, alpha, beta: alpha + beta * rng.standard_cauchy(shape),
        lambda alpha, beta: np.nan + 0 * alpha * beta,
    ),
    Distribution(
        "Laplace", "real", ({"mu": "real", "b": "positive"},), on_the_line, laplace_density,
        lambda rng, shape, mu, b: rng.laplace(mu, b, shape), lambda mu, b: math.sqrt(2) * b + 0 * mu,
    ),
    Distribution(
        "Logistic", "real", ({"mu": "real", "s": "positive"},), on_the_line, logistic_density,
        lambda rng, shape, mu, s: rng.logistic(mu, s, shape), lambda mu, s: s * math.pi / math.sqrt(3) + 0 * mu,
    ),
    Distribution(
        "Uniform", "real", ({"lower": "real", "upper": "real"},), between,
        lambda x, lower, upper: 0 * x - np.log(upper - lower),
        lambda rng, shape, lower, upper: rng.uniform(lower, upper, shape),
        lambda lower, upper: (upper - lower) / math.sqrt(12),
    ),
    Distribution(
        "Flat", "real", ({},), on_the_line, lambda x: 0 * x, lambda rng, shape: np.full(shape, np.nan), lambda: np.inf
    ),
    Distribution(
        "HalfNormal", "positive", ({"sigma": "positive"},), from_zero, half_normal_density,
        lambda rng, shape, sigma: np.abs(rng.normal(0, sigma, shape)),
        lambda sigma: sigma * math.sqrt(1 - 2 / math.pi),
    ),
    Distribution(
        "HalfStudentT", "positive", ({"nu": "positive", "sigma": "positive"},), from_zero, half_student_t_density,
        lambda rng, shape, nu, sigma: np.abs(sigma * rng.standard_t(nu, shape)), half_student_t_sd,
    ),
    Distribution(
        "HalfCauchy", "positive", ({"beta": "positive"},), from_zero, half_cauchy_density,
        lambda rng, shape, beta: np.abs(beta * rng.standard_cauchy(shape)), lambda beta: np.inf + 0 * beta,
    ),
    Distribution(
        "HalfFlat", "positive", ({},), from_zero, lambda x: 0 * x, lambda rng, shape: np.full(shape, np.nan),
        lambda: np.inf,
    ),
    Distribution(
        "Exponential", "positive", ({"lam": "positive"},), from_zero, lambda x, lam: np.log(lam) - lam * x,
        lambda rng, shape, lam: rng.exponential(1 / lam, shape), lambda lam: 1 / lam,
    ),
    Distribution(
        "Gamma", "positive",
        ({"alpha": "positive", "beta": "positive"}, {"mu": "positive", "sigma": "positive"}), from_zero, gamma_density,
        lambda rng, shape, alpha, beta: rng.gamma(alpha, 1 / beta, shape),
        lambda alpha, beta: np.sqrt(alpha) / beta, gamma_from_moments,
    ),
    Distribution(
        "InverseGamma", "positive",
        ({"alpha": "positive", "beta": "positive"}, {"mu": "positive", "sigma": "positive"}), above_zero,
        inverse_gamma_density, lambda rng, shape, alpha, beta: beta / rng.standard_gamma(alpha, shape),
        inverse_gamma_sd, inverse_gamma_from_moments,
    ),
    Distribution(
        "LogNormal", "positive", ({"mu": "real", "sigma": "positive"},), above_zero, log_normal_density,
        lambda rng, shape, mu, sigma: rng.lognormal(mu, sigma, shape), log_normal_sd,
    ),
    Distribution(
        "Beta", "unit", ({"alpha": "positive", "beta": "positive"}, {"mu": "unit", "sigma": "positive"}), in_unit,
        beta_density, lambda rng, shape, alpha, beta: rng.beta(alpha, beta, shape), beta_sd, beta_from_moments,
    ),
)  # fmt: skip

SCALAR_DISTRIBUTIONS: dict[str, Distribution] = {entry.name: entry for entry in _ENTRIES}
JOINT_FORMS: dict[str, Form] = {"LKJ": {"eta": "positive"}, "Dirichlet": {"a": "positive"}}
"""The distributions that are not of single numbers, with their parameters."""
DISTRIBUTION_NAMES: tuple[str, ...] = tuple(sorted([*SCALAR_DISTRIBUTIONS, *JOINT_FORMS]))


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
    return (JOINT_FORMS[name],) if name in JOINT_FORMS else SCALAR_DISTRIBUTIONS[name].forms


# --- what others call them, and errors that say what to write ---------------------------------------------------------

Change = tuple[str, Callable[[float], float]]

_POSITIVE_SUGGESTIONS = "HalfNormal, HalfStudentT, HalfCauchy, Exponential, Gamma, InverseGamma, LogNormal"
_OTHER_NAMES = {
    "student": "StudentT",
    "t": "StudentT",
    "halft": "HalfStudentT",
    "gaussian": "Normal",
    "doubleexponential": "Laplace",
    "lkjcorr": "LKJ",
    "lkjcholesky": "LKJ",
    "lkjcholeskycov": "LKJ",
}


def _same(value: float) -> float:
    """The parameter under another name."""
    return value


def _inverse(value: float) -> float:
    """A rate for a scale, or a scale for a rate."""
    return 1 / value


def _inverse_root(value: float) -> float:
    """An SD for a precision."""
    return 1 / math.sqrt(value)


_LOCATION: tuple[Change, ...] = (("mu", _same), ("alpha", _same))
_SPREAD: tuple[Change, ...] = (("sigma", _same), ("b", _same), ("s", _same), ("beta", _same))
_ALIASES: dict[str, tuple[Change, ...]] = {
    "mean": _LOCATION,
    "loc": _LOCATION,
    "location": _LOCATION,
    "mu": _LOCATION,
    "sd": _SPREAD,
    "std": _SPREAD,
    "scale": _SPREAD,
    "sigma": _SPREAD,
    "variance": (("sigma", math.sqrt),),
    "var": (("sigma", math.sqrt),),
    "tau": (("sigma", _inverse_root),),
    "precision": (("sigma", _inverse_root),),
    "lam": (("sigma", _inverse_root),),
    "rate": (("lam", _same), ("beta", _same)),
    "lambda": (("lam", _same),),
    "df": (("nu", _same),),
    "shape": (("alpha", _same), ("eta", _same)),
    "min": (("lower", _same),),
    "low": (("lower", _same),),
    "max": (("upper", _same),),
    "high": (("upper", _same),),
    "concentration": (("eta", _same),),
    "regularization": (("eta", _same),),
}
_ALIASES_OF: dict[tuple[str, str], tuple[Change, ...]] = {
    ("Dirichlet", "concentration"): (("a", _same),),
    ("Dirichlet", "alpha"): (("a", _same),),
    ("Exponential", "scale"): (("lam", _inverse),),
    ("Exponential", "mean"): (("lam", _inverse),),
    ("Exponential", "mu"): (("lam", _inverse),),
    ("Exponential", "beta"): (("lam", _inverse),),
    ("Gamma", "scale"): (("beta", _inverse),),
    ("Gamma", "mean"): (("mu", _same),),
    ("Beta", "mean"): (("mu", _same),),
    ("InverseGamma", "mean"): (("mu", _same),),
    ("Gamma", "sd"): (("sigma", _same),),
    ("Beta", "sd"): (("sigma", _same),),
    ("InverseGamma", "sd"): (("sigma", _same),),
    ("InverseGamma", "scale"): (("beta", _same),),
}


def number_text(value: float, digits: int | None = None) -> str:
    """Spell a number without a needless `.0`; with `digits`, rounded to that many significant ones."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e6:  # noqa: PLR2004 - 1000000 is hard to read
        return str(int(value))
    if digits is None:
        return repr(float(value))
    if 10**digits <= abs(value) < 1e6:  # noqa: PLR2004
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def forms_text(forms: Iterable[Mapping[str, object]]) -> str:
    """Spell the sets of parameters: `alpha, beta or mu, sigma`."""
    return " or ".join(", ".join(form) for form in forms) or "no parameters"


def pattern(name: str, form: Iterable[str]) -> str:
    """Spell the call to write: `Prior("Normal", mu=..., sigma=...)`."""
    return "Prior(" + ", ".join([f'"{name}"', *(f"{parameter}=..." for parameter in form)]) + ")"


def unknown_distribution(name: object) -> PriorError:
    """Word the error of a distribution that does not exist."""
    plain = str(name).lower().replace("_", "").replace(" ", "")
    match = _OTHER_NAMES.get(plain) or nearest(plain, DISTRIBUTION_NAMES)
    return PriorError(
        f"{name!r} is not a distribution that a prior can have.",
        f"The distributions are {', '.join(DISTRIBUTION_NAMES)}.",
        f"Did you mean {match!r}?" if match else "Choose one of these; the names are PyMC's.",
    )


def unknown_parameter(name: str, forms: tuple[Mapping[str, object], ...], parameter: str, value: object) -> PriorError:
    """Word the error of a parameter that the distribution does not have, with the name that it has here."""
    known = list(dict.fromkeys(key for form in forms for key in form))
    return PriorError(
        f"{name} has no parameter {parameter!r}.",
        f"{name} takes {forms_text(forms)}.",
        _rename(name, known, parameter, value) or f"Write {pattern(name, forms[0])}.",
    )


def _rename(name: str, known: list[str], parameter: str, value: object) -> str | None:
    """Say under which name, and with which value, the distribution takes what was meant."""
    changes = _ALIASES_OF.get((name, parameter.lower()), _ALIASES.get(parameter.lower(), ()))
    target, convert = next(((key, convert) for key, convert in changes if key in known), (None, _same))
    if target is None:
        target = nearest(parameter, known)
    if target is None:
        return None
    if not isinstance(value, int | float) or (convert is not _same and value <= 0):
        return f"Write {target}=... in place of {parameter}=...."
    return f"Write {target}={number_text(convert(value), 6)} in place of {parameter}={number_text(value)}."


def missing_parameters(name: str, forms: tuple[Mapping[str, object], ...], given: Iterable[str]) -> PriorError:
    """Word the error of a prior that is not given in full."""
    given = list(given)
    form = next((form for form in forms if set(given) <= set(form)), None)
    if form is None:
        problem = f"{name} cannot be given by {', '.join(given)} together."
        form = forms[0]
    else:
        absent = [repr(parameter) for parameter in form if parameter not in given]
        problem = f"{name} lacks its parameter{'s' if len(absent) > 1 else ''} {', '.join(absent)}."
    return PriorError(problem, f"{name} takes {forms_text(forms)}.", f"Write {pattern(name, form)}.")


def not_positive(what: str, prior: str, scale: str) -> PriorError:
    """Word the error of a prior that reaches below zero for something that is positive."""
    return PriorError(
        f"{prior} cannot be the prior of {what}: it reaches below 0.",
        f"Only positive numbers are possible: {_POSITIVE_SUGGESTIONS}, or Uniform from 0.",
        f'Write Prior("HalfNormal", sigma={scale}).',
    )


def domain_text(domain: str) -> str:
    """Say which numbers a parameter takes."""
    return {"real": "a finite number", "positive": "a number above 0", "unit": "a number between 0 and 1"}[domain]
