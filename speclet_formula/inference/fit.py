"""Fitting a model, `lmer` and `glmer` from a formula on: the engine is chosen from the table, run, its draws judged.

What each engine does stands in its own package, what the draws mean in later rooms.
"""

import inspect
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack, cast, overload

from speclet_formula.common.arguments import answers_r, unknown_keyword
from speclet_formula.common.engines import BY_NAME, Engine, Maximised, Sampled, engine_for, refuse_unused
from speclet_formula.design.tables import Missing
from speclet_formula.errors import NoStartError, SamplingError, nearest
from speclet_formula.formula.terms import Formula
from speclet_formula.inference.crossed import refuse_crossed
from speclet_formula.inference.datatree import kept_factors, note_settings, without_others
from speclet_formula.inference.plans import (
    COSTLY,
    FitArguments,
    PointArguments,
    RunArguments,
    Sampler,
    SamplingPlan,
    evaluations,
    plan_of,
)
from speclet_formula.model import Model, Priors
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.diagnostics import diagnose


@overload
def fit(
    model: Model,
    *,
    method: Sampled = "auto",
    draws: int | None = None,
    tune: int | None = None,
    chains: int | None = None,
    cores: int | None = None,
    target_accept: float | None = None,
    random_seed: int | None = None,
    progress: bool = True,
    sampler: Sampler | None = None,
    keep: str | Sequence[str] | None = None,
) -> Fit: ...


@overload
def fit(
    model: Model,
    *,
    method: Maximised,
    cores: int | None = None,
    random_seed: int | None = None,
    progress: bool = True,
) -> PointFit: ...


@answers_r()
def fit(
    model: Model,
    *,
    method: Sampled | Maximised = "auto",
    draws: int | None = None,
    tune: int | None = None,
    chains: int | None = None,
    cores: int | None = None,
    target_accept: float | None = None,
    random_seed: int | None = None,
    progress: bool = True,
    sampler: Sampler | None = None,
    keep: str | Sequence[str] | None = None,
    nAGQ: int | None = None,
) -> Fit | PointFit:
    """Fit a model.

    Parameters
    ----------
    model : Model
        What to fit.
    method : {"auto", "exact", "hmc", "nuts", "reml", "ml", "laplace"}
        The engine. "exact" integrates the coefficients out and samples only the variances: Gaussian models with the
        identity link and Normal priors of the coefficients, in about a second. "hmc" samples all parameters of a model
        of any family by Hamiltonian Monte Carlo around the Gaussian that comes closest to the posterior, with Normal
        priors of the coefficients. "nuts" samples all parameters through Bambi and PyMC. "auto" takes the first of
        these that serves the model, and nuts where an argument asks for it. "reml" and "ml" maximise the
        likelihood of a Gaussian model as lme4's `lmer` does, without priors and without draws; "laplace" does the same
        for the other families, as `glmer`: the group effects are integrated approximately. These three refuse the
        arguments that are about draws, and "exact" and "hmc" those that are for nuts.
    draws : int, optional
        Draws to keep, in each chain; 1,000 by default.
    tune : int, optional
        For nuts: draws to adapt with, in each chain, before those that are kept; 1,000 by default.
    chains : int, optional
        Chains to run, 4 by default; at least two are needed to see whether they agree.
    cores : int, optional
        Processor cores to use; all of them by default, at most one for each chain. "laplace" uses one.
    target_accept : float, optional
        For nuts: the acceptance rate that it adapts to, between 0 and 1, 0.9 by default; higher is slower and more
        careful.
    random_seed : int, optional
        Makes the draws repeatable. Methods without draws accept it and `progress`, and have no use for them.
    progress : bool
        Whether nuts shows a progress bar, and whether the other engines say on the error stream, before they draw, that
        it will take more than a minute, and what is quicker; and then, tenth by tenth, how much is done. "auto" says
        why it takes nuts.
    sampler : {"nutpie", "pymc", "numpyro"}, optional
        For nuts: its implementation, nutpie by default.
    keep : str or sequence of str, optional
        Grouping factors whose effects are kept, ``("gene", "cell_line")``; all by default, none for ``()``. Fixed
        effects, SDs and correlations always are, and what is kept is as it would be beside the others. For screens of
        10^5 effects and more, whose draws would fill the memory. `ranef` then has the kept factors alone, and what
        needs the others, such as `fitted`, says so.
    nAGQ : int, optional
        For laplace, as in lme4's `glmer`: with more than 1 the effects of a single group term of one column are
        integrated by adaptive Gauss-Hermite quadrature with so many nodes, up to 100. 1 is Laplace's approximation.
        The log-likelihood is that of the data, whereas lme4's leaves out a constant as soon as nAGQ is above 1.

    Returns
    -------
    Fit or PointFit
        Prints itself as lme4's summary, with the verdict of the diagnostics at the top. A PointFit by "reml", "ml" and
        "laplace".

    Raises
    ------
    SamplingError
        If an argument is out of range or has no meaning for the method, the method does not serve the model, or
        sampling cannot start.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> model = sf.Model("log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)", data)
    >>> sf.fit(model, random_seed=1).diagnostics.verdict
    'converged'
    """
    asked: dict[str, Any] = {
        "draws": draws, "tune": tune, "chains": chains, "target_accept": target_accept, "sampler": sampler,
        "keep": keep, "nAGQ": nAGQ,
    }  # fmt: skip
    engine = engine_for(model, method, asked)
    refuse_unused(method, asked)
    if not engine.draws and cores is None:
        cores = os.cpu_count()
    kept = kept_factors(model, keep)
    plan = plan_of(asked | {"cores": cores, "random_seed": random_seed, "progress": progress, "keep": kept})
    started = time.perf_counter()
    if engine.name in FACTORED:
        refuse_crossed(model.design, _factorisations(model, plan) if engine.draws else POINT_FACTORISATIONS)
    if not engine.draws:
        return cast(PointFit, engine.run(model, plan))
    engine, idata = _drawn(model, engine, plan, chosen=method == "auto")
    note_settings(idata, plan)
    diagnostics = diagnose(idata)
    if plan.keep is not None:
        idata = without_others(model, plan.keep, idata)
    return Fit(model, idata, engine.name, diagnostics, seconds=time.perf_counter() - started)


def _drawn(model: Model, engine: Engine, plan: SamplingPlan, *, chosen: bool) -> tuple[Engine, Any]:
    """Return draws and the engine that made them: nuts, where "auto" chose one that does not find the posterior."""
    nuts = BY_NAME["nuts"]
    if chosen and engine is nuts:
        _say(plan, BY_NAME["hmc"].why_not(model))
    try:
        return engine, engine.run(model, plan)
    except NoStartError as error:
        if not chosen:
            raise
        _say(plan, error.problem)
        return nuts, nuts.run(model, plan)


def _say(plan: SamplingPlan, reason: str) -> None:
    if plan.progress and reason:
        print(f"Sampled by nuts: {reason.rstrip('.')}.", file=sys.stderr, flush=True)


FACTORED = ("exact", "reml", "ml")  # engines that factor the matrix of all coefficients
POINT_FACTORISATIONS = 60  # of REML and ML, which go by the gradient


def _factorisations(model: Model, plan: SamplingPlan) -> float:
    """Return how often the exact engine factors a large matrix."""
    draws = plan.draws * plan.chains
    return sum(evaluations(COSTLY, 1 + len(model.design.mean.groups), draws)) + draws


# What other rooms pass on to `Model` and to `fit`.
MODEL_SETTINGS = tuple(n for n in inspect.signature(Model.__init__).parameters if n not in ("self", "formula", "data"))
FIT_SETTINGS = tuple(
    n for n in inspect.signature(fit).parameters if n not in ("model", "cores", "random_seed", "progress")
)


def refuse_unknown(
    settings: Mapping[str, Any], model_settings: Sequence[str] = MODEL_SETTINGS, *, drawn: bool = False
) -> None:
    """Raise a SamplingError for a setting that is neither one of `model_settings` nor one of `fit`.

    What R calls otherwise is answered by our setting, unless the fits have to have draws and it asks for none.
    """
    known = (*model_settings, *FIT_SETTINGS)
    unknown = next((name for name in settings if name not in known), None)
    if unknown is not None:
        near = nearest(unknown, known)
        of_fit = (*known, "random_seed", "cores", "progress")
        answer = unknown_keyword(unknown, settings[unknown], "fit", [n for n in of_fit if n != "method" or not drawn])
        if answer.remedy.startswith(("Nearest", "Leave")):
            remedy = f"Nearest: '{near}'." if near else "Leave it out."
        else:
            remedy = "Leave it out." if answer.remedy.startswith("It is of") else answer.remedy
        raise SamplingError(
            f"there is no setting '{unknown}'.",
            f"Of Model there are {', '.join(model_settings)}; of fit {', '.join(FIT_SETTINGS)}.",
            remedy,
        )


def refuse_unused_settings(settings: Mapping[str, Any]) -> None:
    """Raise a SamplingError for settings that their method has no use for, before any of many fits is begun."""
    refuse_unused(settings.get("method", "auto"), settings)


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
    contrasts: Mapping[str, str] | None = None,
    matrices: Mapping[str, Any] | None = None,
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
    contrasts: Mapping[str, str] | None = None,
    matrices: Mapping[str, Any] | None = None,
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
    contrasts: Mapping[str, str] | None = None,
    matrices: Mapping[str, Any] | None = None,
    **fit_arguments: Any,
) -> Fit | PointFit:
    """Fit a linear mixed model: `fit(Model(formula, data))` for a gaussian response.

    Parameters
    ----------
    formula, data, priors, weights, missing, functions, contrasts, matrices
        As in `Model`; methods without draws refuse `priors`, which have no part in a likelihood.
    method : {"auto", "exact", "hmc", "nuts", "reml", "ml", "laplace"}
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
    model = Model(
        formula,
        data,
        priors=priors,
        weights=weights,
        missing=missing,
        functions=functions,
        contrasts=contrasts,
        matrices=matrices,
    )
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
    contrasts: Mapping[str, str] | None = None,
    matrices: Mapping[str, Any] | None = None,
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
    contrasts: Mapping[str, str] | None = None,
    matrices: Mapping[str, Any] | None = None,
    **fit_arguments: Unpack[PointArguments],
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
    contrasts: Mapping[str, str] | None = None,
    matrices: Mapping[str, Any] | None = None,
    **fit_arguments: Any,
) -> Fit | PointFit:
    """Fit a generalized linear mixed model: `fit(Model(formula, data, family=family))`.

    Parameters
    ----------
    formula, data, family, link, priors, weights, missing, functions, contrasts, matrices
        As in `Model`; methods without draws refuse `priors`, which have no part in a likelihood.
    method : {"auto", "exact", "hmc", "nuts", "reml", "ml", "laplace"}
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
        contrasts=contrasts,
        matrices=matrices,
    )
    return fit(model, method=method, **fit_arguments)
