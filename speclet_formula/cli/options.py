"""The options that several commands share come as two records; a decorator spreads a record over a command.

Typer makes an option of each argument of a command, and knows no records. What the options do is left to `commands`.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

DataFile = Annotated[Path, typer.Argument(help="A table: CSV, TSV (also .gz) or parquet, told by the name's ending.")]
FormulaText = Annotated[str, typer.Argument(help="The model in lme4's grammar: 'log_fc ~ control + (1 | gene)'.")]

TrueValues = Annotated[Path, typer.Option(help="JSON object: parameter to number, or to an object level to effect.")]


@dataclass(frozen=True)
class ModelOptions:
    """What a formula and a table leave open."""

    family: Annotated[
        str, typer.Option(help="gaussian, poisson, binomial, gamma, beta, cumulative, ...: Bambi's or R's name.")
    ] = "gaussian"
    link: Annotated[str | None, typer.Option(help="Link of the mean; the family's usual one by default.")] = None
    priors: Annotated[
        str | None,
        typer.Option(help="weak (the default), bambi, brms, rstanarm, notebook, or the path of a TOML file."),
    ] = None
    levels: Annotated[
        list[str] | None,
        typer.Option(help="Order of a column's levels, the reference first: column=a,b,c. Can be repeated."),
    ] = None
    weights: Annotated[str | None, typer.Option(help="Column of weights that divide the residual variance.")] = None
    missing: Annotated[str, typer.Option(help="What missing values are: error, or drop (their rows).")] = "error"


@dataclass(frozen=True)
class SimulatedOptions:
    """What a formula leaves open where the data are simulated."""

    family: Annotated[str, typer.Option(help="gaussian, t, bernoulli, poisson or negativebinomial.")] = "gaussian"
    link: Annotated[str | None, typer.Option(help="Link of the mean; the family's usual one by default.")] = None
    priors: Annotated[
        str | None,
        typer.Option(help="weak (the default), bambi, brms, rstanarm, notebook, or the path of a TOML file."),
    ] = None
    levels: Annotated[
        list[str] | None,
        typer.Option(help="Order of a column's levels, the reference first: column=a,b,c. Can be repeated."),
    ] = None


@dataclass(frozen=True)
class SamplingOptions:
    """How long and how to sample."""

    # None is what was not asked for: a method refuses what it has no use for.
    draws: Annotated[int | None, typer.Option(help="Draws to keep in each chain; 1,000 by default.")] = None
    tune: Annotated[int | None, typer.Option(help="Draws of nuts to adapt with in each chain; 1,000 by default.")] = (
        None
    )
    chains: Annotated[int | None, typer.Option(help="Chains to run; 4 by default.")] = None
    cores: Annotated[int | None, typer.Option(help="Processor cores; all by default, at most one a chain.")] = None
    seed: Annotated[int | None, typer.Option(help="Makes the draws repeatable.")] = None
    target_accept: Annotated[
        float | None, typer.Option(help="Acceptance rate that nuts adapts to; 0.9 by default.")
    ] = None
    sampler: Annotated[str | None, typer.Option(help="Of nuts: nutpie (the default), pymc or numpyro.")] = None
    method: Annotated[
        str, typer.Option(help="auto (what serves the model), exact or nuts; without draws reml, ml or laplace.")
    ] = "auto"
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the fields of its records as arguments of its own.

    Parameters
    ----------
    command : callable
        A function, some of whose parameters are annotated with a dataclass of options.

    Returns
    -------
    callable
        The same with one keyword argument for each field of those dataclasses, which is what Typer reads.
    """
    signature = inspect.signature(command)
    records = {name: p.annotation for name, p in signature.parameters.items() if is_dataclass(p.annotation)}

    @wraps(command)
    def spread_command(**arguments: Any) -> None:
        made = {
            name: record(**{field.name: arguments.pop(field.name) for field in fields(record)})  # type: ignore[operator]
            for name, record in records.items()
        }
        command(**arguments, **made)

    kept = [p for name, p in signature.parameters.items() if name not in records]
    added = [_parameter(field) for record in records.values() for field in fields(record)]
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [p.replace(kind=keyword) for p in (*kept, *added)]
    spread_command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    spread_command.__annotations__ = {p.name: p.annotation for p in parameters}
    return spread_command


def _parameter(field: Any) -> inspect.Parameter:
    """Return a record's field as an argument."""
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
