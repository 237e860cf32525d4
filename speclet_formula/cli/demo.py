"""The demo: the notebook's models fitted to its synthetic screen, compared, recovered, drawn and reported.

It only calls the other rooms in order, as an analyst would, and prints what they answer. The data and the models are
those of `datasets`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from speclet_formula.common.files import replacing
from speclet_formula.common.table import text_table
from speclet_formula.comparison import Comparison, compare
from speclet_formula.comparison.compare import FEWEST_FITS
from speclet_formula.errors import DataError
from speclet_formula.inference.fit import fit
from speclet_formula.model import Model
from speclet_formula.posterior import Fit
from speclet_formula.posterior.draws import draws_of
from speclet_formula.recovery import Recovery, recover
from speclet_formula.screens.datasets import NotebookModel, m7, m7_models

TRUE_MODEL = "m7"

# Posterior means and SDs that the notebook printed for the same data, by model and variable of the posterior.
PUBLISHED: Mapping[tuple[str, str], tuple[float, float]] = {
    ("m7a", "Intercept"): (-0.936, 0.082),
    ("m7a", "1|gene:cell_line_sigma"): (1.110, 0.058),
    ("m7c", "1|gene_mu"): (-0.955, 0.342),
    ("m7c", "1|gene_sigma"): (0.599, 0.166),
    ("m7c", "1|cell_line_mu"): (0.004, 0.200),
    ("m7c", "1|cell_line_sigma"): (1.057, 0.184),
}


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demo made."""

    fits: dict[str, Fit]
    comparison: Comparison | None  # None where there are not two models that leave-one-out can judge
    recoveries: dict[str, Recovery]
    agreement: pd.DataFrame  # as `published_agreement` returns it
    pictures: tuple[Path, ...]
    report: Path  # all of it as one HTML file


def run_demo(
    echo: Callable[[str], None] = print,
    *,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    random_seed: int = 103,
    folder: str | Path = "speclet-formula-demo",
    progress: bool = False,
    models: Sequence[str] | None = None,
) -> Demo:
    """Fit the notebook's models to its data, compare them and set them beside the truth.

    Parameters
    ----------
    echo : callable
        Takes each part of the print-out, when it is ready.
    draws : int
        Draws to keep, in each chain.
    tune : int
        For nuts: draws to adapt with, in each chain, before those that are kept.
    chains : int
        Chains to run for each model.
    random_seed : int
        Makes the draws repeatable.
    progress : bool
        As in `fit`, for each model.
    folder : str or Path
        Where pictures and report go; it is made if it is not there.
    models : sequence of str, optional
        Names of `datasets.m7_models`; all seven by default.

    Returns
    -------
    Demo
        Everything that was printed.

    Raises
    ------
    DataError
        If there is no model of such a name, or the folder cannot be made.
    SamplingError
        As `fit`.

    Examples
    --------
    >>> demo = run_demo(models=["m7c_default", "m7"])  # doctest: +SKIP
    >>> demo.comparison.table.index[0]  # doctest: +SKIP
    'm7'
    """
    known = m7_models()
    names = tuple(known) if models is None else _checked(models, tuple(known))
    target = _made(Path(folder))
    data, truth = m7()
    echo(f"The notebook's synthetic screen: {len(data):,} rows, {data['gene'].nunique()} genes, "
         f"{data['sgRNA'].nunique()} sgRNAs, {data['cell_line'].nunique()} cell lines.\n")  # fmt: skip

    settings: dict[str, Any] = {
        "draws": draws, "tune": tune, "chains": chains, "random_seed": random_seed, "progress": progress,
    }  # fmt: skip
    fits = {}
    for name in names:
        fits[name] = fit(Model(known[name].formula, data, priors=known[name].priors), **settings)
        echo(_line(name, known[name], fits[name]))

    recoveries = {name: recover(fitted, truth) for name, fitted in fits.items()}
    shown = TRUE_MODEL if TRUE_MODEL in fits else names[-1]
    echo(_titled(f"Summary of {shown}", repr(fits[shown])))
    comparison = _compared(fits, echo)
    echo(_titled(f"Recovery of the true values by {shown}", repr(recoveries[shown])))
    agreement = published_agreement(fits)
    if len(agreement):
        echo(_titled("Posterior means beside those that the notebook printed", _agreement_text(agreement)))
    pictures = _draw(recoveries, shown, target)
    echo("\n".join(["", *(f"Pictures: {path}" for path in pictures)]))
    written = _report(fits, recoveries, comparison, target / "report.html", random_seed)
    echo(f"Report: {written}")
    return Demo(fits, comparison, recoveries, agreement, pictures, written)


def published_agreement(fits: Mapping[str, Fit]) -> pd.DataFrame:
    """Set posterior means beside those that the notebook printed.

    Parameters
    ----------
    fits : mapping of str to Fit
        Fits of `m7a` and `m7c` to the data of `m7`, by these names; others are passed over.

    Returns
    -------
    pandas.DataFrame
        One row for each published figure: `model`, `parameter`, `notebook` and `notebook_sd` (posterior mean and SD
        in the notebook), `here` (the posterior mean of the fit), `difference` (here - notebook).
    """
    rows = [
        {
            "model": model,
            "parameter": variable,
            "notebook": mean,
            "notebook_sd": sd,
            "here": here,
            "difference": here - mean,
        }
        for (model, variable), (mean, sd) in PUBLISHED.items()
        if model in fits
        for here in [float(draws_of(fits[model]).variable(variable).mean())]
    ]
    return pd.DataFrame(rows, columns=["model", "parameter", "notebook", "notebook_sd", "here", "difference"])


def _checked(models: Sequence[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Return names of models that exist."""
    unknown = [name for name in models if name not in known]
    if unknown or not models:
        raise DataError(
            f"the notebook has no model {unknown[0]!r}." if unknown else "no model is named.",
            f"Its models are {', '.join(known)}.",
            "Name some of these, or leave models= out.",
        )
    return tuple(models)


def _made(folder: Path) -> Path:
    """Make the folder before anything is fitted."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"the folder '{folder}' cannot be made: {error.strerror or error}.",
            "The pictures need a folder that can be written to.",
            "Choose another one.",
        ) from error
    return folder


def _compared(fits: Mapping[str, Fit], echo: Callable[[str], None]) -> Comparison | None:
    """Compare the models, where there are several."""
    if len(fits) < FEWEST_FITS:
        return None
    comparison = compare(fits)
    echo(_titled("Comparison by leave-one-out", repr(comparison)))
    return comparison


def _line(name: str, model: NotebookModel, fitted: Fit) -> str:
    """Tell a fit in one line, with what it means and, unless it converged, what is wrong below."""
    diagnostics = fitted.diagnostics
    lines = [f"{name:<12}{model.formula:<58}{fitted.seconds:6.1f} s  {diagnostics.verdict}", model.meaning]
    if diagnostics.verdict != "converged":
        lines.append(diagnostics.sentence)
    return f"\n{'':<12}".join(lines)


def _titled(title: str, text: str) -> str:
    return f"\n{title}\n{'=' * len(title)}\n{text}"


def _agreement_text(agreement: pd.DataFrame) -> str:
    """Return the table as text with a sentence on the largest difference."""
    worst = agreement["difference"].abs().max()
    return f"{text_table(agreement, labels=2).text()}\n\nThe largest difference is {worst:.3f}."


def _report(
    fits: Mapping[str, Fit],
    recoveries: Mapping[str, Recovery],
    comparison: Comparison | None,
    path: Path,
    random_seed: int,
) -> Path:
    """Write the report of all models."""
    from speclet_formula.reporting.report import write_report

    title = f"Speclet's notebook, model 7: models of one synthetic screen ({len(fits)})"
    return write_report(fits, path, recoveries=recoveries, comparison=comparison, title=title, random_seed=random_seed)


def _draw(recoveries: Mapping[str, Recovery], shown: str, folder: Path) -> tuple[Path, ...]:
    """Write a strip of panels for each model, and the genes' intervals of the model that is shown in full."""
    from speclet_formula.reporting.plots.recovery import plot_intervals, save_pictures

    strips = save_pictures(recoveries, folder / "recovery.png")
    group = str(recoveries[shown].groups["group"].iloc[0])
    intervals = folder / f"intervals_{group.replace(':', '_')}.png"
    with replacing(intervals) as stream:
        plot_intervals(recoveries[shown], group).figure.savefig(stream, format="png", dpi=110)
    return strips, intervals
