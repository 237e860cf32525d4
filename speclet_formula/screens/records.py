"""What a screen is, what a simulated one is, and how well controls are told apart: frames and a few numbers.

Nothing is computed here but the way they print; `reading`, `simulating` and `separating` fill them.
"""

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Screen:
    """A screen as a table to fit, with all that was found and done on the way from the counts.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per guide and sample, references aside, by sample and within it by guide:

        * `sgRNA`, `gene`, `sample`, `cell_line`, `replicate`: labels (a guide without a gene has a missing one);
        * `control`: ordered Categorical of nonessential, other, essential;
        * `count`: reads, as they were given;
        * `count_initial`: reads of the references (their mean after normalisation), scaled to the sample's depth: how
          many a guide without effect would have;
        * `log_offset`: its natural logarithm, by guide and sample: the logs of the sample's size factor and of the
          guide's normalised initial reads added up, for `offset(log_offset)` in a model of counts. Missing where the
          references have no read;
        * `log_fc`: log2 of (normalised count + pseudo-count) / (normalised initial count + pseudo-count);
        * the sample map's other columns.

        Of `read_fold_changes` without `count`, `count_initial` and `log_offset`.
    findings : pandas.DataFrame
        One row per finding, none if all is well: `finding` (a stable name), `unit` ("guides", "samples", "genes",
        "files", "columns"), `n` (how many), `what` (a sentence), `done` (what became of them), `examples` (the first
        names).
    samples : pandas.DataFrame
        One row per sample, references included: `sample`, `cell_line`, `replicate`, `references` (names, with "; "
        between; empty for a reference), `total` (reads), `zeros` (share of guides without a read), `size_factor`
        (depth relative to the geometric mean of all samples).
    layout : str
        How the counts came: "MAGeCK", "BAGEL", "Chronos" or "table".
    normalised : str
        By what and on how many guides: "median of ratios on 120 nonessential guides".
    pseudo_count : float
        Missing where fold changes came as such.
    """

    table: pd.DataFrame
    findings: pd.DataFrame
    samples: pd.DataFrame
    layout: str
    normalised: str
    pseudo_count: float

    def __repr__(self) -> str:
        return "\n".join(_screen_lines(self))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedScreen:
    """Counts of a screen that never was, with the effects that made them.

    Attributes
    ----------
    counts : pandas.DataFrame
        Guides x samples in MAGeCK's layout: `sgRNA`, `gene`, then one column of reads for each sample.
    guides : pandas.DataFrame
        `sgRNA`, `gene`, `control`.
    samples : pandas.DataFrame
        `sample`, `cell_line`, `replicate`, `reference` (the name of the reference; missing for it itself).
    truth : dict
        The mean log2 fold change of each guide in each line as the sum of its parts, as `recover` takes them:
        `Intercept`, `1|gene`, `1|gene:sgRNA` and, of several lines, `1|gene:cell_line` (Series by level), with their
        SDs. What of guide x line is left by the sum is in none.
    effects : pandas.DataFrame
        Genes x lines: the effect of a perfect guide, log2.
    efficacies : pandas.Series
        By guide: the share of its gene's effect that it shows, 0 to 1.
    """

    counts: pd.DataFrame
    guides: pd.DataFrame
    samples: pd.DataFrame
    truth: dict[str, Any]
    effects: pd.DataFrame
    efficacies: pd.Series

    def __repr__(self) -> str:
        genes, lines = self.effects.shape
        return f"Simulated screen: {genes:,} genes, {len(self.guides):,} guides, {lines:,} cell lines"


@dataclass(frozen=True, eq=False, repr=False)
class Separation:
    """How well a score tells essential from non-essential controls.

    Attributes
    ----------
    auc_roc : float
        The chance that a random essential control scores below a random non-essential one, ties counted as one half.
    auc_pr : float
        Average precision: the mean over essential controls of the precision at their threshold.
    n_essential, n_nonessential : int
    distance : float
        Median of the non-essential less median of the essential controls, in the score's unit.
    roc : pandas.DataFrame
        One row per threshold, the lowest score first: `threshold`, `false_positive_rate`, `true_positive_rate`.
    pr : pandas.DataFrame
        `threshold`, `recall`, `precision`.
    scores : pandas.DataFrame
        `level`, `score`, `control` of the controls alone.
    """

    auc_roc: float
    auc_pr: float
    n_essential: int
    n_nonessential: int
    distance: float
    roc: pd.DataFrame
    pr: pd.DataFrame
    scores: pd.DataFrame

    def __repr__(self) -> str:
        return (
            f"{self.n_essential:,} essential against {self.n_nonessential:,} nonessential controls: ROC AUC "
            f"{self.auc_roc:.3f}, average precision {self.auc_pr:.3f}, medians {self.distance:.2f} apart"
        )


def _screen_lines(screen: Screen) -> list[str]:
    table = screen.table
    classes = table.dropna(subset=["gene"]).drop_duplicates("gene")["control"].value_counts()
    genes = ", ".join(f"{classes.get(name, 0):,} {name}" for name in ("nonessential", "other", "essential"))
    lines = [
        f"Screen ({screen.layout}): {table['sgRNA'].nunique():,} guides of {table['gene'].nunique():,} genes ({genes})",
        f"Samples: {table['sample'].nunique():,} of {table['cell_line'].nunique():,} cell lines   Rows: {len(table):,}",
        "Log fold changes as they came"
        if np.isnan(screen.pseudo_count)
        else f"Normalised by {screen.normalised}; pseudo-count {screen.pseudo_count:g}",
    ]
    if len(screen.findings):
        lines += ["", "Findings:"]
        lines += [f"* {row.what} {row.done} {_shown(row.examples)}".rstrip() for row in screen.findings.itertuples()]
    return lines


def _shown(examples: str) -> str:
    return f"({examples})" if examples else ""
