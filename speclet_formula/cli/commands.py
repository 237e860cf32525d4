"""One function for each command: its arguments go to a verb, what it prints goes to standard output as plain text.

Notes and progress go to standard error. A mistake in formula, data or options ends with its message and exit code 2.
The rooms that sample are opened inside the commands, so that help and mistakes come at once.
"""

import errno
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from speclet_formula import __version__
from speclet_formula.cli import plan, screen
from speclet_formula.cli.options import Verb, takes
from speclet_formula.cli.outputs import as_options, check_ending, check_output, check_table, note, note_replaced, tell
from speclet_formula.common.engines import WITHOUT_DRAWS, refuse_unused
from speclet_formula.errors import DataError, SamplingError, SpecletError

MISTAKE, INTERRUPTED = 2, 130
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}  # what ends a print-out into a file
UNWRITTEN = (
    "A result goes to standard output: a terminal, or a file on a disk with room for it.\n"
    "Make room, or write it to another place; what --output names was saved before."
)
DEMO_FOLDER = Path("speclet-formula-demo")
REPORT = Path("report.html")
MODEL, FIT = Verb("model/model.py:Model"), Verb("inference/fit.py:fit")

DataFile = Annotated[Path, typer.Argument(help="A table: CSV, TSV (also .gz) or parquet, told by the name's ending.")]
LayoutFile = Annotated[Path, typer.Argument(help="Table of predictors and grouping factors, one row per observation.")]
FormulaText = Annotated[str, typer.Argument(help="The model in lme4's grammar: 'log_fc ~ control + (1 | gene)'.")]
TrueValues = Annotated[Path, typer.Option(help="JSON object: parameter to number, or to an object level to effect.")]
Levels = Annotated[
    list[str] | None,
    typer.Option(help="Order of a column's levels, the reference first: column=a,b,c. Can be repeated."),
]
_REPLACES = "one that is there is replaced."


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
        except OSError as error:  # of files the errors are the package's own; a closed pipe is Typer's to answer
            if error.errno not in FULL:
                raise
            typer.echo(f"what was found cannot be written: {error.strerror}.\n{UNWRITTEN}", err=True)
            raise typer.Exit(MISTAKE) from None


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
@takes(sampling=(Verb("cli/demo.py:run_demo", but=("folder", "models")),))
def demo(
    sampling: dict[str, Any],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for pictures and report.")] = DEMO_FOLDER,
) -> None:
    """Fit, compare and recover the models of speclet's notebook on its synthetic screen."""
    from speclet_formula.cli.demo import run_demo

    run_demo(typer.echo, folder=output, **_shown(sampling))


@app.command()
@takes(model=(MODEL,))
def explain(
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="[DATA] FORMULA",
            help="With a table its levels, groups, priors, findings and what a fit costs are shown as well.",
        ),
    ],
    model: dict[str, Any],
    levels: Levels = None,
) -> None:
    """Say what a formula means, and what a fit would cost: in words, as an equation, in other packages' code."""
    from speclet_formula.cli.inputs import read_table
    from speclet_formula.interpretation.explain import explain as explain_model

    *tables, text = texts
    if len(tables) > 1 or (tables and "~" in tables[0]):
        raise DataError(
            f"'{tables[0]}' is not followed by a formula alone.",
            "explain takes a formula, or a table and a formula; the table comes first, as in every command.",
            f"Write explain {text} '{tables[0]}'." if "~" not in text else "Leave one of them out.",
        )
    if not tables and levels:
        raise DataError(
            "--levels is of no use without a table.",
            "Levels are those of a column.",
            "Name the table too, or leave --levels out.",
        )
    frame = read_table(Path(tables[0]), levels or ()) if tables else None
    told, elsewhere, code = repr(explain_model(text, frame, **model)).partition("\n\nElsewhere\n")
    typer.echo(f"{as_options(told)}{elsewhere}{code}")


@app.command()
@takes(model=(MODEL,), sampling=(FIT,))
def fit(
    data: DataFile,
    formula: FormulaText,
    model: dict[str, Any],
    sampling: dict[str, Any],
    levels: Levels = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=f"Save the fit as this file; {_REPLACES}")
    ] = None,
) -> None:
    """Fit a model and print its summary."""
    check_output(output, "--output", [data])
    check_ending(output, "--output", ".fit")
    note_replaced({"--output": output})
    refuse_unused(_method(sampling), {"priors": model.get("priors")})
    fitted = _fitted(_model(data, formula, levels, model), sampling)
    if output is not None:  # before anything is printed, which a closed pipe or a full disk ends
        from speclet_formula.posterior.save import save

        output = save(fitted, output)
    tell(repr(fitted))
    if output is not None:
        typer.echo(f"\nSaved as {output}")


@app.command()
@takes(comparison=(MODEL, Verb("comparison/compare.py:compare")), sampling=(FIT,))
def compare(
    data: DataFile,
    formulas: Annotated[list[str], typer.Argument(help="Two models or more of the same response.")],
    comparison: dict[str, Any],
    sampling: dict[str, Any],
    levels: Levels = None,
) -> None:
    """Fit several models and rank them by leave-one-out."""
    _require_draws(sampling, "compare")
    from speclet_formula.cli.inputs import read_table
    from speclet_formula.comparison import compare as compare_models

    table = read_table(data, levels or ())
    tell(repr(compare_models(formulas, table, **_shown(comparison), **sampling)))


@app.command()
@takes(model=(MODEL,), sampling=(FIT,), judging=(Verb("recovery/recover.py:recover"),))
def recover(
    data: DataFile,
    formula: FormulaText,
    truth: TrueValues,
    model: dict[str, Any],
    sampling: dict[str, Any],
    judging: dict[str, Any],
    levels: Levels = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=f"Write the report as this HTML file too; {_REPLACES}")
    ] = None,
) -> None:
    """Fit simulated data and print how well the true parameters are recovered."""
    check_output(output, "--output", [data, truth])
    check_ending(output, "--output", ".html")
    note_replaced({"--output": output})
    _require_draws(sampling, "recover")
    from speclet_formula.cli.inputs import check_truth, read_truth

    stated = read_truth(truth)
    prepared = _model(data, formula, levels, model)
    check_truth(prepared, stated)
    fitted = _fitted(prepared, sampling)
    from speclet_formula.recovery import recover as recover_truth

    recovered = recover_truth(fitted, stated, **judging)
    if output is not None:
        from speclet_formula.reporting.report import report as write_report

        output = write_report(fitted, output, truth=stated, random_seed=sampling.get("random_seed"))
    tell(repr(recovered))
    if output is not None:
        typer.echo(f"\nReport: {output}")


@app.command()
@takes(heading=(Verb("reporting/report.py:report", but=("truth", "comparison", "quality")),))
def report(
    fits: Annotated[list[Path], typer.Argument(help="Fits that `fit --output` saved; each is named by its file.")],
    heading: dict[str, Any],
    output: Annotated[Path, typer.Option("--output", "-o", help=f"The HTML file to write; {_REPLACES}")] = REPORT,
    truth: Annotated[Path | None, typer.Option(help="True values of simulated data, as for recover.")] = None,
) -> None:
    """Write saved fits as one HTML file that opens without a network; several are compared by leave-one-out."""
    from speclet_formula.cli.inputs import loaded_fits, read_truth

    check_output(output, "--output", [*fits, truth])
    check_ending(output, "--output", ".html")
    note_replaced({"--output": output})
    stated = None if truth is None else read_truth(truth)
    loaded = loaded_fits(fits)
    from speclet_formula.reporting.report import report as write_report

    comparison = _compared(loaded) if len(loaded) > 1 else None
    chosen: Any = loaded if len(loaded) > 1 else next(iter(loaded.values()))
    typer.echo(f"Report: {write_report(chosen, output, truth=stated, comparison=comparison, **heading)}")


@app.command()
@takes(model=(Verb("recovery/simulate.py:simulate", but=("nsim", "use_u")),))
def simulate(
    data: LayoutFile,
    formula: FormulaText,
    truth: TrueValues,
    model: dict[str, Any],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help=f"Write the table with its drawn response as this file, .csv or .parquet; {_REPLACES}",
        ),
    ],
    output_truth: Annotated[Path | None, typer.Option(help="Write the truth with the drawn effects as JSON.")] = None,
    levels: Levels = None,
) -> None:
    """Draw a response for a table from a model whose parameters are known."""
    from speclet_formula.cli.inputs import read_table, read_truth, truth_text
    from speclet_formula.common.files import write_file, write_text
    from speclet_formula.recovery.simulate import simulate as simulate_data

    check_output(output, "--output", [data, truth])
    check_table(output, "--output")
    check_output(output_truth, "--output-truth", [data, truth, output])
    check_ending(output_truth, "--output-truth", ".json")
    note_replaced({"--output": output, "--output-truth": output_truth})
    table, effects = simulate_data(formula, read_table(data, levels or ()), read_truth(truth), **model)
    write_file(table, output)
    typer.echo(f"Wrote {len(table):,} rows to {output}")
    if output_truth is not None:
        write_text(output_truth, truth_text(effects))
        typer.echo(f"Wrote the truth to {output_truth}")


@app.command()
@takes(
    settings=(Verb("studies/study.py:study"), Verb("model/model.py:Model", but=("missing",))),
    sampling=(Verb("inference/fit.py:fit", but=("keep",)),),
)
def study(
    data: LayoutFile,
    formula: FormulaText,
    truth: TrueValues,
    settings: dict[str, Any],
    sampling: dict[str, Any],
    levels: Levels = None,
) -> None:
    """Simulate many data sets of one truth, fit each, and print how well it is recovered."""
    _require_draws(sampling, "study")
    from speclet_formula.cli.inputs import read_table, read_truth
    from speclet_formula.inference.plans import plan_of
    from speclet_formula.studies import study as run_study

    sampling = {"draws": 1000, "chains": 4, **sampling}
    plan_of({name: value for name, value in sampling.items() if name != "method"})
    outcome = run_study(formula, read_table(data, levels or ()), read_truth(truth), **_shown(settings), **sampling)
    tell(repr(outcome))


app.command(name="screen")(screen.screen)
app.command(name="plan")(plan.plan)


def _shown(given: Mapping[str, Any]) -> dict[str, Any]:
    """Show progress to a person, not to a file or a pipe."""
    return {**given, "progress": given["progress"] and sys.stdout.isatty()}


def _method(sampling: Mapping[str, Any]) -> str:
    return str(sampling.get("method", "auto"))


def _model(data: Path, formula: str, levels: list[str] | None, arguments: Mapping[str, Any]) -> Any:
    """Build the model of a file and a formula."""
    from speclet_formula.cli.inputs import read_table
    from speclet_formula.model import Model

    prepared = Model(formula, read_table(data, levels or ()), **arguments)
    note(prepared)
    return prepared


def _fitted(model: Any, sampling: Mapping[str, Any]) -> Any:
    from speclet_formula.inference.fit import fit as fit_model

    return fit_model(model, **_shown(sampling))


def _require_draws(sampling: Mapping[str, Any], command: str) -> None:
    """Refuse, before anything is fitted, a method without draws where a command needs them."""
    method = _method(sampling)
    if method in WITHOUT_DRAWS:
        raise SamplingError(
            f"{command} has no use for --method {method}.",
            f"It needs draws from the posterior; a fit by {method} has estimates alone.",
            "Leave --method out, or write --method exact, hmc or nuts.",
        )


def _compared(fits: Mapping[str, Any]) -> Any:
    """Compare fits; those that cannot be compared are reported without, and the reason is told."""
    from speclet_formula.comparison import compare as compare_fits
    from speclet_formula.errors import ComparisonError

    try:
        return compare_fits(fits)
    except ComparisonError as error:
        typer.echo(f"Note: the fits are not compared: {error.problem}", err=True)
        return None
