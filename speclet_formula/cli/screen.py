"""The command that goes from read counts to ranked genes."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speclet_formula.cli.options import Verb, takes
from speclet_formula.cli.outputs import check_output, check_table, note, note_replaced, tell
from speclet_formula.errors import DataError, listed, nearest

if TYPE_CHECKING:
    import pandas as pd

    from speclet_formula.model import Model
    from speclet_formula.posterior.draws import Fitted

_PRIORS = Verb("model/model.py:Model", but=("family", "link", "weights", "missing", "contrasts"))
DIRECTIONS = ("negative", "positive", "both")
_PRINTED = ("rank", "gene", "control", "n_guides", "n_rows", "estimate", "conf_low", "conf_high", "p_negative", "lfsr")


@takes(reading=(Verb("screens/read.py:read_screen"),), model=(_PRIORS,), sampling=(Verb("inference/fit.py:fit"),))
def screen(  # noqa: PLR0913 - an option each
    *,
    counts: Annotated[
        Path, typer.Argument(help="Reads: guides x samples (MAGeCK, BAGEL), samples x guides (Chronos), a folder.")
    ],
    reading: dict[str, Any],
    model: dict[str, Any],
    sampling: dict[str, Any],
    samples: Annotated[
        Path | None, typer.Option(help="Sample map: sample, cell_line, replicate, reference; AnnData brings its own.")
    ] = None,
    guides: Annotated[Path | None, typer.Option(help="Guide map: sgRNA, gene; if the counts name no genes.")] = None,
    controls: Annotated[
        list[str] | None,
        typer.Option(help="Table of gene and control, or a list of each kind: essential=FILE. Can be repeated."),
    ] = None,
    formula: Annotated[
        str | None, typer.Option(help="Of log_fc; genes, guides, replicates or lines as far as there are several.")
    ] = None,
    term: Annotated[
        str, typer.Option(help="What is ranked, of the effects that vary by gene: arm[drug] of (1 + arm | gene).")
    ] = "Intercept",
    direction: Annotated[str, typer.Option(help="Rank first: negative, positive or both.")] = "negative",
    top: Annotated[int, typer.Option(help="Genes to print.")] = 20,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write all genes as this file, .csv or .parquet; one that is there is replaced."
        ),
    ] = None,
    output_guides: Annotated[
        Path | None, typer.Option(help="Write the guides, doubtful ones marked, as this file.")
    ] = None,
    output_calls: Annotated[
        Path | None,
        typer.Option(
            help="Write the genes called at 5 % false discoveries as this file: of --term, or of fold changes, first "
            "reads taken out."
        ),
    ] = None,
    output_table: Annotated[Path | None, typer.Option(help="Write the table of log fold changes as this file.")] = None,
) -> None:
    """Go from read counts to ranked genes: fold changes, a fit, the genes and how well controls are told apart."""
    from speclet_formula.cli.inputs import control_files

    if samples is None and not counts.name.lower().endswith(".h5ad"):
        raise DataError(
            "there is no --samples.",
            "A sample map names each sample's cell line and reference; AnnData (.h5ad) brings its own.",
            "Write --samples with its file.",
        )
    classes = control_files(controls or ())
    outputs = {"--output": output, "--output-guides": output_guides, "--output-calls": output_calls}
    _check_outputs({**outputs, "--output-table": output_table}, [counts, samples, guides, *classes.values()])
    check_choices(direction, top, output_guides is not None, sampling.get("method", "auto"))
    from speclet_formula.common.engines import refuse_unused

    refuse_unused(sampling.get("method", "auto"), {"priors": model.get("priors")})
    from speclet_formula.common.files import write_file
    from speclet_formula.inference.fit import fit as fit_model
    from speclet_formula.model import Model
    from speclet_formula.screens.ranking import guide_table, rank_genes
    from speclet_formula.screens.read import read_screen

    read: Any = read_screen(counts, guides, samples, controls=classes.get("", classes or None), **reading)
    tell(repr(read))
    if output_table is not None:
        write_file(read.table, output_table)
    chosen = Model(default_formula(read.table) if formula is None else formula, read.table, **model, missing="drop")
    term = check_ranked(chosen, output_guides is not None, term)
    for line in () if formula is not None else pooled_conditions(read.table):
        typer.echo(line, err=True)
    note(chosen)
    of_table = _varying(chosen) == ["Intercept"]  # else a formula asked for more than the mean of all samples
    if output_calls is not None and of_table:
        write_calls(read.table, direction, output_calls)
    fitted = fit_model(chosen, **{**sampling, "progress": sampling["progress"] and sys.stdout.isatty()})
    ranked = rank_genes(fitted, term=term, direction=direction)  # type: ignore[arg-type]
    written = []  # before more is printed, which a closed pipe or a full disk ends
    if output is not None:
        written.append(f"\nGenes: {write_file(ranked, output)}")
    if output_guides is not None:
        written.append(f"Guides: {write_file(guide_table(fitted, term=term), output_guides)}")
    typer.echo("")
    tell(fit_line(fitted))
    for line in (*ranked_lines(ranked, top), *written):
        typer.echo(line)
    if output_calls is not None and not of_table:
        typer.echo("")
        write_calls(fitted, direction, output_calls, term=term)


def write_calls(source: "pd.DataFrame | Fitted", direction: str, path: Path, *, term: str | None = None) -> None:
    """Call genes of a table or of a fit's term, say how many, and whether the controls agree with the rate."""
    import pandas as pd

    from speclet_formula.common.files import write_file
    from speclet_formula.screens.adjust import ADJUSTED, adjust_fold_changes
    from speclet_formula.screens.calls import call_genes

    asked: Any = {"term": term, "direction": direction}
    if isinstance(source, pd.DataFrame):
        source, asked = adjust_fold_changes(source), asked | {"value": ADJUSTED}
    calls = call_genes(source, **asked)
    for line in calls.sheet().head:
        tell(line)
    typer.echo(f"Calls: {write_file(calls.table, path)}")


def _check_outputs(outputs: Mapping[str, Path | None], read: Sequence[Path | None]) -> None:
    """Refuse, before anything is read, files that could not be written, and say which will be replaced."""
    for option, path in outputs.items():
        others = [file for name, file in outputs.items() if name != option]
        check_output(path, option, [*read, *others])
        check_table(path, option)
    note_replaced(outputs)


def default_formula(table: "pd.DataFrame") -> str:
    """Return the formula for a table: genes and guides, and lines and replicates if there are several.

    Examples
    --------
    >>> import pandas as pd
    >>> default_formula(pd.DataFrame({"sgRNA": ["a", "b"], "gene": "g", "cell_line": "c", "sample": ["1", "2"]}))
    'log_fc ~ (1 | gene) + (1 | gene:sgRNA) + (1 | sample)'
    """
    terms = ["(1 | gene)"]
    if table["sgRNA"].nunique() > table["gene"].nunique():
        terms.append("(1 | gene:sgRNA)")
    if table["cell_line"].nunique() > 1:
        terms.append("(1 | gene:cell_line)")
    if table["sample"].nunique() > 1:
        terms.append("(1 | sample)")
    return "log_fc ~ " + " + ".join(terms)


def pooled_conditions(table: "pd.DataFrame") -> Iterator[str]:
    """Tell which columns of the sample map the default formula pools, and how to ask for their effects."""
    from speclet_formula.formula.terms import Name, text_of
    from speclet_formula.screens.columns import BATCHES, SCREEN_TYPES
    from speclet_formula.screens.samples import TIMES

    names = list(table.columns)
    for name in names[names.index("log_fc") + 1 :]:
        levels = sorted(map(str, table[name].dropna().unique()))
        if table[name].dtype.kind in "iuf" and str(name).lower() in TIMES and table[name].nunique() > 1:
            yield _pooled_times(table[name], text_of(Name(str(name))))
        text = table[name].dtype.kind not in "biufc" and str(name).lower() not in (*BATCHES, *SCREEN_TYPES)
        if text and 1 < len(levels) < table["sample"].nunique():
            term = text_of(Name(str(name)))
            asked = f"log_fc ~ {term} + (1 + {term} | gene) + (1 | gene:sgRNA)"
            yield (
                f"Note: samples of all levels of '{name}' ({listed(levels, 3)}) are pooled. For what it does to each "
                f"gene write --formula '{asked}' --term '{name}[{levels[1]}]'."
            )


def _pooled_times(days: "pd.Series", term: str) -> str:
    """Tell which times are pooled, and how to ask for slopes."""
    times = listed([f"{time:g}" for time in sorted(days.dropna().unique())], 4)
    return (
        f"Note: samples of all times, '{days.name}' of {times}, are pooled. For each gene's slope write --formula "
        f"'log_fc ~ {term} + ({term} | gene) + (1 | gene:sgRNA)' --term '{days.name}'."
    )


def check_ranked(model: "Model", guides: bool, term: str) -> str:
    """Refuse, before it is fitted, a model whose fit would have no genes, or no guides, to rank; return the term."""
    from speclet_formula.formula.terms import text_of
    from speclet_formula.screens.ranking import effect_named

    term = effect_named(model.design, "gene", term)
    groups = {block.group for block in model.design.mean.groups if term in map(block.term_of, block.columns)}
    of_term, column = ("", "1") if term == "Intercept" else (f" of '{term}'", "1 + arm")
    if "gene" not in groups:
        raise DataError(
            f"'{text_of(model.formula)}' has no effects of genes{of_term} to rank.",
            f"A screen's formula has the term ({column} | gene).",
            f"Write --formula 'log_fc ~ ({column} | gene) + ...', or leave it out."
            if term == "Intercept"
            else f"Effects that vary by gene: {listed(_varying(model)) or 'none'}.",
        )
    if guides and not groups & {"sgRNA", "gene:sgRNA", "sgRNA:gene"}:
        raise DataError(
            f"'{text_of(model.formula)}' has no effects of guides{of_term} for --output-guides.",
            f"Guides are compared by the term ({column} | gene:sgRNA).",
            "Add it to --formula, or leave --output-guides out.",
        )
    return term


def _varying(model: "Model") -> list[str]:
    return [
        block.term_of(column) for block in model.design.mean.groups if block.group == "gene" for column in block.columns
    ]


def check_choices(direction: str, top: int, guides: bool, method: str) -> None:
    """Refuse, before anything is read, what would be refused after the fit."""
    if direction not in DIRECTIONS:
        near = nearest(direction, DIRECTIONS)
        raise DataError(
            f"--direction '{direction}' is no direction.",
            "It is negative (losses first), positive (gains first) or both.",
            f"Nearest: {near}." if near else "Leave it out for losses first.",
        )
    if top < 1:
        raise DataError(f"--top {top} is out of range.", "It is a whole number of at least 1.", "Leave it out for 20.")
    if guides and method in ("reml", "ml"):
        raise DataError(
            f"--output-guides has no use for a fit by {method}.",
            "Guides are compared draw by draw, which a fit without draws has not.",
            "Leave --method out, or --output-guides.",
        )
    if method == "laplace":
        raise DataError(
            "a screen's log fold changes are not fitted by --method laplace.",
            "They are gaussian: auto, exact, hmc and nuts draw from the posterior, reml and ml are exact without it.",
            "Write --method reml.",
        )


def fit_line(fitted: Any) -> str:
    """Say what was fitted, and whether it can be trusted."""
    from speclet_formula.formula.terms import text_of
    from speclet_formula.posterior import PointFit

    sentence = fitted.sentence if isinstance(fitted, PointFit) else fitted.diagnostics.sentence
    return f"{text_of(fitted.model.formula)}: {fitted.seconds:.0f} seconds. {sentence}"


def ranked_lines(ranked: "pd.DataFrame", top: int) -> list[str]:
    """Return the first genes as text, with how well the controls are told apart where there are both kinds."""
    from speclet_formula.common.table import probability, text_table
    from speclet_formula.screens.controls import control_separation, scale_effects

    kinds = set(ranked["control"].dropna())
    lines = ["", f"The first {min(top, len(ranked)):,} of {len(ranked):,} genes ({ranked.attrs['interval']}):"]
    shown = ranked.head(top)[list(_PRINTED)]
    if {"essential", "nonessential"} <= kinds:
        separation = control_separation(ranked)
        lines = ["", repr(separation), *lines]
        if separation.distance > 0:
            shown = shown.assign(scaled=scale_effects(ranked)["estimate"].head(top))
            lines[-1] = lines[-1][:-2] + "; scaled: nonessential 0, essential -1):"
    numbers = {name: shown[name].map("{:.3f}".format) for name in shown if shown[name].dtype.kind == "f"}
    draws = ranked.attrs["draws"]
    numbers |= {name: [probability(value, draws) for value in shown[name]] for name in ("p_negative", "lfsr")}
    return [*lines, text_table(shown.assign(**numbers), labels=3).text()]
