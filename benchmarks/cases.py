"""The models that are timed: formula, data, draws, and who takes part.

Only names and numbers stand here, so that the process which starts all others stays small: a child's peak memory
cannot be read as less than its parent's. Making the tables is left to `tables`.
"""

from dataclasses import dataclass

PEERS = ("bambi-pymc", "bambi-nutpie", "bambi-numpyro")
CREW = ("exact", "nuts", "reml", *PEERS, "lme4", "brms")
M7 = "log_fc ~ 1 + (1 | gene) + (1 | gene:sgRNA) + (1 | cell_line)"


@dataclass(frozen=True)
class Case:
    """A model for a table, and how long to sample it."""

    name: str
    formula: str  # as lme4 and this package read it
    meaning: str  # in a few words
    crew: tuple[str, ...]  # who takes part unless told otherwise
    draws: int = 1000  # kept, per chain
    tune: int = 1000
    chains: int = 4
    seconds: float = 900.0  # the most that one run may take here; --limit may be shorter
    keep: tuple[str, ...] | None = None  # factors whose effects this package keeps; None for all, as everyone else
    suffix: str = ".csv"  # of the table's file

    @property
    def bambi_formula(self) -> str:
        """The same model for Bambi, which would give `gene:sgRNA` a level for every gene with every sgRNA.

        All sgRNAs here belong to one gene, so that `sgRNA` has the same levels, a tenth or less of that number.
        """
        return self.formula.replace("gene:sgRNA", "sgRNA")


CASES = (
    Case("m7", M7, "a crossed and nested screen", CREW),
    Case(
        "sleepstudy",
        "Reaction ~ 1 + Days + (1 + Days | Subject)",
        "correlated slopes",
        ("exact", "nuts", "reml", *PEERS, "lme4"),
    ),
    Case(
        "hap1_full",
        "log_fc ~ 1 + (1 | gene) + (1 | gene:sgRNA) + (1 | replicate)",
        "a genome-wide screen",
        ("exact", "reml", "lme4"),
        draws=250,
    ),
    Case(
        "hap1",
        "log_fc ~ 1 + control + (1 | gene) + (1 | gene:sgRNA)",
        "a real screen in one line",
        ("exact", "nuts", "reml", "bambi-nutpie", "lme4"),
        seconds=240.0,
    ),
    Case(
        "depmap",
        "log_fc ~ 1 + is_mutated + cn + (1 | gene) + (1 | gene:sgRNA) + (1 | cell_line) + (1 | gene:cell_line)",
        "a real screen in 12 lines",
        ("exact", "nuts", "reml", "bambi-nutpie", "lme4"),
        seconds=240.0,
    ),
    Case(
        "cells",
        "log_fc ~ 1 + (1 | gene) + (1 | cell_line) + (1 | gene:cell_line)",
        "50,000 cells of gene and line, ten rows each",
        ("exact", "lme4"),
        draws=250,
    ),
)

# Screens that grow: ten times the rows are five times the genes in twice the cell lines, four sgRNAs a gene.
GROWTH_SIZES = ((50, 5), (112, 7), (250, 10), (560, 14), (1250, 20), (2800, 28), (6250, 40))
GROWTH_GUIDES = 4
HUGE_SIZE = (18_000, 139)  # 10,008,000 rows: all genes, on demand, by this package alone
GROWTH_FROM = 10_000  # rows from which on the slope is fitted: below, what does not depend on rows weighs most


def growth_case(genes: int, lines: int) -> Case:
    """Return the case of one size of the growth curve; 1,000 draws in all."""
    rows = genes * GROWTH_GUIDES * lines
    name, meaning = f"growth-{genes}x{lines}", f"a simulated screen of {rows:,} rows"
    if (genes, lines) == HUGE_SIZE:
        keep = ("gene", "cell_line")
        return Case(name, M7, meaning, ("exact",), draws=250, seconds=3600.0, keep=keep, suffix=".parquet")
    return Case(name, M7, meaning, ("exact", "lme4"), draws=250)
