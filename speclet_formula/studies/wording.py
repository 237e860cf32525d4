"""The frames of a study or a calibration go in; the sentences below them come out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from speclet_formula.studies.running import MOST_SHOWN, reasons
from speclet_formula.studies.tasks import Outcome


def study_foot(
    table: pd.DataFrame, classes: pd.DataFrame, data_sets: pd.DataFrame, outcomes: Sequence[Outcome]
) -> tuple[str, ...]:
    """Return what to keep in mind of a study."""
    return (_bands(classes), _by_chance(table), *fits_sentences(data_sets, outcomes))


def calibration_foot(
    quantities: pd.DataFrame, data_sets: pd.DataFrame, outcomes: Sequence[Outcome], *, level: float
) -> tuple[str, ...]:
    """Return what to keep in mind of a calibration."""
    ranked = quantities[quantities["rank_p"].notna()]
    worst = ranked.loc[ranked["rank_p"].idxmin()]
    outside = ranked.loc[~ranked["inside"].astype(bool), "parameter"].tolist()
    named = f"{len(outside)} of {len(ranked)} quantities" + (f" ({', '.join(outside)})" if outside else "")
    smallest = f"The smallest p-value is {worst['rank_p']:.2g}, of {worst['parameter']}."
    return (
        f"The ranks of {named} stray from the uniform's {level:.0%} band; chance alone would take "
        f"{len(ranked) * (1 - level):.2f} there. {smallest}",
        *fits_sentences(data_sets, outcomes),
    )


def fits_sentences(data_sets: pd.DataFrame, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Say how many fits failed, and why, and how many are flagged."""
    failed = int((data_sets["status"] == "failed").sum())
    flagged = data_sets[(data_sets["status"] == "fitted") & (data_sets["verdict"] != "converged")]
    found = []
    if failed:
        counted = [f"{reason} ({count})" for reason, count in list(reasons(outcomes).items())[:MOST_SHOWN]]
        found.append(f"{failed:,} of {len(data_sets):,} fits failed and are in no number above: {'; '.join(counted)}.")
    if len(flagged):
        failing = int((flagged["verdict"] == "failed").sum())
        found.append(
            f"{len(flagged):,} of {len(data_sets):,} fits are flagged by their diagnostics, {failing:,} of them as "
            "failed to converge; they count in the numbers above."
        )
    return tuple(found) or ("All fits converged.",)


def _bands(classes: pd.DataFrame) -> str:
    """Say which classes' coverage lies outside its band."""
    outside = classes[(classes["cover90"] < classes["cover90_lo"]) | (classes["cover90"] > classes["cover90_hi"])]
    if outside.empty:
        return "The coverage of the 90 % intervals lies inside its band for every class of parameter."
    named = [f"{row['class']} ({row['cover90']:.3f})" for _, row in outside.iterrows()]
    return f"The coverage of the 90 % intervals lies outside its band for {', '.join(named)}."


def _by_chance(table: pd.DataFrame) -> str:
    """Say how many of the single parameters' coverages lie outside their bands."""
    known = table[table["cover90"].notna()]
    outside = int(np.sum((known["cover90"] < known["cover90_lo"]) | (known["cover90"] > known["cover90_hi"])))
    return (
        f"By parameter it lies outside for {outside} of {len(known)}; chance alone would take "
        f"{0.01 * len(known):.2f} there."
    )
