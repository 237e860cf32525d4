"""Log fold changes of other programs are read as they are, with the same labels and findings as counts."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError
from tests.screens.small import GENES, GUIDES, SAMPLE_MAP, counts, found, reads

CHANGES = np.log2((reads() / 400).rename(columns=str))
FOLDCHANGE = pd.concat([pd.DataFrame({"REAGENT_ID": GUIDES, "GENE": GENES}), CHANGES], axis=1)


def test_a_foldchange_file_of_bagel_and_a_matrix_of_depmap_give_one_table(tmp_path):
    FOLDCHANGE.to_csv(tmp_path / "hap1.foldchange.txt", sep="\t", index=False)
    bagel = sf.read_fold_changes(tmp_path / "hap1.foldchange.txt", samples=SAMPLE_MAP)
    matrix = CHANGES.set_axis(pd.Index(GUIDES)).T.rename_axis("SequenceID")
    guides = pd.DataFrame({"sgRNA": GUIDES, "Gene": GENES})
    depmap = sf.read_fold_changes(matrix, guides, SAMPLE_MAP)
    assert (bagel.layout, depmap.layout) == ("BAGEL", "Chronos")
    assert len(bagel.table) == 4 * 24
    table = bagel.table.set_index(["sample", "sgRNA"])["log_fc"]
    for sample in CHANGES:
        np.testing.assert_allclose(table.loc[sample].loc[GUIDES], CHANGES[sample])
    pd.testing.assert_frame_equal(depmap.table, bagel.table)
    assert "Log fold changes as they came" in repr(bagel)
    np.testing.assert_allclose(bagel.samples["median"], CHANGES.median())
    fit = sf.lmer("log_fc ~ (1 | gene) + (1 | gene:sgRNA)", bagel.table, method="reml")
    assert sf.nobs(fit) == 96


def test_missing_fold_changes_are_told_and_left_out_when_asked():
    holed = FOLDCHANGE.assign(A_1=FOLDCHANGE["A_1"].where(FOLDCHANGE.index > 1))
    kept = sf.read_fold_changes(holed, samples=SAMPLE_MAP)
    assert (len(kept.table), found(kept).loc["missing_counts", "n"]) == (96, 2)
    left = sf.read_fold_changes(holed, samples=SAMPLE_MAP, drop=["missing_counts"])
    assert len(left.table) == 94
    assert left.table["log_fc"].notna().all()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"duplicates": "sum"},
            "duplicates='sum' is no choice.\n'error' refuses several rows of one guide, 'same' takes one of equal "
            "rows; "
            "fold changes cannot be added up.\nLeave it out to refuse them.",
        ),
        (
            {"log_fc": FOLDCHANGE.assign(A_1=np.inf)},
            "24 cells are no log fold changes, the first in sample 'A_1': inf.\nA log fold change is a finite "
            "number, or "
            "missing.\nMend the cells, or leave them empty.",
        ),
    ],
)
def test_mistakes_say_what_to_do(changes, text):
    with pytest.raises(DataError) as caught:
        sf.read_fold_changes(**{"log_fc": FOLDCHANGE, "samples": SAMPLE_MAP} | changes)
    assert str(caught.value) == text


def test_counts_need_no_change_of_name():
    assert sf.read_fold_changes(counts(), samples=SAMPLE_MAP).table["log_fc"].iloc[0] == reads()["T0"].iloc[0]
