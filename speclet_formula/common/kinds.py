"""A public verb goes in; the same comes out, but that it refuses an object of the wrong kind by saying what to write.

Kinds are told by the names of classes, so that no room has to be opened to know them. What a verb can do with an object
of the right kind, such as a fit without draws, is left to the verb.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from speclet_formula.errors import DataError

type Kinds = tuple[str, ...]

_FITS, _TEXTS, _TABLE, _MAPPING = ("Fit", "PointFit"), ("Formula", "str", "list", "tuple"), ("DataFrame",), ("Mapping",)
_PACKAGES = ("speclet_formula", "pandas", "builtins", "arviz_stats", "pathlib")

# What the first argument is by its name, where the verb is not named below.
_BY_NAME: Mapping[str, Kinds] = {
    "fit": _FITS, "model": ("Model",), "means": ("Means",), "comparison": ("Comparison",), "recovery": ("Recovery",),
    "recoveries": ("Recoveries", "Mapping"), "check": ("Predictive",), "separation": ("Separation",), "table": _TABLE,
    "effects": _TABLE, "matrix": _TABLE,
}  # fmt: skip
_LATER: Mapping[str, Kinds] = {"truth": _MAPPING, "params": _MAPPING}  # arguments at other places
_BY_VERB: Mapping[str, Mapping[str, Kinds]] = {
    "plot_pareto_k": {"estimate": (*_FITS, "ELPDData")}, "recover": {"fit": (*_FITS, "Mapping")},
    "refit": {"fitted": (*_FITS, "Model")}, "update": {"fitted": (*_FITS, "Model", *_TEXTS)},
    "explain": {"formula": _TEXTS}, "equation": {"formula": (*_TEXTS, "Model")},
    "spelling": {"formula": (*_TEXTS, "Model")}, "load": {"path": ("Path", "str")},
    "diagnose": {"fit": ()}, "from_bambi": {"model": ()},
}  # fmt: skip

_WORDS: Mapping[str, str] = {
    "Fit": "a fit", "Model": "a Model", "Means": "what sf.marginal_means returns",
    "Comparison": "what sf.compare returns", "Recovery": "what sf.recover returns for one fit",
    "Recoveries": "what sf.recover returns for several fits", "ELPDData": "what sf.loo returns",
    "Predictive": "what sf.prior_predictive or sf.posterior_predictive returns", "Formula": "a formula",
    "Separation": "what sf.control_separation returns", "DataFrame": "a pandas DataFrame",
    "Path": "the name of a file or folder", "Mapping": "a dictionary",
}  # fmt: skip
# How a fit becomes what is expected; of tables this depends on the verb.
_FROM_FIT: Mapping[str, str] = {
    "Model": "fit.model", "Means": "sf.marginal_means(fit, 'treatment')", "Recovery": "sf.recover(fit, truth)",
    "Comparison": "sf.compare({'first': fit, 'second': other})", "Predictive": "sf.posterior_predictive(fit)",
    "Recoveries": "sf.recover({'first': fit, 'second': other}, truth)", "Formula": "fit.model.formula",
    "Separation": "sf.control_separation(sf.rank_genes(fit))", "DataFrame": "sf.rank_genes(fit)",
}  # fmt: skip
_FROM_MODEL: Mapping[str, str] = {"Predictive": "sf.prior_predictive(model)", "Formula": "model.formula"}


def checks_kind[**P, R](verb: Callable[P, R]) -> Callable[P, R]:
    """Make a public verb refuse arguments of the wrong kind.

    Parameters
    ----------
    verb : callable

    Returns
    -------
    callable
        The verb itself if it takes anything; else a function of the same name and signature that raises a DataError.
        It can be pickled by its public name.
    """
    signature = inspect.signature(verb)
    kinds = [_kinds_of(verb.__name__, name, place) for place, name in enumerate(signature.parameters)]
    checked = {name: taken for name, taken in zip(signature.parameters, kinds, strict=True) if taken}
    if not checked:
        return verb

    @wraps(verb)
    def call(*arguments: P.args, **keywords: P.kwargs) -> R:
        given = dict(zip(signature.parameters, arguments, strict=False)) | keywords
        for name in (name for name in checked if name in given):
            value = given[name]
            if not (_is_one_of(value, checked[name]) or (value is None and name in _LATER)):
                raise _wrong_kind(verb.__name__, name, value, checked[name])
        return verb(*arguments, **keywords)

    call.__module__ = "speclet_formula"
    return call


def _kinds_of(verb: str, argument: str, place: int) -> Kinds:
    """Return the kinds that an argument of a verb can have; none where anything goes."""
    return _LATER.get(argument, ()) if place else _BY_VERB.get(verb, {}).get(argument, _BY_NAME.get(argument, ()))


def _names(value: Any) -> list[str]:
    """Return the names of a value's classes: our own, and those of the packages that are known here."""
    return [kind.__name__ for kind in type(value).__mro__ if kind.__module__.partition(".")[0] in _PACKAGES]


def _is_one_of(value: Any, kinds: Kinds) -> bool:
    return any(name in kinds for name in _names(value)) or ("Mapping" in kinds and isinstance(value, Mapping))


def _wrong_kind(verb: str, argument: str, value: Any, kinds: Kinds) -> DataError:
    """Word what a verb was given, what it takes, and what to write."""
    name = type(value).__name__
    given = "None" if value is None else f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
    words = dict.fromkeys(_WORDS[kind] for kind in kinds if kind in _WORDS)
    return DataError(
        f"sf.{verb}(): {argument} is {given}.",
        f"It is {' or '.join(words)}.",
        _remedy(verb, argument, value, kinds),
    )


def _remedy(verb: str, argument: str, value: Any, kinds: Kinds) -> str:
    """Say how to get from what was given to what is taken."""
    wanted, names = kinds[0], _names(value)
    if wanted == "Mapping":
        return f"Write {argument}={{'Intercept': 1.0, 'sigma': 0.5}}, a number for each parameter."
    if wanted == "Path":
        return "Give the name under which sf.save kept the fit."
    if wanted == "Fit":
        return _to_fit(verb, value, names)
    if "Model" in names and wanted in _FROM_MODEL:
        return f"Write sf.{verb}({_FROM_MODEL[wanted]}{_more(verb)})."
    if not any(name in _FITS for name in names):
        made = {"Model": "sf.Model('y ~ x + (1 | g)', data)", "Formula": "'y ~ x + (1 | g)'"}.get(wanted)
        return f"Write sf.{verb}({made or _source(verb, wanted)}{_more(verb)})" + ("." if made else " with a fit.")
    return f"Write sf.{verb}({_source(verb, wanted)}{_more(verb)})."


def _source(verb: str, wanted: str) -> str:
    """Return the call that makes what is wanted from a fit."""
    return "sf.effect_matrix(fit, 'gene', 'cell_line')" if verb == "plot_matrix" else _FROM_FIT[wanted]


def _more(verb: str) -> str:
    """Return dots where the verb needs more than its first argument."""
    return ", ..." if verb in ("plot_intervals", "plot_recoveries", "spelling") else ""


def _to_fit(verb: str, value: Any, names: list[str]) -> str:
    """Say how to get a fit."""
    if "Model" in names:
        return f"Fit it first: fit = sf.fit(model), then sf.{verb}(fit)."
    if "GroupedFits" in names:
        return f"Give one of its fits, or all in turn: [sf.{verb}(fit) for fit in found.fits.values()]."
    if isinstance(value, list | tuple | Mapping):
        each = "fits.values()" if isinstance(value, Mapping) else "fits"
        return f"Give one fit at a time: [sf.{verb}(fit) for fit in {each}]."
    return f"Fit a model first: fit = sf.lmer('y ~ x + (1 | g)', data), then sf.{verb}(fit)."
