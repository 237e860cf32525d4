"""Names of genes: what spreadsheets, libraries and DepMap make of them is told, and nothing is guessed."""

import pandas as pd
import pytest

from speclet_formula.screens.columns import Notes
from speclet_formula.screens.libraries import join_genes, non_targeting, symbol_of, tidy_genes


def tidy(*names):
    notes = Notes()
    found = tidy_genes(pd.Series(list(names), dtype=object), notes)
    return [None if pd.isna(name) else name for name in found], {row[0]: row[5] for row in notes.rows}


@pytest.mark.parametrize(
    ("name", "tidied"),
    [
        ("A|B", "A;B"), ("B,A", "A;B"), ("B;A;B", "A;B"), (" TP53 ", "TP53"), ("A1BG|1", "A1BG|1"),
        ("A1BG|ENSG00000121410", "A1BG|ENSG00000121410"), ("A1BG (1)", "A1BG (1)"), ("HLA-A", "HLA-A"), ("", None),
        ("NaN", None), ("None", None), (float("nan"), None), (1234, "1234"), ("A;", "A"),
    ],
)  # fmt: skip
def test_a_gene_s_name(name, tidied):
    assert tidy(name)[0] == [tidied]


def test_what_is_odd_is_told():
    names = (
        "1-Mar",
        "Sep-02",
        "2021-09-02 00:00:00",
        "3/1/2021",
        "MARCH1",
        "SEPT9",
        "DEC1",
        "DEC2",
        "A (7)",
        "A|B",
        " X",
    )
    told = tidy(*names)[1]
    assert told["dates"] == "1-Mar, 2021-09-02 00:00:00, 3/1/2021, Sep-02"
    assert told["old_symbols"] == "DEC1 is DELEC1, MARCH1 is MARCHF1, SEPT9 is SEPTIN9"
    assert (told["entrez"], told["separators"], told["spaces"]) == ("A (7)", "A|B", "' X'")
    assert tidy("MARCHF1", "SEPTIN9", "TP53", "MARK1", "DECR1", "NOVA1", "SEPHS1")[1] == {}


CONTROLS = (
    "NonTargeting", "Non-Targeting Control", "non_targeting_12", "NonTargetingControlGuideForHuman_0001",
    "NO_CURRENT_1",
    "NTC", "control", "CTRL0001", "negative_control", "Neg_ctrl_3", "LacZ", "luciferase", "EGFP", "INTERGENIC",
    "safe-targeting", "NO_SITE", "ONE_NON-GENE_SITE", "AAVS1",
)  # fmt: skip


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_without_a_target_are_known_by_name(name):
    assert non_targeting(pd.Series([name], index=["g"])).tolist() == [True]
    assert non_targeting(pd.Series([None], index=[name], dtype=object)).tolist() == [True]


@pytest.mark.parametrize(
    "name", ["NTRK1", "NT5C", "CTRC", "NEGR1", "NOTCH1", "SAFB", "RFPL1", "GFPT1", "CTRL", "LACTB"]
)
def test_genes_that_begin_alike_are_genes(name):
    assert non_targeting(pd.Series([name] * 6, index=list("abcdef"))).tolist() == [False] * 6


def test_ctrl_with_more_guides_than_a_gene_has_is_a_control():
    assert non_targeting(pd.Series(["CTRL"] * 11)).all()


def test_symbols_and_joined_names():
    assert [symbol_of(name) for name in ("A1BG (1)", "A1BG", "A (x)", "B (unknown)")] == ["A1BG", "A1BG", "A (x)", "B"]
    assert join_genes(["B;A", "C"]) == join_genes(["C", "A", "B"]) == "A;B;C"
