"""What several commands do: a model from their options, notes on standard error, fits from files."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from speclet_formula.cli.options import ModelOptions, SamplingOptions
from speclet_formula.cli.wording import as_options
from speclet_formula.common.engines import WITHOUT_DRAWS
from speclet_formula.errors import DataError, SamplingError

if TYPE_CHECKING:
    from speclet_formula.model import Model

_WRITTEN = {".html": "a page of HTML", ".json": "JSON", ".fit": "a saved fit, which `report` reads"}


def model_of(data: Path, formula: str, options: ModelOptions) -> "Model":
    """Build the model of a file and a formula."""
    from speclet_formula.cli.reading import read_table
    from speclet_formula.model import Model

    return Model(formula, read_table(data, options.levels or ()), **model_arguments(options))


def model_arguments(options: ModelOptions) -> dict[str, Any]:
    """Return the options that `Model` takes, under its names."""
    arguments = asdict(options)
    del arguments["levels"]
    return arguments


def fit_arguments(options: SamplingOptions) -> Mapping[str, Any]:
    """Return the options under the names of `fit`."""
    arguments = {name: value for name, value in asdict(options).items() if value is not None or name == "seed"}
    quiet, seed = arguments.pop("quiet"), arguments.pop("seed")
    return {**arguments, "random_seed": seed, "progress": shows_progress(quiet)}


def shows_progress(quiet: bool) -> bool:
    """Say whether to show progress: to a person, not to a file or a pipe."""
    return not quiet and sys.stdout.isatty()


def tell(text: str) -> None:
    """Print a result; what it advises to write in Python is written for the shell."""
    typer.echo(as_options(text))


def require_draws(options: SamplingOptions, command: str) -> None:
    """Refuse, before anything is fitted, a method without draws where a command needs them."""
    if options.method in WITHOUT_DRAWS:
        raise SamplingError(
            f"{command} has no use for --method {options.method}.",
            f"It needs draws from the posterior; a fit by {options.method} has estimates alone.",
            "Leave --method out, or write --method exact or nuts.",
        )


def note(model: "Model") -> None:
    """Say what is worth knowing before a fit, on standard error."""
    if model.n_dropped:
        typer.echo(f"Note: {model.n_dropped:,} of {len(model.data):,} rows dropped: missing values.", err=True)
    for finding in model.findings:
        typer.echo(f"Note: {as_options(str(finding))}", err=True)


def loaded_fits(paths: list[Path]) -> "dict[str, Any]":
    """Read saved fits, each under its file's name without the ending."""
    from speclet_formula.posterior.archive import load

    found: dict[str, Any] = {}
    for path in paths:
        if path.stem in found:
            raise DataError(
                f"two files are called '{path.stem}'.",
                "Each fit of a report is named by its file, and each name stands once.",
                "Rename one of the files.",
            )
        found[path.stem] = _with_draws(load(path), path)
    return found


def _with_draws(fit: Any, path: Path) -> Any:
    """Refuse a saved fit that has no draws to report."""
    from speclet_formula.posterior import PointFit

    if isinstance(fit, PointFit):
        raise DataError(
            f"'{path}' holds a fit by {fit.method}, without draws.",
            "A report is of fits with draws, by --method exact or nuts.",
            f"Fit the model again without --method {fit.method}.",
        )
    return fit


def compared(fits: Mapping[str, Any]) -> Any:
    """Compare fits; those that cannot be compared are reported without, and the reason is told."""
    from speclet_formula.comparison import compare as compare_fits
    from speclet_formula.errors import ComparisonError

    try:
        return compare_fits(fits)
    except ComparisonError as error:
        typer.echo(f"Note: the fits are not compared: {error.problem}", err=True)
        return None


def check_output(out: Path | None, option: str, others: Sequence[Path | None]) -> None:
    """Refuse, before anything is fitted, a file that could not be written afterwards, or that is needed as it is.

    Parameters
    ----------
    out : Path, optional
    option : str
        What it was given as.
    others : sequence of Path
        The files that are read, and the other ones that are written.
    """
    if out is None:
        return
    if out.is_dir() or not out.parent.is_dir():
        there = out.is_dir()
        raise DataError(
            f"{option} '{out}' is a folder." if there else f"{option} '{out}' lies in a folder that does not exist.",
            "It needs the name of a file in a folder that exists.",
            "Make the folder first, or choose another name.",
        )
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise DataError(
            f"{option} '{out}' may not be written to.",
            "It needs the name of a file that you may write, in a folder that you may write to.",
            "Choose another name.",
        )
    same = next((other for other in others if other is not None and _is_same(out, other)), None)
    if same is not None:
        raise DataError(
            f"{option} '{out}' is the same file as '{same}', which this command reads or writes as well.",
            "What is written takes the place of what was there.",
            "Choose another name.",
        )


def note_replaced(outputs: Mapping[str, Path | None]) -> None:
    """Say, before the work begins, which files will be replaced at its end.

    Parameters
    ----------
    outputs : mapping of str to Path
        By option.
    """
    for option, out in outputs.items():
        if out is not None and out.is_file():
            typer.echo(f"Note: {option} '{out}' is there already; it is replaced at the end.", err=True)


def check_ending(path: Path | None, option: str, wanted: str) -> None:
    """Refuse, before anything is fitted, a name that promises another kind of file than is written.

    Parameters
    ----------
    path : Path, optional
    option : str
        What it was given as.
    wanted : str
        The ending of what is written: ".html", ".json" or ".fit".
    """
    from speclet_formula.common.files import PARQUET, SEPARATORS  # not at the top: help needs no pandas

    promised = (*SEPARATORS, *PARQUET, ".html", ".htm", ".json", ".toml", ".xlsx", ".png", ".pdf", ".py", ".r")
    others = tuple(ending for ending in promised if not ending.startswith(wanted.removesuffix("l")))
    if path is not None and path.name.lower().endswith(others):
        raise DataError(
            f"{option} '{path}' promises another kind of file by its ending.",
            f"What is written is {_WRITTEN[wanted]}.",
            f"Write {option} {path.stem}{wanted}.",
        )


def check_truth(model: "Model", truth: Mapping[str, Any]) -> None:
    """Refuse, before anything is fitted, true values of which none is of the model."""
    from speclet_formula.recovery.truth import implied_truth

    implied = implied_truth(model, truth)
    if not implied.scalars and not implied.effects:
        raise DataError(
            f"the truth has {', '.join(map(repr, truth)) or 'no entries'}, and nothing of that is in the model.",
            f"The model has {', '.join(repr(slot.slot) for slot in model.slots)}.",
            "Name the true values as the posterior does: 'Intercept', '1|gene_sigma', '1|gene' (effects), 'sigma'.",
        )


def _is_same(one: Path, other: Path) -> bool:
    """Tell whether two names lead to one file, by links of either kind; a device can be read and written at once."""
    if one.exists() and other.exists():
        return one.is_file() and one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)


def check_table(path: Path | None, option: str) -> None:
    """Refuse, before anything is fitted, a table of a kind that cannot be written; into a device or pipe it is CSV."""
    from speclet_formula.common.files import KINDS, PARQUET, SEPARATORS  # not at the top: help needs no pandas

    if path is None or path.name.lower().endswith((*SEPARATORS, *PARQUET)) or (path.exists() and not path.is_file()):
        return
    raise DataError(
        f"{option} '{path}' is of a kind that cannot be written.",
        f"The name of a table's file ends in one of {KINDS}.",
        f"Write {option} {path.stem}.csv.",
    )
