"""lme4's own verbs, from a formula and a table to a fit. All of it is left to `Model` and to `fit`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack, overload

from speclet_formula.common.arguments import answers_r
from speclet_formula.common.engines import Maximised, Sampled, refuse_unused
from speclet_formula.design.tables import Missing
from speclet_formula.formula.terms import Formula
from speclet_formula.inference.fit import fit
from speclet_formula.inference.plans import FitArguments, RunArguments
from speclet_formula.model import Model, Priors
from speclet_formula.posterior import Fit, PointFit


@overload
def lmer(
    formula: str | Sequence[str] | Formula,
    data: Any,
    *,
    method: Sampled = "auto",
    priors: Priors = None,
    weights: Any = None,
    missing: Missing = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    **fit_arguments: Unpack[FitArguments],
) -> Fit: ...


@overload
def lmer(
    formula: str | Sequence[str] | Formula,
    data: Any,
    *,
    method: Maximised,
    priors: Priors = None,
    weights: Any = None,
    missing: Missing = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    **fit_arguments: Unpack[RunArguments],
) -> PointFit: ...


@answers_r(beyond=fit)
def lmer(
    formula: str | Sequence[str] | Formula,
    data: Any,
    *,
    method: Sampled | Maximised = "auto",
    priors: Priors = None,
    weights: Any = None,
    missing: Missing = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    **fit_arguments: Any,
) -> Fit | PointFit:
    """Fit a linear mixed model: `fit(Model(formula, data))` for a gaussian response.

    Parameters
    ----------
    formula, data, priors, weights, missing, functions
        As in `Model`; methods without draws refuse `priors`, which have no part in a likelihood.
    method : {"auto", "exact", "nuts", "reml", "ml", "laplace"}
        As in `fit`; "reml" is lme4's own default, and "laplace" is for other families than gaussian.
    **fit_arguments
        As in `fit`: `draws`, `chains`, `random_seed`, ...

    Returns
    -------
    Fit or PointFit

    Raises
    ------
    FormulaError, DataError, PriorError, SamplingError
        As `Model` and `fit`.
    """
    refuse_unused(method, {"priors": priors})
    model = Model(formula, data, priors=priors, weights=weights, missing=missing, functions=functions)
    return fit(model, method=method, **fit_arguments)


@overload
def glmer(
    formula: str | Formula,
    data: Any,
    *,
    family: str,
    link: str | None = None,
    method: Sampled = "auto",
    priors: Priors = None,
    weights: Any = None,
    missing: Missing = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    **fit_arguments: Unpack[FitArguments],
) -> Fit: ...


@overload
def glmer(
    formula: str | Formula,
    data: Any,
    *,
    family: str,
    link: str | None = None,
    method: Maximised,
    priors: Priors = None,
    weights: Any = None,
    missing: Missing = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    **fit_arguments: Unpack[RunArguments],
) -> PointFit: ...


@answers_r(beyond=fit)
def glmer(
    formula: str | Sequence[str] | Formula,
    data: Any,
    *,
    family: str,
    link: str | None = None,
    method: Sampled | Maximised = "auto",
    priors: Priors = None,
    weights: Any = None,
    missing: Missing = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    **fit_arguments: Any,
) -> Fit | PointFit:
    """Fit a generalized linear mixed model: `fit(Model(formula, data, family=family))`.

    Parameters
    ----------
    formula, data, family, link, priors, weights, missing, functions
        As in `Model`; methods without draws refuse `priors`, which have no part in a likelihood.
    method : {"auto", "exact", "nuts", "reml", "ml", "laplace"}
        As in `fit`; "laplace" is lme4's own default, without priors and in a second or so: a first look.
    **fit_arguments
        As in `fit`: `draws`, `chains`, `random_seed`, ...

    Returns
    -------
    Fit or PointFit

    Raises
    ------
    FormulaError, DataError, PriorError, SamplingError
        As `Model` and `fit`.

    Examples
    --------
    >>> import pandas as pd
    >>> import speclet_formula as sf
    >>> table = pd.DataFrame({"y": [0, 1, 3, 2, 9, 7, 8, 6], "g": list("aabbccdd")})
    >>> fit = sf.glmer("y ~ 1 + (1 | g)", table, family="poisson", method="laplace")
    >>> fit.df
    2
    """
    refuse_unused(method, {"priors": priors})
    model = Model(
        formula,
        data,
        family=family,
        link=link,
        priors=priors,
        weights=weights,
        missing=missing,
        functions=functions,
    )
    return fit(model, method=method, **fit_arguments)
