"""The command that forecasts what designs of a screen can find."""

from pathlib import Path
from typing import Annotated, Any

import typer

from speclet_formula.cli.options import FLAGS, Verb, takes
from speclet_formula.cli.outputs import check_ending, check_output, check_table, note_replaced, tell
from speclet_formula.errors import DataError

_GRID = ("guides", "replicates", "lines", "effect", "like")
FLAGS.update({name: f"--{name}" for name in _GRID})


@takes(asked=(Verb("screens/plan.py:plan_screen", but=_GRID),))
def plan(
    *,
    asked: dict[str, Any],
    guides: Annotated[str, typer.Option(help="Guides of each gene: numbers with commas between.")] = "2,4,6",
    replicates: Annotated[str, typer.Option(help="Replicates of each line.")] = "1,2,3",
    lines: Annotated[str, typer.Option(help="Cell lines.")] = "1",
    effect: Annotated[str, typer.Option(help="Mean log2 fold changes of a hit's guides.")] = "-0.5,-1,-2",
    like: Annotated[
        Path | None, typer.Option(help="Fit of a screen like yours, that `fit --output` saved; else one of HAP1 cells.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the table as this file, .csv or .parquet.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Write the picture as this file, .png.")] = None,
) -> None:
    """Forecast which guides, replicates and lines find an effect: power, false signs and discoveries of a grid."""
    check_output(output, "--output", [like, picture])
    check_table(output, "--output")
    check_output(picture, "--picture", [like, output])
    check_ending(picture, "--picture", ".png")
    note_replaced({"--output": output, "--picture": picture})
    grid: dict[str, Any] = {
        name: _numbers(text, f"--{name}", whole=name != "effect")
        for name, text in zip(_GRID, (guides, replicates, lines, effect), strict=False)
    }
    from speclet_formula.common.files import replacing, write_file
    from speclet_formula.screens.plan import plan_screen

    if like is not None:
        from speclet_formula.posterior.save import load

        grid["like"] = load(like)
    made = plan_screen(**grid, **asked)
    tell(repr(made))
    if output is not None:
        typer.echo(f"\nTable: {write_file(made.table, output)}")
    if picture is not None:
        from speclet_formula.reporting.plots.picture import png_bytes
        from speclet_formula.reporting.plots.plan import plot_plan

        with replacing(picture) as stream:
            stream.write(png_bytes(plot_plan(made).figure))
        typer.echo(f"\nPicture: {picture}")


def _numbers(text: str, option: str, *, whole: bool) -> list[float]:
    """Return the numbers of an option, "2,4,6".

    Examples
    --------
    >>> _numbers("-0.5,-1", "--effect", whole=False)
    [-0.5, -1.0]
    """
    try:
        return [int(part) if whole else float(part) for part in text.split(",")]
    except ValueError:
        kind = "whole numbers" if whole else "numbers"
        raise DataError(
            f"{option} '{text}' holds what is no {kind[:-1]}.",
            f"It has {kind} with commas between.",
            f"Write {option} {'2,4' if whole else '-0.5,-1'}.",
        ) from None
