"""Effects of genes in cell lines and how selective they are, against loops over the same draws."""

import doctest
from dataclasses import replace
from functools import cache
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import EstimateError
from speclet_formula.model import Model
from tests.fakes import crossed_fit, fake_fit, screen_data

matrices = import_module("speclet_formula.interpretation.effect_matrix")  # the package has the verb of that name

GENES = ["TP53", "KRAS", "BRAF", "MYC", "SOX10", "<script>alert(1)</script>"]
LINES = ["A375", "HEL", "KU812", "RVH421"]


@cache
def nested_fit():
    """TP53 was not tried in A375; KRAS matters in HEL."""
    fit = fake_fit(Model("log_fc ~ 1 + (1 | gene) + (1 | gene:cell_line)", screen_data().iloc[2:]), {"1|gene": 0.0})
    rng = np.random.default_rng(4)
    fit.idata["posterior"]["1|gene"][:] = rng.normal(0, 0.3, (4, 250, 6))
    effects = rng.normal(0, 0.2, (4, 250, 23))
    effects[..., fit.model.design.mean.groups[1].levels.index("KRAS:HEL")] -= 2
    fit.idata["posterior"]["1|gene:cell_line"][:] = effects
    return fit


def totals(fit):
    """Each cell's draws by its two labels."""
    posterior = fit.idata["posterior"].to_dataset().stack(sample=("chain", "draw"))
    whole = posterior["1|gene"].values
    return {
        tuple(level.split(":")): part + whole[GENES.index(level.split(":")[0])]
        for level, part in zip(
            fit.model.design.mean.groups[1].levels, posterior["1|gene:cell_line"].values, strict=True
        )
    }


@pytest.mark.parametrize(
    ("value", "of"),
    [
        ("estimate", np.mean),
        ("std_error", lambda x: x.std(ddof=1)),
        ("conf_low", lambda x: np.quantile(x, 0.055)),
        ("conf_high", lambda x: np.quantile(x, 0.945)),
        ("p_negative", lambda x: np.mean(x < 0)),
        ("lfsr", lambda x: min(np.mean(x <= 0), np.mean(x >= 0))),
    ],
)
def test_cells_are_sums(value, of):
    frame, cells = sf.effect_matrix(nested_fit(), "gene", "cell_line", value=value), totals(nested_fit())
    expected = [[of(cells[gene, line]) if (gene, line) in cells else np.nan for line in LINES] for gene in GENES]
    np.testing.assert_allclose(frame.to_numpy(), expected, rtol=1e-11)
    assert (frame.index.to_list(), frame.columns.to_list()) == (GENES, LINES)
    assert (frame.index.name, frame.columns.name) == ("gene", "cell_line")
    assert frame.attrs["effect"] == "1|gene + 1|gene:cell_line"
    assert frame.attrs["value"] == value


def test_the_other_way_round_leaves_out_the_rows_own_effects():
    frame, cells = sf.effect_matrix(nested_fit(), "cell_line", "gene"), totals(nested_fit())
    whole = nested_fit().idata["posterior"]["1|gene"].values.mean(axis=(0, 1))
    assert frame.loc["HEL", "KRAS"] == pytest.approx(cells["KRAS", "HEL"].mean() - whole[1], rel=1e-9)


@pytest.mark.parametrize("formula", ["log_fc ~ 1 + (cell_line | gene)", "log_fc ~ 0 + (0 + cell_line | gene)"])
def test_effects_of_lines_by_gene(formula):
    fit = fake_fit(Model(formula, screen_data()))
    frame, posterior = sf.effect_matrix(fit, "gene", "cell_line"), fit.idata["posterior"]
    by_hand = posterior["cell_line[KU812]|gene"].values.mean(axis=(0, 1))
    if "1|gene" in posterior:
        by_hand = by_hand + posterior["1|gene"].values.mean(axis=(0, 1))
        np.testing.assert_allclose(frame["A375"], posterior["1|gene"].values.mean(axis=(0, 1)), rtol=1e-11)
    np.testing.assert_allclose(frame["KU812"], by_hand, rtol=1e-11)


def test_selectivity_of_a_gene():
    frame, cells = sf.selectivity(nested_fit(), "gene", "cell_line"), totals(nested_fit())
    assert frame.columns.to_list() == list(matrices.SELECTIVITY)
    assert frame["level"].to_list() == GENES
    assert frame["columns"].to_list() == [3, 4, 4, 4, 4, 4]
    for _, row in frame.iterrows():
        draws = {line: cells[row["level"], line] for line in LINES if (row["level"], line) in cells}
        lowest = min(draws, key=lambda line: draws[line].mean())
        rest = np.mean([draws[line] for line in draws if line != lowest], axis=0)
        difference = draws[lowest] - rest
        assert row["most_negative"] == lowest
        assert row["sd"] == pytest.approx(np.std(list(draws.values()), axis=0, ddof=1).mean(), rel=1e-10)
        assert row["estimate"] == pytest.approx(draws[lowest].mean(), rel=1e-10)
        assert row["difference"] == pytest.approx(difference.mean(), rel=1e-10)
        assert row["p_negative"] == np.mean(difference < 0)
        assert row["p_lowest"] == np.mean(np.argmin(list(draws.values()), axis=0) == list(draws).index(lowest))
    assert frame["most_negative"][1] == "HEL"


def test_a_gene_in_one_line_has_no_selectivity():
    fit = fake_fit(Model("log_fc ~ 1 + (1 | gene) + (1 | gene:cell_line)", screen_data().iloc[6:]))
    assert sf.selectivity(fit, "gene", "cell_line")["level"].to_list() == GENES[1:]


@pytest.mark.parametrize("cells", [1, 5, 6])
def test_blocks_change_nothing(monkeypatch, cells):
    functions = (sf.effect_matrix, sf.selectivity)
    wholes = [function(nested_fit(), "gene", "cell_line") for function in functions]
    monkeypatch.setattr(matrices, "BLOCK_BYTES", 8 * 1000 * cells)
    for function, whole in zip(functions, wholes, strict=True):
        pd.testing.assert_frame_equal(function(nested_fit(), "gene", "cell_line"), whole)


MESSAGES = {
    "no line": (
        crossed_fit,
        {"rows": "gene", "columns": "cell_line"},
        "no effect of 'gene' differs between the levels of 'cell_line'.\nGrouping factors: gene, cell_line.\n"
        "Add (1 | gene:cell_line) to the formula; sf.level_effects(fit, 'gene') has one effect for all columns.",
    ),
    "misspelt": (
        nested_fit,
        {"rows": "gne", "columns": "cell_line"},
        "'gne' is no factor of the model.\nIts factors: gene, cell_line.\nNearest: 'gene'.",
    ),
    "value": (
        nested_fit,
        {"rows": "gene", "columns": "cell_line", "value": "lfdr"},
        "value='lfdr' is not in the table of an effect.\n"
        "Values: estimate, std_error, conf_low, conf_high, p_negative, lfsr.\nNearest: value='lfsr'.",
    ),
    "reml": (
        lambda: sf.lmer("log_fc ~ 1 + (1 | gene) + (1 | gene:cell_line)", screen_data(), method="reml"),
        {"rows": "gene", "columns": "cell_line"},
        "effects of 'gene' by 'cell_line' are sums, which have no standard error in a fit by REML.\n"
        "Sums of group effects are made draw by draw.\nFit the model with method='exact' or 'hmc'.",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_messages(case):
    fit, arguments, text = MESSAGES[case]
    with pytest.raises(EstimateError) as error:
        sf.effect_matrix(fit(), **arguments)
    assert str(error.value) == text


def test_examples():
    crossed = fake_fit(Model("log_fc ~ 1 + (1 | gene/cell_line)", screen_data()))
    assert doctest.testmod(matrices, extraglobs={"crossed": crossed}).failed == 0


@pytest.mark.parametrize(
    "formula", ["log_fc ~ 1 + (1 | gene) + (1 | gene:cell_line)", "log_fc ~ 1 + (cell_line | gene)"]
)
def test_signs_of_an_exact_fit_are_normal_probabilities(formula):
    """As those of a table of levels, and near the counted ones: 800 draws, five standard errors of a half."""
    data = screen_data().iloc[2:]
    fit = sf.lmer(formula, data, random_seed=4, draws=400, chains=2)
    for value in ("p_negative", "lfsr"):
        matrix = sf.effect_matrix(fit, "gene", "cell_line", value=value)
        counted = sf.effect_matrix(replace(fit, method="nuts"), "gene", "cell_line", value=value)
        np.testing.assert_allclose(matrix, counted, atol=5 * 0.5 * np.sqrt(2 / 800))
        assert matrix.attrs["draws"] == 0
        if "gene:cell_line" in formula:
            levels = sf.level_effects(fit, "gene:cell_line", add="gene").set_index("level")[value]
            for gene in matrix.index:
                for line in matrix.columns:
                    known = f"{gene}:{line}" in levels.index
                    assert not known or matrix.loc[gene, line] == pytest.approx(levels[f"{gene}:{line}"], rel=1e-9)
