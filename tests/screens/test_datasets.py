"""The rebuilt data equal the recorded ones, and the layout of a screen is what was asked for."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from speclet_formula.errors import DataError
from speclet_formula.screens.datasets import m7, screen_design

RECORDED = Path(__file__).parents[1] / "data"
GUIDES = np.arange(1, 11)


@pytest.fixture(scope="module")
def recorded_truth():
    return json.loads((RECORDED / "m7_truth.json").read_text(encoding="utf-8"))


def test_m7_equals_the_recorded_table_to_its_printed_precision():
    recorded = pd.read_csv(RECORDED / "m7_synthetic.csv")
    data, _ = m7()
    assert list(data.columns) == list(recorded.columns)
    pd.testing.assert_frame_equal(data[["cell_line", "sgRNA", "gene"]], recorded[["cell_line", "sgRNA", "gene"]])
    numbers = ["mu_sc", "log_fc"]
    assert (data[numbers] - recorded[numbers]).abs().max().max() < 5.1e-7  # six decimals are printed


def test_m7_effects_equal_the_recorded_ones(recorded_truth):
    _, truth = m7()
    gamma = np.array(recorded_truth["gamma_g"])
    np.testing.assert_allclose(truth["1|gene"], gamma - recorded_truth["mu_gamma"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(truth["1|cell_line"], recorded_truth["beta_c"], rtol=0, atol=1e-12)
    alpha = np.array(recorded_truth["alpha_s"])
    np.testing.assert_allclose(truth["1|gene:sgRNA"], alpha - np.repeat(gamma, GUIDES), rtol=0, atol=1e-12)


def test_m7_parameters_are_the_recorded_ones(recorded_truth):
    _, truth = m7()
    named = {
        "Intercept": "mu_gamma", "1|gene_sigma": "sigma_gamma", "1|gene:sgRNA_sigma": "sigma_alpha",
        "1|cell_line_sigma": "sigma_beta", "sigma": "sigma",
    }  # fmt: skip
    assert {key: truth[key] for key in named} == {key: recorded_truth[name] for key, name in named.items()}


def test_m7_truth_adds_up_to_the_rows_means():
    data, truth = m7()
    mean = truth["Intercept"] + data["gene"].map(truth["1|gene"]) + data["cell_line"].map(truth["1|cell_line"])
    mean += (data["gene"] + ":" + data["sgRNA"]).map(truth["1|gene:sgRNA"])
    np.testing.assert_allclose(mean, data["mu_sc"], rtol=0, atol=1e-12)


def test_m7_leaves_numpys_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    m7()
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_a_screen_crosses_guides_with_lines_and_replicates():
    screen = screen_design(genes=3, guides_per_gene=[1, 2, 4], cell_lines=["A375", "HEL"], replicates=2)
    assert list(screen.columns) == ["gene", "sgRNA", "cell_line", "replicate"]
    assert len(screen) == 7 * 2 * 2
    assert not screen.duplicated().any()
    assert screen.groupby("sgRNA")["gene"].nunique().eq(1).all()
    assert screen.groupby("gene")["sgRNA"].nunique().to_list() == [1, 2, 4]


def test_a_screen_of_single_measurements_has_no_replicate_column():
    assert list(screen_design(genes=["BRAF"], guides_per_gene=1, cell_lines=1).columns) == [
        "gene",
        "sgRNA",
        "cell_line",
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"genes": 0},
            "genes=0 leaves the screen empty.\ngenes is a number of at least 1, or names.\nGive genes=1 or more.",
        ),
        (
            {"cell_lines": ["HEL", "HEL"]},
            "cell_lines repeats 'HEL'.\nEach of the cell_lines has a name of its own.\n"
            "Leave the repetition out, or use `replicates` to measure the same thing more than once.",
        ),
        (
            {"genes": 2, "guides_per_gene": [1, 2, 3]},
            "guides_per_gene has 3 numbers for 2 genes.\n"
            "guides_per_gene is one number for all genes, or one per gene in their order.\n"
            "Give 2 numbers, or a single one.",
        ),
        (
            {"genes": 2, "guides_per_gene": [1, 0]},
            "guides_per_gene=[1, 0] holds a number that no gene can have.\n"
            "Each gene has a whole number of sgRNAs, at least 1.\nLeave a gene without sgRNAs out of `genes`.",
        ),
    ],
)
def test_an_impossible_screen_is_refused(arguments, text):
    with pytest.raises(DataError) as caught:
        screen_design(**arguments)
    assert str(caught.value) == text
