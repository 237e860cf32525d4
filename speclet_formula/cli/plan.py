"""The command that forecasts what designs of a screen can find."""

from pathlib import Path
from typing import Annotated, Any

import typer

from speclet_formula.cli.options import Verb, takes
from speclet_formula.cli.outputs import check_ending, check_output, check_table, note_replaced, tell
from speclet_formula.errors import DataError

# The least whole number of each; an effect is any number.
_GRID = {"guides": 2, "replicates": 1, "lines": 1, "effect": None}
# Columns of a fit are no options: as such their names would be taken for options in what other commands say of data.
_NO_OPTIONS = (*_GRID, "like", "gene", "guide", "line")


@takes(asked=(Verb("screens/plan.py:plan_screen", but=_NO_OPTIONS),))
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
        name: _numbers(text, f"--{name}", least)
        for (name, least), text in zip(_GRID.items(), (guides, replicates, lines, effect), strict=True)
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


def _numbers(text: str, option: str, least: int | None) -> list[float]:
    """Return the numbers of an option, "2,4,6".

    Examples
    --------
    >>> _numbers("-0.5,-1", "--effect", None)
    [-0.5, -1.0]
    """
    try:
        found = [float(part) if least is None else int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(number if least is None else number >= least for number in found):
        kind = "numbers other than 0" if least is None else f"whole numbers of at least {least}"
        raise DataError(
            f"{option} '{text}' is out of range." if found else f"{option} '{text}' holds what is no number.",
            f"It has {kind} with commas between.",
            f"Write {option} {'-0.5,-1' if least is None else '2,4'}.",
        )
    return found
