"""One function for each command: its arguments go in, what it prints goes to standard output as plain text.

Notes and progress go to standard error. A mistake in formula, data or options ends with its message and exit code 2.
The rooms that sample are opened inside the commands, so that help and mistakes come at once.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from speclet_formula import __version__
from speclet_formula.cli.options import (
    DataFile,
    FormulaText,
    ModelOptions,
    SamplingOptions,
    SimulatedOptions,
    TrueValues,
    spread,
)
from speclet_formula.cli.shared import (
    check_ending,
    check_output,
    check_table,
    check_truth,
    compared,
    fit_arguments,
    loaded_fits,
    model_arguments,
    model_of,
    note,
    note_replaced,
    require_draws,
    shows_progress,
    tell,
)
from speclet_formula.cli.wording import as_options
from speclet_formula.common.engines import refuse_unused
from speclet_formula.errors import DataError, SpecletError

if TYPE_CHECKING:
    pass

MISTAKE, INTERRUPTED = 2, 130
DEMO_FOLDER = Path("speclet-formula-demo")
REPORT = Path("report.html")


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
    folder: Annotated[Path, typer.Option(help="Where pictures and report go.")] = DEMO_FOLDER,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Fit, compare and recover the models of speclet's notebook on its synthetic screen."""
    from speclet_formula.cli.demo import run_demo

    run_demo(
        typer.echo,
        draws=draws,
        tune=tune,
        chains=chains,
        random_seed=seed,
        folder=folder,
        progress=shows_progress(quiet),
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
    from speclet_formula.interpretation.explain import explain as explain_model

    if table is not None and data is not None:
        raise DataError(
            f"there are two tables: '{table}' and --data '{data}'.",
            "A formula is explained with one table, or with none.",
            "Leave one of them out.",
        )
    path = data if table is None else table
    if path is None and model.levels:
        raise DataError(
            "--levels is of no use without a table.",
            "Levels are those of a column.",
            "Name the table too, or leave --levels out.",
        )
    frame = None if path is None else read_table(path, model.levels or ())
    told, elsewhere, code = repr(explain_model(formula, frame, **model_arguments(model))).partition("\n\nElsewhere\n")
    typer.echo(f"{as_options(told)}{elsewhere}{code}")


@app.command()
@spread
def fit(
    data: DataFile,
    formula: FormulaText,
    model: ModelOptions,
    sampling: SamplingOptions,
    out: Annotated[Path | None, typer.Option(help="Save the fit as this file; one that is there is replaced.")] = None,
) -> None:
    """Fit a model and print its summary."""
    check_output(out, "--out", [data])
    check_ending(out, "--out", ".fit")
    note_replaced({"--out": out})
    refuse_unused(sampling.method, {"priors": model.priors})
    prepared = model_of(data, formula, model)
    note(prepared)
    from speclet_formula.inference.fit import fit as fit_model

    fitted = fit_model(prepared, **fit_arguments(sampling))
    tell(repr(fitted))
    if out is not None:
        from speclet_formula.posterior.archive import save

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
    require_draws(sampling, "compare")
    from speclet_formula.cli.reading import read_table
    from speclet_formula.comparison import compare as compare_models

    table = read_table(data, model.levels or ())
    tell(repr(compare_models(formulas, table, **model_arguments(model), **fit_arguments(sampling))))


@app.command()
@spread
def recover(
    data: DataFile,
    formula: FormulaText,
    truth: TrueValues,
    model: ModelOptions,
    sampling: SamplingOptions,
    html: Annotated[
        Path | None, typer.Option(help="Write the report as this file too; one that is there is replaced.")
    ] = None,
) -> None:
    """Fit simulated data and print how well the true parameters are recovered."""
    check_output(html, "--html", [data, truth])
    check_ending(html, "--html", ".html")
    note_replaced({"--html": html})
    require_draws(sampling, "recover")
    from speclet_formula.cli.reading import read_truth

    stated = read_truth(truth)
    prepared = model_of(data, formula, model)
    note(prepared)
    check_truth(prepared, stated)
    from speclet_formula.inference.fit import fit as fit_model
    from speclet_formula.recovery import recover as recover_truth

    fitted = fit_model(prepared, **fit_arguments(sampling))
    tell(repr(recover_truth(fitted, stated)))
    if html is not None:
        from speclet_formula.reporting.report import report as write_report

        typer.echo(f"\nReport: {write_report(fitted, html, truth=stated, random_seed=sampling.seed)}")


@app.command()
def report(
    fits: Annotated[list[Path], typer.Argument(help="Fits that `fit --out` saved; each is named by its file.")],
    output: Annotated[Path, typer.Option(help="The HTML file to write; one that is there is replaced.")] = REPORT,
    truth: Annotated[Path | None, typer.Option(help="True values of simulated data, as for recover.")] = None,
    title: Annotated[str | None, typer.Option(help="The report's heading.")] = None,
) -> None:
    """Write saved fits as one HTML file that opens without a network; several are compared by leave-one-out."""
    from speclet_formula.cli.reading import read_truth

    check_output(output, "--output", [*fits, truth])
    check_ending(output, "--output", ".html")
    note_replaced({"--output": output})
    stated = None if truth is None else read_truth(truth)
    loaded = loaded_fits(fits)
    from speclet_formula.reporting.report import report as write_report

    comparison = compared(loaded) if len(loaded) > 1 else None
    chosen: Any = loaded if len(loaded) > 1 else next(iter(loaded.values()))
    written = write_report(chosen, output, truth=stated, comparison=comparison, title=title)
    typer.echo(f"Report: {written}")


@app.command()
def simulate(
    data: Annotated[Path, typer.Argument(help="Table of predictors and grouping factors, one row per observation.")],
    formula: FormulaText,
    truth: TrueValues,
    out: Annotated[
        Path,
        typer.Option(
            help="Write the table with its drawn response as this file, .csv or .parquet; replaces one that is there."
        ),
    ],
    out_truth: Annotated[Path | None, typer.Option(help="Write the truth with the drawn effects as JSON.")] = None,
    family: Annotated[str, typer.Option(help="As of fit.")] = "gaussian",
    link: Annotated[str | None, typer.Option(help="As of fit.")] = None,
    levels: Annotated[list[str] | None, typer.Option(help="As of fit.")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes the draws repeatable.")] = None,
) -> None:
    """Draw a response for a table from a model whose parameters are known."""
    from speclet_formula.cli.reading import read_table, read_truth, truth_text
    from speclet_formula.common.files import write_file, write_text
    from speclet_formula.recovery.simulate import simulate as simulate_data

    check_output(out, "--out", [data, truth])
    check_table(out, "--out")
    check_output(out_truth, "--out-truth", [data, truth, out])
    check_ending(out_truth, "--out-truth", ".json")
    note_replaced({"--out": out, "--out-truth": out_truth})
    table, effects = simulate_data(
        formula, read_table(data, levels or ()), read_truth(truth), family=family, link=link, random_seed=seed
    )
    write_file(table, out)
    typer.echo(f"Wrote {len(table):,} rows to {out}")
    if out_truth is not None:
        write_text(out_truth, truth_text(effects))
        typer.echo(f"Wrote the truth to {out_truth}")


@app.command()
@spread
def study(
    data: Annotated[Path, typer.Argument(help="Table of predictors and grouping factors, one row per observation.")],
    formula: FormulaText,
    truth: TrueValues,
    model: SimulatedOptions,
    sampling: SamplingOptions,
    sims: Annotated[int, typer.Option(help="Data sets to simulate and fit.")] = 200,
    fitted: Annotated[str | None, typer.Option(help="The model to fit, if it is another one.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Keep each outcome here; the same call then goes on.")] = None,
) -> None:
    """Simulate many data sets of one truth, fit each, and print how well it is recovered."""
    from speclet_formula.cli.reading import read_table, read_truth
    from speclet_formula.inference.plans import plan_of
    from speclet_formula.studies import study as run_study

    require_draws(sampling, "study")
    arguments = {name: value for name, value in asdict(model).items() if name != "levels" and value is not None}
    settings = {"draws": 1000, "chains": 4, **fit_arguments(sampling)}
    plan_of({name: value for name, value in settings.items() if name != "method"})
    found = run_study(
        formula,
        read_table(data, model.levels or ()),
        read_truth(truth),
        n_sims=sims,
        fitted=fitted,
        folder=folder,
        **arguments,
        **settings,
    )
    tell(repr(found))


@app.command()
@spread
def screen(  # noqa: PLR0913 - an option each
    *,
    counts: Annotated[
        Path, typer.Argument(help="Reads: guides x samples (MAGeCK, BAGEL), or samples x guides (Chronos).")
    ],
    samples: Annotated[Path, typer.Option(help="Sample map: sample, cell_line, replicate, reference.")],
    sampling: SamplingOptions,
    guides: Annotated[Path | None, typer.Option(help="Guide map: sgRNA, gene; if the counts name no genes.")] = None,
    controls: Annotated[
        list[str] | None,
        typer.Option(help="Table of gene and control, or a list of each kind: essential=FILE. Can be repeated."),
    ] = None,
    formula: Annotated[
        str | None, typer.Option(help="Of log_fc; genes, guides, replicates or lines as far as there are several.")
    ] = None,
    direction: Annotated[str, typer.Option(help="Rank first: negative, positive or both.")] = "negative",
    normalise: Annotated[str, typer.Option(help="By the median of ratios, total reads, or none.")] = "median",
    pseudo_count: Annotated[float, typer.Option(help="Reads added to both sides of a fold change.")] = 5.0,
    duplicates: Annotated[
        str, typer.Option(help="Several rows of one guide: error, same (take one) or sum.")
    ] = "error",
    drop: Annotated[list[str] | None, typer.Option(help="A finding whose rows are left out. Can be repeated.")] = None,
    top: Annotated[int, typer.Option(help="Genes to print.")] = 20,
    out: Annotated[
        Path | None, typer.Option(help="Write all genes as this file, .csv or .parquet; one that is there is replaced.")
    ] = None,
    out_guides: Annotated[
        Path | None, typer.Option(help="Write the guides, doubtful ones marked, as this file.")
    ] = None,
    out_table: Annotated[Path | None, typer.Option(help="Write the table of log fold changes as this file.")] = None,
) -> None:
    """Go from read counts to ranked genes: fold changes, a fit, the genes and how well controls are told apart."""
    from speclet_formula.cli.reading import control_files
    from speclet_formula.cli.screening import check_choices, check_ranked, default_formula, fit_line, ranked_lines
    from speclet_formula.common.files import write_file

    classes = control_files(controls or ())
    outputs = {"--out": out, "--out-guides": out_guides, "--out-table": out_table}
    for option, path in outputs.items():
        others = [other for name, other in outputs.items() if name != option]
        check_output(path, option, [counts, samples, guides, *classes.values(), *others])
        check_table(path, option)
    note_replaced(outputs)
    check_choices(direction, top, out_guides is not None, sampling.method)
    from speclet_formula.screens.ranking import guide_table, rank_genes
    from speclet_formula.screens.read import read_screen

    read: Any = read_screen(
        counts, guides, samples, controls=classes.get("", classes or None), normalise=normalise,  # type: ignore[arg-type]
        pseudo_count=pseudo_count, duplicates=duplicates, drop=tuple(drop or ()),  # type: ignore[arg-type]
    )  # fmt: skip
    tell(repr(read))
    if out_table is not None:
        write_file(read.table, out_table)
    from speclet_formula.inference.fit import fit as fit_model
    from speclet_formula.model import Model

    model = Model(default_formula(read.table) if formula is None else formula, read.table, missing="drop")
    check_ranked(model, out_guides is not None)
    note(model)
    fitted = fit_model(model, **fit_arguments(sampling))
    typer.echo("")
    tell(fit_line(fitted))
    ranked = rank_genes(fitted, direction=direction)  # type: ignore[arg-type]
    for line in ranked_lines(ranked, top):
        typer.echo(line)
    if out is not None:
        typer.echo(f"\nGenes: {write_file(ranked, out)}")
    if out_guides is not None:
        typer.echo(f"Guides: {write_file(guide_table(fitted), out_guides)}")
