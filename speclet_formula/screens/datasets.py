"""Data with a known truth: the CRISPR screen `m7`, rebuilt from its seed, and the models once fitted to it.

`screen_design` lays out an empty screen of any size; `simulate` draws effects and a response for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError
from speclet_formula.priors import Prior

M7_SEED = 103
M7_GUIDES = tuple(range(1, 11))  # gene_0 has one sgRNA, gene_9 has ten
M7_CELL_LINES = 20


def m7() -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rebuild the synthetic screen of speclet's seventh model, and the effects that made it.

    Ten genes with 1, 2, ..., 10 sgRNAs, each sgRNA measured once in each of 20 cell lines. A gene's effect is
    Normal(-1, 0.5), an sgRNA's Normal(its gene's effect, 0.2), a cell line's Normal(0, 1), and a measurement is
    Normal(sgRNA + cell line, 0.3), all on the scale of log fold changes.

    Returns
    -------
    data : pandas.DataFrame
        1,100 rows, by sgRNA and within it by cell line: `cell_line`, `sgRNA`, `gene` (labels), `mu_sc` (the row's true
        mean) and `log_fc` (the response).
    truth : dict
        The true parameters by their names in a posterior: `Intercept`, `sigma` and the SDs `1|gene_sigma`,
        `1|gene:sgRNA_sigma`, `1|cell_line_sigma` are numbers; `1|gene`, `1|gene:sgRNA` and `1|cell_line` are Series of
        effects by level, as deviations from the mean (for an sgRNA: from its gene).

    References
    ----------
    The notebook `005_017_model-experimentation-m7` of https://github.com/Kevin-Haigis-Lab/speclet.

    Examples
    --------
    >>> data, truth = m7()
    >>> data.shape
    (1100, 5)
    >>> print(round(truth["1|gene"]["gene_5"], 3))
    1.164
    """
    # The notebook drew from numpy's legacy generator, whose stream a Generator does not reproduce.
    legacy = np.random.RandomState(M7_SEED)
    design = screen_design(genes=len(M7_GUIDES), guides_per_gene=M7_GUIDES, cell_lines=M7_CELL_LINES)
    genes, guides, lines = (design[column].unique() for column in ("gene", "sgRNA", "cell_line"))
    gene_of_guide = np.repeat(np.arange(len(genes)), M7_GUIDES)

    gamma = legacy.normal(-1.0, 0.5, len(genes))
    beta = legacy.normal(0.0, 1.0, len(lines))
    alpha = legacy.normal(gamma[gene_of_guide], 0.2)
    mean = (alpha[:, np.newaxis] + beta).ravel()
    log_fc = legacy.normal(mean, 0.3)

    data = design[["cell_line", "sgRNA", "gene"]].assign(mu_sc=mean, log_fc=log_fc)
    nested = [f"{genes[gene]}:{guide}" for gene, guide in zip(gene_of_guide, guides, strict=True)]
    truth = {
        "Intercept": -1.0,
        "sigma": 0.3,
        "1|gene_sigma": 0.5,
        "1|gene:sgRNA_sigma": 0.2,
        "1|cell_line_sigma": 1.0,
        "1|gene": pd.Series(gamma + 1.0, index=list(genes), name="1|gene"),
        "1|gene:sgRNA": pd.Series(alpha - gamma[gene_of_guide], index=nested, name="1|gene:sgRNA"),
        "1|cell_line": pd.Series(beta, index=list(lines), name="1|cell_line"),
    }
    return data, truth


@dataclass(frozen=True)
class NotebookModel:
    """A model of speclet's notebook, as the arguments of `Model`."""

    formula: str
    priors: str | dict[str, Prior] | None  # as `Model` takes them
    meaning: str  # in one sentence


def m7_models() -> dict[str, NotebookModel]:
    """Return the seven models that speclet's notebook fitted, or named as its next step, for the data of `m7`.

    Returns
    -------
    dict of str to NotebookModel
        `formula`, `priors` and `meaning` by name. `m7a`, `m7a_pool`, `m7b`, `m7b_pool` and `m7c` have the notebook's
        own priors: Normal(0, 5) for means and cells, Exponential(1) for SDs, and in `m7c` Normal(-1, 1) and
        Normal(0, 0.2) for the means of genes and cell lines. `m7c_default` and `m7` have the package's.

    References
    ----------
    The notebook `005_017_model-experimentation-m7` of https://github.com/Kevin-Haigis-Lab/speclet.

    Examples
    --------
    >>> m7_models()["m7"].formula
    'log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)'
    """
    unit = Prior("Exponential", lam=1)
    means = {
        "1|gene": Prior("Normal", mu=Prior("Normal", mu=-1, sigma=1), sigma=unit),
        "1|cell_line": Prior("Normal", mu=Prior("Normal", mu=0, sigma=0.2), sigma=unit),
        "sigma": unit,
    }
    rows: dict[str, tuple[str, str | dict[str, Prior] | None, str]] = {
        "m7a": ("(1 | gene:cell_line)", "notebook", "Each gene has an effect of its own in each cell line."),
        "m7a_pool": ("0 + gene:cell_line", "notebook", "The same cells, each estimated from its own rows alone."),
        "m7b": (
            "(1 | gene:cell_line) + (1 | sgRNA:cell_line)",
            "notebook",
            "Each sgRNA departs from its gene's effect, anew in each cell line.",
        ),
        "m7b_pool": (
            "0 + sgRNA:cell_line",
            "notebook",
            "One parameter for each row: sgRNA and residual cannot be told apart.",
        ),
        "m7c": (
            "0 + (1 | gene) + (1 | cell_line)",
            means,
            "Genes and cell lines add up; informative priors tell their means apart.",
        ),
        "m7c_default": ("(1 | gene) + (1 | cell_line)", None, "The same with one intercept and default priors."),
        "m7": (
            "(1 | gene/sgRNA) + (1 | cell_line)",
            None,
            "sgRNAs within genes, and cell lines: the model that made the data.",
        ),
    }
    return {name: NotebookModel(f"log_fc ~ {right}", priors, text) for name, (right, priors, text) in rows.items()}


def screen_design(
    *,
    genes: int | Sequence[str] = 10,
    guides_per_gene: int | Sequence[int] = 4,
    cell_lines: int | Sequence[str] = 10,
    replicates: int = 1,
) -> pd.DataFrame:
    """Lay out a CRISPR screen: sgRNAs nested in genes, each crossed with every cell line.

    Parameters
    ----------
    genes : int or sequence of str
        How many genes (then named `gene_0`, `gene_1`, ...), or their names.
    guides_per_gene : int or sequence of int
        How many sgRNAs each gene has; one number for all or one number per gene. sgRNAs are numbered through, so
        that no two genes share a label.
    cell_lines : int or sequence of str
        How many cell lines (`cell_0`, ...), or their names.
    replicates : int
        How often each sgRNA is measured in each cell line. The column `replicate` is there when it exceeds 1.

    Returns
    -------
    pandas.DataFrame
        One row per measurement, by sgRNA, within it by cell line, within that by replicate: `gene`, `sgRNA`,
        `cell_line` and perhaps `replicate`, all labels.

    Raises
    ------
    DataError
        A count below 1, repeated names, or a length of `guides_per_gene` that is not the number of genes.

    Examples
    --------
    >>> screen_design(genes=["BRAF", "KRAS"], guides_per_gene=[1, 2], cell_lines=2)
       gene    sgRNA cell_line
    0  BRAF  sgRNA_0    cell_0
    1  BRAF  sgRNA_0    cell_1
    2  KRAS  sgRNA_1    cell_0
    3  KRAS  sgRNA_1    cell_1
    4  KRAS  sgRNA_2    cell_0
    5  KRAS  sgRNA_2    cell_1
    """
    gene_names = _labels(genes, "gene", "genes")
    line_names = _labels(cell_lines, "cell", "cell_lines")
    counts = _guide_counts(guides_per_gene, len(gene_names))
    copies = len(_labels(replicates, "rep", "replicates"))

    gene = np.repeat(np.asarray(gene_names, dtype=object), counts)
    guide = np.asarray([f"sgRNA_{number}" for number in range(len(gene))], dtype=object)
    per_guide = len(line_names) * copies
    columns = {
        "gene": np.repeat(gene, per_guide),
        "sgRNA": np.repeat(guide, per_guide),
        "cell_line": np.tile(np.repeat(np.asarray(line_names, dtype=object), copies), len(guide)),
    }
    if copies > 1:
        labels = np.asarray([f"rep_{number}" for number in range(copies)], dtype=object)
        columns["replicate"] = np.tile(labels, len(guide) * len(line_names))
    return pd.DataFrame(columns).astype("str")


def _labels(wanted: int | Sequence[str], prefix: str, argument: str) -> list[str]:
    """Return names, numbering them when only their number is given."""
    if isinstance(wanted, int | np.integer):
        names = [f"{prefix}_{number}" for number in range(wanted)]
    else:
        names = [wanted] if isinstance(wanted, str) else [str(name) for name in wanted]
    if not names:
        raise DataError(
            f"{argument}={wanted!r} leaves the screen empty.",
            f"{argument} is a number of at least 1, or names.",
            f"Give {argument}=1 or more.",
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(
            f"{argument} repeats {', '.join(map(repr, repeated))}.",
            f"Each of the {argument} has a name of its own.",
            "Leave the repetition out, or use `replicates` to measure the same thing more than once.",
        )
    return names


def _guide_counts(guides_per_gene: int | Sequence[int], n_genes: int) -> list[int]:
    """Return the number of sgRNAs of each gene."""
    single = isinstance(guides_per_gene, int | np.integer)
    counts: list[Any] = [guides_per_gene] * n_genes if single else list(guides_per_gene)  # type: ignore[arg-type]
    if len(counts) != n_genes:
        raise DataError(
            f"guides_per_gene has {len(counts)} numbers for {n_genes} genes.",
            "guides_per_gene is one number for all genes, or one per gene in their order.",
            f"Give {n_genes} numbers, or a single one.",
        )
    if any(not isinstance(count, int | np.integer) or count < 1 for count in counts):
        raise DataError(
            f"guides_per_gene={guides_per_gene!r} holds a number that no gene can have.",
            "Each gene has a whole number of sgRNAs, at least 1.",
            "Leave a gene without sgRNAs out of `genes`.",
        )
    return [int(count) for count in counts]
