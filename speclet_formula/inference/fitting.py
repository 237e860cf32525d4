"""A Model goes in; a Fit comes out: the engine is chosen, run, and its draws are judged.

The recipe is short on purpose: what each engine does stands in its own file, what the draws mean in later rooms.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast, overload

from speclet_formula.design.records import sides
from speclet_formula.diagnostics import diagnose
from speclet_formula.errors import SamplingError, nearest
from speclet_formula.formula.terms import Formula
from speclet_formula.inference.plans import SAMPLERS, Sampler, SamplingPlan, note_settings
from speclet_formula.keywords import answers_r
from speclet_formula.model import Model, Priors
from speclet_formula.posterior import Fit, PointFit

METHODS = ("auto", "exact", "nuts", "reml", "ml", "laplace")

Sampled = Literal["auto", "exact", "nuts"]
Maximised = Literal["reml", "ml", "laplace"]


@overload
def fit(
    model: Model,
    *,
    method: Sampled = "auto",
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    cores: int | None = None,
    target_accept: float = 0.9,
    random_seed: int | None = None,
    progress: bool = True,
    sampler: Sampler = "nutpie",
    keep: str | Sequence[str] | None = None,
) -> Fit: ...


@overload
def fit(
    model: Model,
    *,
    method: Maximised,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    cores: int | None = None,
    target_accept: float = 0.9,
    random_seed: int | None = None,
    progress: bool = True,
    sampler: Sampler = "nutpie",
) -> PointFit: ...


@answers_r()
def fit(
    model: Model,
    *,
    method: Sampled | Maximised = "auto",
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    cores: int | None = None,
    target_accept: float = 0.9,
    random_seed: int | None = None,
    progress: bool = True,
    sampler: Sampler = "nutpie",
    keep: str | Sequence[str] | None = None,
) -> Fit | PointFit:
    """Fit a model.

    Parameters
    ----------
    model : Model
        What to fit.
    method : {"auto", "exact", "nuts", "reml", "ml", "laplace"}
        The engine. "exact" integrates the coefficients out and samples only the variances: Gaussian models with the
        identity link and Normal priors of the coefficients, in about a second. "nuts" samples all parameters through
        Bambi and PyMC. "auto" takes exact where it serves the model, else nuts. "reml" and "ml" maximise the
        likelihood of a Gaussian model as lme4's `lmer` does, without priors and without draws; "laplace" does the same
        for the other families, as `glmer`: the group effects are integrated approximately. Of the arguments below only
        `cores` concerns the first two, and none the last.
    draws, tune : int
        Draws to keep and, for nuts, to adapt with, in each chain.
    chains : int
        Chains to run; at least two are needed to see whether they agree.
    cores : int, optional
        Processor cores to use; all of them by default, at most one for each chain.
    target_accept : float
        For nuts: the acceptance rate that it adapts to, between 0 and 1; higher is slower and more careful.
    random_seed : int, optional
        Makes the draws repeatable.
    progress : bool
        Whether nuts shows a progress bar.
    sampler : {"nutpie", "pymc", "numpyro"}
        For nuts: its implementation.
    keep : str or sequence of str, optional
        Grouping factors whose effects are kept, ``("gene", "cell_line")``; all by default, none for ``()``. Fixed
        effects, SDs and correlations always are, and what is kept is as it would be beside the others. For screens of
        10^5 effects and more, whose draws would fill the memory. `ranef` then has the kept factors alone, and what
        needs the others, such as `fitted`, says so.

    Returns
    -------
    Fit or PointFit
        Prints itself as lme4's summary, with the verdict of the diagnostics at the top. A PointFit by "reml", "ml" and
        "laplace".

    Raises
    ------
    SamplingError
        If an argument is out of range, the method does not serve the model, or sampling cannot start.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> model = sf.Model("log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)", data)
    >>> sf.fit(model, random_seed=1).diagnostics.verdict
    'converged'
    """
    engine = _engine(model, method)
    plan = SamplingPlan(
        draws=_at_least("draws", draws, 4),
        tune=_at_least("tune", tune, 1),
        chains=_at_least("chains", chains, 1),
        cores=min(chains, os.cpu_count() or 1) if cores is None else _at_least("cores", cores, 1),
        target_accept=_acceptance(target_accept),
        random_seed=random_seed,
        progress=progress,
        sampler=_sampler(sampler),
        keep=_kept(model, keep),
    )
    if engine == "laplace":
        from speclet_formula.inference.laplace.fitting import fit_laplace

        return fit_laplace(model)
    if engine in ("reml", "ml"):
        from speclet_formula.inference.reml.fitting import fit_point

        return fit_point(model, method=cast(Literal["reml", "ml"], engine), cores=cores)
    started = time.perf_counter()
    idata = _sample_exact(model, plan) if engine == "exact" else _sample_nuts(model, plan)
    note_settings(idata, plan)
    diagnostics = diagnose(idata)
    if plan.keep is not None:
        idata = _without_others(model, plan.keep, idata)
    return Fit(model, idata, engine, diagnostics, seconds=time.perf_counter() - started)


@overload
def lmer(
    formula: str | Sequence[str] | Formula,
    data: Any,
    *,
    method: Sampled = "auto",
    priors: Priors = None,
    weights: Any = None,
    missing: Any = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    **fit_arguments: Any,
) -> Fit: ...


@overload
def lmer(
    formula: str | Sequence[str] | Formula,
    data: Any,
    *,
    method: Maximised,
    priors: Priors = None,
    weights: Any = None,
    missing: Any = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    **fit_arguments: Any,
) -> PointFit: ...


@answers_r(beyond=fit)
def lmer(
    formula: str | Sequence[str] | Formula,
    data: Any,
    *,
    method: Sampled | Maximised = "auto",
    priors: Priors = None,
    weights: Any = None,
    missing: Any = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    **fit_arguments: Any,
) -> Fit | PointFit:
    """Fit a linear mixed model: `fit(Model(formula, data))` for a gaussian response.

    Parameters
    ----------
    formula, data, priors, weights, missing, functions
        As in `Model`.
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
    missing: Any = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    **fit_arguments: Any,
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
    missing: Any = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    **fit_arguments: Any,
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
    missing: Any = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    **fit_arguments: Any,
) -> Fit | PointFit:
    """Fit a generalized linear mixed model: `fit(Model(formula, data, family=family))`.

    Parameters
    ----------
    formula, data, family, link, priors, weights, missing, functions
        As in `Model`.
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


def _engine(model: Model, method: str) -> str:
    """Return the engine that a method means for a model."""
    if method not in METHODS:
        raise SamplingError(
            f"there is no method {method!r}.",
            f"Methods: {', '.join(METHODS)}.",
            "Leave method= out: 'auto' takes the engine that serves the model.",
        )
    if method == "auto":
        # Here and not at the top, as each engine below: maximum likelihood needs nothing of it.
        from speclet_formula.inference.exact.marginal import why_not_exact

        return "nuts" if why_not_exact(model) else "exact"
    return method


def _sample_exact(model: Model, plan: SamplingPlan) -> Any:
    from speclet_formula.inference.exact.sampling import sample_exact

    return sample_exact(model, plan)


def _sample_nuts(model: Model, plan: SamplingPlan) -> Any:
    # Here and not at the top: Bambi and PyMC take seconds to import, and the exact engine needs neither.
    from speclet_formula.inference.nuts import sample_nuts

    return sample_nuts(model, plan)


def _at_least(name: str, value: int, least: int) -> int:
    if type(value) is not int or value < least:  # True is an int, but not a number of draws
        raise SamplingError(
            f"{name}={value!r} is out of range.",
            f"{name} is a whole number of at least {least}.",
            f"Leave {name}= out for its default.",
        )
    return value


def _acceptance(value: float) -> float:
    if not 0 < value < 1:
        raise SamplingError(
            f"target_accept={value!r} is out of range.",
            "target_accept lies between 0 and 1.",
            "Leave it out for 0.9; 0.95 or 0.99 help against divergences.",
        )
    return value


def _kept(model: Model, keep: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the grouping factors whose effects are kept."""
    if keep is None:
        return None
    names = (keep,) if isinstance(keep, str) else tuple(keep)
    known = list(dict.fromkeys(block.group for side in sides(model.design) for block in side.groups))
    for name in names:
        if name not in known:
            near = nearest(str(name), known)
            raise SamplingError(
                f"keep names '{name}', which is not a grouping factor of this model.",
                f"Grouping factors: {', '.join(known) or 'none'}.",
                f"Nearest: {near}." if near else "Leave keep= out to keep all group effects.",
            )
    return names


def _without_others(model: Model, keep: tuple[str, ...], idata: Any) -> Any:
    """Return draws without the group effects that are not to be kept; the exact engine has not even made them."""
    others = [
        slot for side in sides(model.design) for block in side.groups if block.group not in keep for slot in block.slots
    ]
    posterior = idata["posterior"].to_dataset()
    left = posterior.drop_vars([name for name in others if name in posterior])
    unused = [name for name in left.coords if name not in left.dims or not _is_used(left, str(name))]
    return type(idata).from_dict(
        {name: node.to_dataset() for name, node in idata.children.items()} | {"posterior": left.drop_vars(unused)}
    )


def _is_used(dataset: Any, dimension: str) -> bool:
    return any(dimension in variable.dims for variable in dataset.data_vars.values())


def _sampler(sampler: Sampler) -> Sampler:
    if sampler not in SAMPLERS:
        raise SamplingError(
            f"there is no sampler {sampler!r}.",
            f"Samplers: {', '.join(SAMPLERS)}.",
            "Leave sampler= out for nutpie.",
        )
    return sampler
