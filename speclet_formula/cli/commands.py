"""One function for each command: its arguments go in, what it prints goes to standard output as plain text.

Notes and progress go to standard error. A mistake in formula, data or options ends with its message and exit code 2.
The rooms that sample are opened inside the commands, so that help and mistakes come at once.
"""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from speclet_formula import __version__
from speclet_formula.cli.options import DataFile, FormulaText, ModelOptions, SamplingOptions, spread
from speclet_formula.cli.wording import as_options
from speclet_formula.errors import DataError, SpecletError

if TYPE_CHECKING:
    from speclet_formula.model import Model

MISTAKE, INTERRUPTED = 2, 130
DEMO_FOLDER = Path("speclet-formula-demo")


class Commands(TyperGroup):
    """The group of commands; it turns a user's mistake into its message."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except SpecletError as error:
            typer.echo(as_options(str(error)), err=True)
            raise typer.Exit(MISTAKE) from None
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Commands,
    name="speclet-formula",
    help="lme4's formulas, the full Bayesian posterior: fit, compare, recover.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # brackets in a formula are no markup
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line, the entry point of `speclet-formula`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Greek letters
    app(prog_name="speclet-formula")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"speclet-formula {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Hold the options that stand before a command."""


@app.command()
def demo(
    draws: Annotated[int, typer.Option(help="Draws to keep in each chain.")] = 1000,
    tune: Annotated[int, typer.Option(help="Draws to adapt with in each chain.")] = 1000,
    chains: Annotated[int, typer.Option(help="Chains to run.")] = 4,
    seed: Annotated[int, typer.Option(help="Makes the draws repeatable.")] = 103,
    folder: Annotated[Path, typer.Option(help="Where the pictures go.")] = DEMO_FOLDER,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Fit, compare and recover the models of speclet's notebook on its synthetic screen."""
    from speclet_formula.demo import run_demo

    run_demo(
        typer.echo,
        draws=draws,
        tune=tune,
        chains=chains,
        random_seed=seed,
        folder=folder,
        progress=_progress(quiet),
    )


@app.command()
@spread
def explain(
    formula: FormulaText,
    model: ModelOptions,
    table: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]", help="A table: levels, groups, priors, findings and what a fit costs are shown as well."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The same table, by name.")] = None,
) -> None:
    """Say what a formula means, and what a fit would cost: in words, as an equation, in other packages' code."""
    from speclet_formula.cli.reading import read_table
    from speclet_formula.explanation import explain as explain_model

    if table is not None and data is not None:
        raise DataError(
            f"there are two tables: '{table}' and --data '{data}'.",
            "A formula is explained with one table, or with none.",
            "Leave one of them out.",
        )
    path = data if table is None else table
    frame = None if path is None else read_table(path, model.levels or ())
    typer.echo(repr(explain_model(formula, frame, **_model_arguments(model))))


@app.command()
@spread
def fit(
    data: DataFile,
    formula: FormulaText,
    model: ModelOptions,
    sampling: SamplingOptions,
    out: Annotated[Path | None, typer.Option(help="Save the fit as this file.")] = None,
) -> None:
    """Fit a model and print its summary."""
    _check_folder(out)
    prepared = _model(data, formula, model)
    _note(prepared)
    from speclet_formula.inference.fitting import fit as fit_model

    fitted = fit_model(prepared, **_fit_arguments(sampling))
    typer.echo(repr(fitted))
    if out is not None:
        from speclet_formula.storage import save

        typer.echo(f"\nSaved as {save(fitted, out)}")


@app.command()
@spread
def compare(
    data: DataFile,
    formulas: Annotated[list[str], typer.Argument(help="Two models or more of the same response.")],
    model: ModelOptions,
    sampling: SamplingOptions,
) -> None:
    """Fit several models and rank them by leave-one-out."""
    from speclet_formula.cli.reading import read_table
    from speclet_formula.comparison import compare as compare_models

    table = read_table(data, model.levels or ())
    typer.echo(repr(compare_models(formulas, table, **_model_arguments(model), **_fit_arguments(sampling))))


@app.command()
@spread
def recover(
    data: DataFile,
    formula: FormulaText,
    truth: Annotated[Path, typer.Option(help="JSON object: parameter to number, or to an object level to effect.")],
    model: ModelOptions,
    sampling: SamplingOptions,
) -> None:
    """Fit simulated data and print how well the true parameters are recovered."""
    from speclet_formula.cli.reading import read_truth

    stated = read_truth(truth)
    prepared = _model(data, formula, model)
    _note(prepared)
    from speclet_formula.inference.fitting import fit as fit_model
    from speclet_formula.recovery import recover as recover_truth

    typer.echo(repr(recover_truth(fit_model(prepared, **_fit_arguments(sampling)), stated)))


# --- what the commands share ------------------------------------------------------------------------------------------


def _model(data: Path, formula: str, options: ModelOptions) -> "Model":
    """Build the model of a file and a formula."""
    from speclet_formula.cli.reading import read_table
    from speclet_formula.model import Model

    return Model(formula, read_table(data, options.levels or ()), **_model_arguments(options))


def _model_arguments(options: ModelOptions) -> dict[str, Any]:
    """Return the options that `Model` takes, under its names."""
    arguments = asdict(options)
    del arguments["levels"]
    return arguments


def _fit_arguments(options: SamplingOptions) -> Mapping[str, Any]:
    """Return the options under the names of `fit`."""
    arguments = asdict(options)
    quiet, seed = arguments.pop("quiet"), arguments.pop("seed")
    return {**arguments, "random_seed": seed, "progress": _progress(quiet)}


def _progress(quiet: bool) -> bool:
    """Say whether to show progress: to a person, not to a file or a pipe."""
    return not quiet and sys.stdout.isatty()


def _note(model: "Model") -> None:
    """Say what is worth knowing before a fit, on standard error."""
    if model.n_dropped:
        typer.echo(f"Note: {model.n_dropped:,} of {len(model.data):,} rows dropped: missing values.", err=True)
    for finding in model.findings:
        typer.echo(f"Note: {finding}", err=True)


def _check_folder(out: Path | None) -> None:
    """Refuse, before anything is fitted, a file that could not be written afterwards."""
    if out is None or (out.parent.is_dir() and not out.is_dir()):
        return
    raise DataError(
        f"--out '{out}' is a folder." if out.is_dir() else f"--out '{out}' lies in a folder that does not exist.",
        "It needs the name of a file in a folder that exists.",
        "Make the folder first, or choose another name.",
    )
