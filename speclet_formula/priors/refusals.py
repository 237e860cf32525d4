"""What to write instead of a wrong distribution or parameter: the names of R, SciPy and Stan are known here.

Values are left to `prior`.
"""

import math
from collections.abc import Callable, Iterable, Mapping

from speclet_formula.errors import PriorError, nearest
from speclet_formula.priors.distributions import DISTRIBUTION_NAMES

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
