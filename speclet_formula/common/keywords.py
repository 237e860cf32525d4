"""A function goes in; the same comes out, but that it answers R's, brms' and Bambi's keywords by naming ours.

Python's own TypeError says that a keyword does not exist; who comes from R needs to know what to write instead.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from speclet_formula.errors import DataError, FormulaError, SamplingError, SpecletError, listed, nearest

type Answer = tuple[type[SpecletError], str, Callable[[Any], str]]  # the error, what is allowed, what to do by value


def _offset(value: Any) -> str:
    return f"Write it into the formula: ... + offset({value if isinstance(value, str) else 'log(n)'})."


ANSWERS: Mapping[str, Answer] = {
    "REML": (
        SamplingError,
        "The engine is chosen by method=: 'reml' and 'ml' are lme4's fits, the others draw from the posterior.",
        lambda value: f"Write method='{'reml' if value else 'ml'}'.",
    ),
    "offset": (FormulaError, "An offset is a term of the formula.", _offset),
    "control": (
        SamplingError,
        "There is no optimiser to tune: 'reml' and 'ml' find the maximum by themselves, the samplers take draws=, "
        "tune=, chains= and target_accept=.",
        lambda _: "Leave control= out.",
    ),
    "start": (
        SamplingError,
        "Every engine finds its own start.",
        lambda _: "Leave start= out; what is known beforehand goes into priors=.",
    ),
    "na_action": (
        DataError,
        "missing='error' refuses rows with missing values, missing='drop' leaves them out and counts them.",
        lambda value: "Write missing='error'." if "fail" in str(value) else "Write missing='drop'.",
    ),
    "subset": (
        DataError,
        "All rows of the table are fitted.",
        lambda _: "Choose the rows first, for example data[data['dose'] > 0], and give the result as the data.",
    ),
    "contrasts": (
        FormulaError,
        "A factor has treatment contrasts: each level is compared with the first.",
        lambda _: "Put the reference first: pandas.Categorical(column, categories=['control', ...]), or write "
        "relevel() in the formula.",
    ),
    "nAGQ": (
        SamplingError,
        "method='laplace' is Laplace's approximation, nAGQ=1; nAGQ=0 and quadrature with more points are not offered.",
        lambda value: "Write method='laplace'."
        if value is None or value == 1
        else "Write method='laplace', or leave nAGQ= out for draws from the posterior, which need no approximation.",
    ),
    "verbose": (
        SamplingError,
        "progress= shows or hides the progress bar.",
        lambda value: f"Write progress={bool(value)}.",
    ),
    "seed": (SamplingError, "random_seed= makes the draws repeatable.", lambda value: f"Write random_seed={value!r}."),
    "iter": (
        SamplingError,
        "draws= are kept, tune= are for adapting; brms' iter is their sum.",
        lambda value: f"Write draws={value // 2}, tune={value // 2}." if type(value) is int else "Write draws=, tune=.",
    ),
    "warmup": (SamplingError, "tune= draws are for adapting.", lambda value: f"Write tune={value!r}."),
    "adapt_delta": (
        SamplingError,
        "target_accept= is the acceptance rate that nuts adapts to.",
        lambda value: f"Write target_accept={value!r}.",
    ),
    "prior": (
        SamplingError,
        "priors= takes a dictionary by slot, a preset's name or a TOML file.",
        lambda _: "Write priors=.",
    ),
    "family": (
        DataError,
        "lmer is for a gaussian response.",
        lambda value: f"Write glmer(formula, data, family={value if isinstance(value, str) else 'poisson'!r}).",
    ),
    "link": (DataError, "lmer has the identity link.", lambda _: "Write glmer(formula, data, family=..., link=...)."),
}  # fmt: skip
_SPELLINGS = {"na.action": "na_action", "naction": "na_action", "reml": "REML", "nagq": "nAGQ", "contrast": "contrasts"}


def answers_r[**P, R](
    *, beyond: Callable[..., Any] | None = None, error: type[SpecletError] = SamplingError
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function refuse keywords that it lacks in three parts, R's by naming ours.

    Parameters
    ----------
    beyond : callable, optional
        The function that takes what the decorated one passes on as ``**keywords``.
    error : type of SpecletError
        The class for a keyword that is not R's either.

    Returns
    -------
    callable
        A decorator. It keeps the signature.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        known = [*_names(function), *(_names(beyond)[1:] if beyond else ())]  # the first of these is made here
        caller = function.__qualname__.removesuffix(".__init__")

        @wraps(function)
        def call(*arguments: P.args, **keywords: P.kwargs) -> R:
            for name, value in keywords.items():
                if name not in known:
                    raise _refusal(name, value, caller, known, error)
            try:
                signature.bind(*arguments, **keywords)
            except TypeError as mistake:
                raise _miscalled(str(mistake), signature, caller, error) from None
            return function(*arguments, **keywords)

        return call

    return decorate


def _names(function: Callable[..., Any]) -> list[str]:
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = inspect.signature(function).parameters.values()
    return list(dict.fromkeys(p.name for p in parameters if p.kind not in variable and p.name != "self"))


def _refusal(name: str, value: Any, caller: str, known: list[str], error: type[SpecletError]) -> SpecletError:
    """Word what to write instead of a keyword."""
    problem = f"{caller}() has no argument {name}=."
    answer = ANSWERS.get(name) or ANSWERS.get(_SPELLINGS.get(name.lower(), ""))
    if answer is not None:
        kind, allowed, remedy = answer
        return kind(problem, allowed, remedy(value))
    near = nearest(name, known)
    return error(
        problem,
        f"Arguments: {listed(dict.fromkeys(known), 20)}.",
        f"Nearest: {near}=." if near else f"Leave {name}= out.",
    )


def _miscalled(mistake: str, signature: inspect.Signature, caller: str, error: type[SpecletError]) -> SpecletError:
    """Say which arguments go by place and which by name."""
    named = [f"{name}=" for name, p in signature.parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    placed = [n for n, p in signature.parameters.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    return error(
        f"{caller}(): {mistake}.",
        f"By place: {listed(name for name in placed if name != 'self')}. By name: {listed(named, 20)}.",
        f"Write what comes after {placed[-1]} by name, for example "
        + (
            "family='poisson'."
            if "family=" in named
            else "missing='drop'."
            if "missing=" in named
            else "method='reml'."
        ),
    )
