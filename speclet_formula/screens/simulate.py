"""Counts of a screen that never was, with the effects that made them: `simulate_screen`.

Reads are negative binomial, and the efficacy of guides varies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.seeds import generator
from speclet_formula.common.table import Worded
from speclet_formula.design.design import sd_name
from speclet_formula.errors import DataError
from speclet_formula.screens.datasets import screen_design

INITIAL_SPREAD = 0.5  # SD of the log of guides' shares of a library
REFERENCE = "plasmid"
NON_TARGETING = "NonTargeting"


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedScreen(Worded):
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


def simulate_screen(  # noqa: PLR0913 - what makes a screen has many sides, each with a default
    *,
    genes: int | Sequence[str] = 200,
    guides_per_gene: int | Sequence[int] = 4,
    cell_lines: int | Sequence[str] = 1,
    replicates: int = 3,
    essential: float = 0.15,
    nonessential: float = 0.15,
    essential_effect: float = -3.0,
    gene_sd: float = 0.3,
    line_sd: float = 0.3,
    efficacy: tuple[float, float] = (8.0, 2.0),
    guide_sd: float = 0.1,
    reads_per_guide: float = 400.0,
    dispersion: float = 0.05,
    reference_reads: float = 2000.0,
    random_seed: int | None = None,
) -> SimulatedScreen:
    r"""Simulate the counts of a knock-out screen whose true effects are known.

    A guide i of gene g in line l has the mean log2 fold change

    .. math:: m_{il} = e_i\,(\gamma_g + \delta_{gl}) + a_i,

    with efficacy :math:`e_i \sim` Beta, line effects :math:`\delta_{gl} \sim` Normal(0, `line_sd`) and guides' own
    effects :math:`a_i \sim` Normal(0, `guide_sd`). Nonessential genes have :math:`\gamma = \delta = 0`. Reads are
    negative binomial with mean (share of the library) x 2^m x (reads of the sample); depths differ by up to a factor of
    two either way, so that normalising matters. Library and reference are shared by all samples.

    Parameters
    ----------
    genes, guides_per_gene, cell_lines, replicates
        As in `datasets.screen_design`.
    essential, nonessential : float
        Shares of the genes that are controls of either kind; the first genes are essential, the last nonessential.
    essential_effect : float
        Mean effect of essential genes, log2.
    gene_sd : float
        SD of the effects of genes: of essential ones around their mean, of others around 0.
    line_sd : float
        SD of what a gene's effect is more or less in a line; of one line there is none.
    efficacy : tuple of float
        The two parameters of a Beta distribution: (8, 2) has mean 0.8.
    guide_sd : float
        SD of guides' own effects, off target and the like.
    reads_per_guide : float
        Mean reads of a guide in a sample of average depth.
    dispersion : float
        The variance of a sample's counts is mu + dispersion * mu^2: guides drift in few cells.
    reference_reads : float
        Mean reads of a guide in the plasmid, whose counts are Poisson. Its noise is the same in all samples, so that
        fold changes from a shallow one look like effects of guides.
    random_seed : int, optional
        Makes the screen repeatable.

    Returns
    -------
    SimulatedScreen
        `counts`, `guides`, `samples` for `read_screen`; `truth` for `recover`.

    Raises
    ------
    DataError
        As `datasets.screen_design`; a share outside 0 to 1, or an SD, a number of reads or a dispersion below 0.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> simulated = sf.simulate_screen(genes=10, cell_lines=2, random_seed=1)
    >>> simulated.counts.shape  # sgRNA, gene, the plasmid and six samples
    (40, 9)
    """
    _check_shares(essential, nonessential)
    _check_numbers(gene_sd=gene_sd, line_sd=line_sd, guide_sd=guide_sd, dispersion=dispersion)
    _check_numbers(reads_per_guide=reads_per_guide, reference_reads=reference_reads, replicates=replicates)
    rng = generator(random_seed)
    design = screen_design(genes=genes, guides_per_gene=guides_per_gene, cell_lines=cell_lines)
    names, lines = design["gene"].unique(), design["cell_line"].unique()
    library = design.drop_duplicates("sgRNA")[["sgRNA", "gene"]].reset_index(drop=True)
    kinds = _kinds(len(names), essential, nonessential)

    gamma = np.where(kinds == "nonessential", 0.0, rng.normal(0, gene_sd, len(names)))
    gamma = gamma + np.where(kinds == "essential", essential_effect, 0.0)
    delta = rng.normal(0, line_sd, (len(names), len(lines))) if len(lines) > 1 else np.zeros((len(names), 1))
    effects = gamma[:, None] + np.where((kinds == "nonessential")[:, None], 0.0, delta)
    shown = rng.beta(*efficacy, len(library))
    own = rng.normal(0, guide_sd, len(library))
    gene_of = pd.Categorical(library["gene"], categories=names).codes
    means = shown[:, None] * effects[gene_of] + own[:, None]  # guides x lines

    samples = _sample_map(lines, replicates)
    reads = _reads(rng, np.repeat(means, replicates, axis=1), reads_per_guide, dispersion, reference_reads)
    counts = pd.concat([library, pd.DataFrame(reads, columns=samples["sample"].to_list())], axis=1)
    return SimulatedScreen(
        counts=counts,
        guides=library.assign(control=kinds[gene_of]),
        samples=samples,
        truth=_truth(means, library, lines),
        effects=pd.DataFrame(effects, index=pd.Index(names, name="gene"), columns=pd.Index(lines, name="cell_line")),
        efficacies=pd.Series(shown, index=pd.Index(library["sgRNA"], name="sgRNA"), name="efficacy"),
    )


def simulate_pairs(
    *,
    genes: int = 30,
    partners: int = 4,
    constructs: int = 3,
    controls: int = 10,
    replicates: int = 3,
    gene_sd: float = 0.6,
    interaction_sd: float = 0.3,
    construct_sd: float = 0.2,
    reads_per_guide: float = 400.0,
    dispersion: float = 0.05,
    reference_reads: float = 2000.0,
    random_seed: int | None = None,
) -> SimulatedScreen:
    """Simulate the counts of a screen whose constructs carry two guides, and whose true interactions are known.

    The mean log2 fold change of a construct is the sum of its genes' effects, of what the pair does besides, and of the
    construct's own; a control without a target ("NonTargeting") does nothing. Reads are those of `simulate_screen`.

    Parameters
    ----------
    genes : int
        Each is paired with a control, and with others.
    partners : int
        Other genes that each is paired with, those next to it in a circle; an even number below `genes`.
    constructs : int
        Of each pair, of different guides.
    controls : int
        Constructs of two controls, on which samples are normalised.
    replicates : int
        Samples of the one cell line.
    gene_sd, interaction_sd, construct_sd : float
        SDs of the effects, log2.
    reads_per_guide, dispersion, reference_reads, random_seed
        As for `simulate_screen`.

    Returns
    -------
    SimulatedScreen
        `counts` (`construct`, `guide_a`, `guide_b`, `gene_a`, `gene_b`, samples) and `samples` for `read_pairs`;
        `guides` without the reads; `truth` by the names of
        `(1 | mm(gene_a, gene_b)) + (1 | gene_a:gene_b)` with weights of 1, for pairs of two genes; `efficacies` are 1.

    Raises
    ------
    DataError
        A number is out of range.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> simulated = sf.simulate_pairs(genes=10, partners=4, random_seed=1)  # 20 pairs, 10 genes with a control
    >>> simulated.counts.shape  # five columns of names, the plasmid and three samples; 30 x 3 + 10 constructs
    (100, 9)
    """
    _check_numbers(gene_sd=gene_sd, interaction_sd=interaction_sd, construct_sd=construct_sd, dispersion=dispersion)
    _check_numbers(reads_per_guide=reads_per_guide, reference_reads=reference_reads, replicates=replicates)
    if not 2 <= partners < genes or partners % 2 or min(constructs, controls) < 1:  # noqa: PLR2004 - one on each side
        raise DataError(
            f"genes={genes}, partners={partners}, constructs={constructs} and controls={controls} make no library.",
            "partners is even and below genes, and there are constructs of each pair and of controls.",
            "Leave them out for 30 genes with 4 partners each.",
        )
    rng = generator(random_seed)
    names = np.array(
        [f"gene_{place:0{len(str(genes - 1))}d}" for place in range(genes)] + [NON_TARGETING], dtype=object
    )
    first, second = _circle(genes, partners)
    own, both = rng.normal(0, gene_sd, genes), rng.normal(0, interaction_sd, len(first))
    library = _constructs(names, np.r_[first, np.arange(genes), genes], np.r_[second, np.full(genes + 1, genes)],
                          np.r_[np.full(len(first) + genes, constructs), controls])  # fmt: skip
    means = np.append(own, 0.0)[library[["a", "b"]].to_numpy()].sum(axis=1)
    means += np.append(both, np.zeros(genes + 1))[library["pair"]]
    means += np.where(library["a"] < genes, rng.normal(0, construct_sd, len(library)), 0.0)
    samples = _sample_map(np.array(["line"], dtype=object), replicates)
    reads = _reads(rng, np.repeat(means[:, None], replicates, axis=1), reads_per_guide, dispersion, reference_reads)
    guides = library.drop(columns=["a", "b", "pair"])
    labels = [f"{names[one]}:{names[other]}" for one, other in zip(first, second, strict=True)]
    truth = {
        "Intercept": 0.0,
        "1|mm(gene_a, gene_b)": pd.Series(own, index=names[:genes]),
        sd_name("1|mm(gene_a, gene_b)"): gene_sd,
        "1|gene_a:gene_b": pd.Series(both, index=labels),
        sd_name("1|gene_a:gene_b"): interaction_sd,
    }
    return SimulatedScreen(
        counts=pd.concat([guides, pd.DataFrame(reads, columns=samples["sample"].to_list())], axis=1),
        guides=guides,
        samples=samples,
        truth=truth,
        effects=pd.DataFrame({"line": own}, index=pd.Index(names[:genes], name="gene")),
        efficacies=pd.Series(1.0, index=pd.Index(guides["construct"], name="construct"), name="efficacy"),
    )


def _circle(genes: int, partners: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of genes next to each other in a circle, each pair once, so that each gene is in so many."""
    steps = np.arange(1, partners // 2 + 1)
    pairs = {tuple(sorted((gene, int(gene + step) % genes))) for step in steps for gene in range(genes)}
    found = np.array(sorted(pairs))
    return found[:, 0], found[:, 1]


def _constructs(names: np.ndarray, first: np.ndarray, second: np.ndarray, counts: np.ndarray) -> pd.DataFrame:
    """Return the constructs of each pair: names of guides and genes, and the places of genes and pair."""
    pair = np.repeat(np.arange(len(first)), counts)
    number = np.concatenate([np.arange(count) for count in counts]) + 1
    a, b = first[pair], second[pair]
    table = pd.DataFrame({"gene_a": names[a], "gene_b": names[b], "a": a, "b": b, "pair": pair})
    table["guide_a"] = [f"{gene}_{one}" for gene, one in zip(table["gene_a"], number, strict=True)]
    table["guide_b"] = [f"{gene}_{one}" for gene, one in zip(table["gene_b"], number, strict=True)]
    table["construct"] = table["guide_a"] + ";" + table["guide_b"]
    return table[["construct", "guide_a", "guide_b", "gene_a", "gene_b", "a", "b", "pair"]]


def _kinds(n: int, essential: float, nonessential: float) -> np.ndarray:
    """Return the control class of each gene."""
    first, last = round(n * essential), round(n * nonessential)
    middle = n - first - last
    return np.repeat(np.asarray(["essential", "other", "nonessential"], dtype=object), [first, middle, last])


def _sample_map(lines: np.ndarray, replicates: int) -> pd.DataFrame:
    rows: list[tuple[str, str, str, str | None]] = [(REFERENCE, REFERENCE, "1", None)]
    rows += [(f"{line}_{n}", str(line), str(n), REFERENCE) for line in lines for n in range(1, replicates + 1)]
    return pd.DataFrame(rows, columns=["sample", "cell_line", "replicate", "reference"])


def _reads(
    rng: np.random.Generator, means: np.ndarray, reads_per_guide: float, dispersion: float, reference_reads: float
) -> np.ndarray:
    """Draw reads, guides x samples, the reference first."""
    library = np.exp(rng.normal(0, INITIAL_SPREAD, len(means)))
    abundance = library[:, None] * 2**means
    depth = reads_per_guide * 2 ** rng.uniform(-1, 1, means.shape[1])
    mean = abundance / abundance.mean(axis=0) * depth
    if dispersion > 0:  # a Poisson whose mean varies by a gamma
        mean = rng.gamma(1 / dispersion, mean * dispersion)
    reference = library / library.mean() * reference_reads
    return np.asarray(rng.poisson(np.column_stack([reference, mean])))


def _truth(means: np.ndarray, library: pd.DataFrame, lines: np.ndarray) -> dict[str, Any]:
    """Split the guides' means into the parts of `(1|gene) + (1|gene:sgRNA) + (1|gene:cell_line)`."""
    by_gene = pd.DataFrame(means, index=library["gene"]).groupby(level=0, sort=False).mean()
    intercept = float(by_gene.to_numpy().mean())
    gene = by_gene.mean(axis=1) - intercept
    guide = pd.Series(means.mean(axis=1) - by_gene.mean(axis=1).loc[library["gene"]].to_numpy())
    guide.index = pd.Index(library["gene"] + ":" + library["sgRNA"])
    truth: dict[str, Any] = {"Intercept": intercept, "1|gene": gene.rename_axis(None), "1|gene:sgRNA": guide}
    if len(lines) > 1:
        cells = by_gene.sub(by_gene.mean(axis=1), axis=0).set_axis(lines, axis=1).stack()
        cells.index = pd.Index([f"{one}:{line}" for one, line in cells.index])
        truth["1|gene:cell_line"] = cells
    for name in [key for key in truth if key != "Intercept"]:
        truth[name] = truth[name].rename(name)
        truth[sd_name(name)] = float(truth[name].std())
    return truth


def _check_shares(essential: float, nonessential: float) -> None:
    if not (essential >= 0 and nonessential >= 0 and essential + nonessential <= 1):
        raise DataError(
            f"essential={essential!r} and nonessential={nonessential!r} are no shares of the genes.",
            "Both are 0 or more, and their sum at most 1.",
            "Leave them out for 0.15 each.",
        )


def _check_numbers(**numbers: float) -> None:
    for name, value in numbers.items():
        least = 1 if name == "replicates" else 0
        if not value >= least or (value == 0 and name in ("reads_per_guide", "reference_reads")):
            raise DataError(
                f"{name}={value!r} is out of range.",
                "SDs and the dispersion are 0 or more, reads above 0, replicates 1 or more.",
                f"Leave {name}= out.",
            )
