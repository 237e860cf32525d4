"""Sample maps of JACKS, MAGeCK, Chronos and DepMap lead to the comparisons that their programs make."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError
from tests.screens.small import GUIDES, SAMPLE_MAP, counts, found, reads

PLAIN = sf.read_screen(counts(), samples=SAMPLE_MAP, normalise="none").table
REPMAP = pd.DataFrame(
    {"Replicate": ["T0", "A_1", "A_2", "B_1"], "Sample": ["CTRL", "A", "A", "B "], "Control": ["CTRL"] * 4}
)


def read(samples, **options):
    return sf.read_screen(counts(), samples=samples, **{"normalise": "none"} | options)


@pytest.mark.parametrize("control", [True, False])
def test_a_replicate_map_of_jacks(control):
    screen = read(REPMAP if control else REPMAP.drop(columns="Control"))
    pd.testing.assert_frame_equal(screen.table, PLAIN)
    assert found(screen).loc["sample_map", "what"] == "The sample map is JACKS': Replicate, Sample, Control."


def test_a_replicate_map_of_jacks_with_a_control_for_each():
    extra = counts().assign(T1=reads()["T0"] * 5)
    matched = pd.concat([REPMAP, pd.DataFrame({"Replicate": ["T1"], "Sample": ["CTRL2"], "Control": ["CTRL2"]})])
    matched["Control"] = ["CTRL", "CTRL", "CTRL", "CTRL2", "CTRL2"]
    table = sf.read_screen(extra, samples=matched, normalise="none").table.set_index(["sample", "sgRNA"])
    np.testing.assert_allclose(table.loc["B_1", "count_initial"].loc[GUIDES], reads()["T0"] * 5)
    np.testing.assert_allclose(table.loc["A_1", "count_initial"].loc[GUIDES], reads()["T0"])


def test_a_design_matrix_of_mageck():
    design = pd.DataFrame(
        {"Samples": ["T0", "A_1", "A_2", "B_1"], "baseline": 1, "drug": [0, 1, 1, 0], "late": [0, 0, 1, 1]}
    )
    screen = read(design)
    table = screen.table
    np.testing.assert_allclose(table["log_fc"], PLAIN["log_fc"])
    by_sample = table.drop_duplicates("sample").set_index("sample")
    assert by_sample["cell_line"].to_dict() == {"A_1": "drug", "A_2": "drug+late", "B_1": "late"}
    assert by_sample[["drug", "late"]].to_numpy().tolist() == [[1, 0], [1, 1], [0, 1]]
    assert "design matrix" in found(screen).loc["sample_map", "what"]


def test_the_map_s_column_with_the_counts_names_is_taken():
    screen = read(SAMPLE_MAP.rename(columns={"sample": "sequence_ID"}).assign(sample=["a", "b", "c", "d"]))
    assert found(screen).loc["sample_column", "n"] == 1
    assert screen.table["sample_label"].unique().tolist() == ["b", "c", "d"]
    pd.testing.assert_frame_equal(screen.table[PLAIN.columns], PLAIN)


def test_conditions_and_days_of_chronos_go_along():
    condition_map = pd.DataFrame(
        {
            "sequence_ID": ["T0", "A_1", "A_2", "B_1"], "replicate": ["pDNA", "RepA", "RepA", "RepB"],
            "cell_line_name": ["pDNA", "Meljuso", "Meljuso", "Meljuso"], "days": 21, "pDNA_batch": "batch1",
            "condition": ["pDNA", "Control", "A-1331852", "Control"],
        }
    )  # fmt: skip
    screen = read(condition_map)
    np.testing.assert_allclose(screen.table["log_fc"], PLAIN["log_fc"])
    assert screen.table["condition"].unique().tolist() == ["Control", "A-1331852"]
    assert screen.table["replicate"].unique().tolist() == ["RepA", "RepB"]


def test_a_reference_whose_own_name_has_a_semicolon_is_one():
    named = counts().rename(columns={"T0": "HB11;19"})
    samples = SAMPLE_MAP.replace({"T0": "HB11;19"})
    table = sf.read_screen(named, samples=samples, normalise="none").table
    np.testing.assert_allclose(table["log_fc"], PLAIN["log_fc"])


def test_a_batch_without_a_plasmid_is_refused():
    batches = pd.DataFrame(
        {
            "sequence_ID": ["T0", "A_1", "A_2", "B_1"],
            "cell_line_name": ["pDNA", "A", "A", "B"],
            "pDNA_batch": list("xxxy"),
        }
    )
    with pytest.raises(DataError) as caught:
        read(batches)
    assert str(caught.value) == (
        "1 samples have no reference with counts: 'B_1'.\nA log fold change compares a sample with its plasmid or "
        "first "
        "time point.\nName the reference of each in the sample map, or leave their rows out."
    )
