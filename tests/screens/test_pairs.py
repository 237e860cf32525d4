"""Screens with two guides in a construct: what is read, and pairs of genes ranked beside what their genes do alone."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf

SINGLE = "(1 | mm(gene_a, gene_b, weights = cbind(w_a, w_b), scale = FALSE))"
FORMULA = f"log_fc ~ {SINGLE} + (0 + both | gene_a:gene_b) + (1 | sgRNA)"


@cache
def simulated():
    return sf.simulate_pairs(genes=24, partners=6, constructs=4, interaction_sd=0.4, construct_sd=0.1, random_seed=5)


@cache
def screen():
    return sf.read_pairs(simulated().counts, samples=simulated().samples)


def test_fold_changes_are_those_of_constructs_read_as_guides():
    """The same counts by `read_screen`, the constructs of two controls being its controls."""
    counts = simulated().counts
    plain = counts.drop(columns=["guide_a", "guide_b", "gene_a"]).rename(
        columns={"construct": "sgRNA", "gene_b": "gene"}
    )
    plain["gene"] = counts["gene_a"] + "~" + counts["gene_b"]
    known = sf.read_screen(plain, samples=simulated().samples, controls={"nonessential": ["NonTargeting~NonTargeting"]})
    table = screen().table
    pd.testing.assert_series_equal(table["log_fc"], known.table["log_fc"])
    assert table["sgRNA"].tolist() == known.table["sgRNA"].tolist()
    both = counts.set_index("construct")
    for name in ("gene_a", "gene_b", "guide_a", "guide_b"):
        assert table[name].tolist() == both.loc[table["sgRNA"], name].tolist()
    assert "72 pairs of genes" not in repr(screen())
    assert "of 97 pairs of genes (1 nonessential, 96 other, 0 essential)" in repr(screen())


def test_weights_tell_genes_from_controls_without_a_target():
    table = screen().table
    assert (table["w_a"] == (table["gene_a"] != "NonTargeting")).all()
    assert (table["w_b"] == (table["gene_b"] != "NonTargeting")).all()
    assert (table["both"] == table["w_a"] * table["w_b"]).all()
    found = screen().findings.set_index("finding").loc["non_targeting"]
    assert found["n"] == 24 * 4 + 10


def small(**changes):
    table = pd.DataFrame(
        {"sgRNA1": ["p", "q", "r", "n"], "sgRNA2": ["s", "t", "n", "n"], "Gene.1": ["B", "C", "NTC", "NTC"],
         "Gene.2": ["A", "D", "A", "NTC"], "t0": [300, 310, 320, 330], "end": [150, 300, 320, 330]}
    )  # fmt: skip
    return table.assign(**changes)


SAMPLES = pd.DataFrame({"sample": ["t0", "end"], "cell_line": ["x", "x"], "reference": [None, "t0"]})


def read(counts, pairs=None, **settings):
    return sf.read_pairs(counts, pairs, SAMPLES, normalise="total", **settings)


def test_genes_are_put_in_order_and_their_guides_with_them():
    found = read(small())
    table = found.table.set_index("sgRNA")
    assert table.loc["p;s", ["gene_a", "gene_b", "guide_a", "guide_b", "exchanged"]].tolist() == [
        "A",
        "B",
        "s",
        "p",
        True,
    ]
    assert table.loc["q;t", ["gene_a", "gene_b", "guide_a", "guide_b", "exchanged"]].tolist() == [
        "C",
        "D",
        "q",
        "t",
        False,
    ]
    assert table.loc["r;n", ["gene_a", "gene_b", "w_a", "w_b"]].tolist() == ["A", "NTC", 1.0, 0.0]
    assert table.loc["n;n", ["w_a", "w_b", "control"]].tolist() == [0.0, 0.0, "nonessential"]
    assert found.findings.set_index("finding").loc["exchanged", "n"] == 2


def test_a_library_beside_the_counts_serves_as_well():
    whole = small(construct=["c1", "c2", "c3", "c4"])
    known = read(whole).table
    counts, library = whole[["construct", "t0", "end"]], whole.drop(columns=["t0", "end"])
    pd.testing.assert_frame_equal(read(counts, library).table, known)
    without = library.drop(columns=["sgRNA1", "sgRNA2"])
    again = read(counts, without).table
    pd.testing.assert_frame_equal(
        again.drop(columns=["guide_a", "guide_b"]), known.drop(columns=["guide_a", "guide_b"])
    )
    with pytest.raises(sf.DataError, match="1 constructs of the counts are not in pairs=: 'c4'"):
        read(counts, library.head(3))


def test_controls_are_those_of_genes():
    controls = {"essential": ["B"], "nonessential": ["C", "D"]}
    table = read(small(), controls=controls).table.set_index("sgRNA")
    assert table["control"].astype(str).to_dict() == {
        "p;s": "essential", "q;t": "nonessential", "r;n": "other", "n;n": "nonessential",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (small().rename(columns={"Gene.2": "second"}), "no two columns name the genes of a pair"),
        (small().drop(columns=["sgRNA1", "sgRNA2"]), "no column names constructs or guides"),
    ],
)
def test_what_is_missing_is_told(table, message):
    with pytest.raises(sf.DataError, match=message):
        read(table)


@cache
def fit_of(method):
    settings = {"random_seed": 1, "draws": 500} if method == "exact" else {}
    return sf.lmer(FORMULA, screen().table, method=method, **settings)


@pytest.mark.parametrize("method", ["reml", "exact"])
def test_pairs_are_found_beside_what_their_genes_do_alone(method):
    """Correlations of 72 interactions below .6, and of 24 genes below .8, are not seen in 1 of 10,000 screens."""
    fit = fit_of(method)
    ranked = sf.rank_pairs(fit)
    assert ranked["rank"].tolist() == list(range(1, 73))
    truth = simulated().truth
    labels = ranked["gene_a"] + ":" + ranked["gene_b"]
    assert set(labels) == set(truth["1|gene_a:gene_b"].index)  # no pair of a gene and a control
    assert np.corrcoef(ranked["estimate"], truth["1|gene_a:gene_b"][labels])[0, 1] > 0.6
    genes = sf.rank_genes(fit, gene="mm(gene_a, gene_b)")
    assert np.corrcoef(genes["estimate"], truth["1|mm(gene_a, gene_b)"][genes["gene"]])[0, 1] > 0.8
    assert (ranked["n_constructs"] == 4).all()
    assert (ranked["n_rows"] == 12).all()
    assert (genes["n_guides"] == 7 * 4).all()
    assert (genes["n_rows"] == 7 * 12).all()
    effects = sf.level_effects(fit, "mm(gene_a, gene_b)").set_index("level")["estimate"]
    fixed = sf.fixef(fit)["estimate"].item()
    sums = fixed + effects[ranked["gene_a"]].to_numpy() + effects[ranked["gene_b"]].to_numpy()
    np.testing.assert_allclose(ranked["expected"], sums)
    np.testing.assert_allclose(ranked["total"], sums + ranked["estimate"])
    alone = sf.level_effects(fit, "gene_a:gene_b", term="both").set_index("level")
    np.testing.assert_allclose(ranked["estimate"], alone.loc[labels, "estimate"])
    np.testing.assert_allclose(ranked["lfsr"], alone.loc[labels, "lfsr"])


def test_losses_beyond_the_sum_come_first_where_they_are_asked_for():
    ranked = sf.rank_pairs(fit_of("reml"), direction="negative")
    assert ranked["p_negative"].is_monotonic_decreasing
    with pytest.raises(sf.DataError, match="direction='down' is no direction"):
        sf.rank_pairs(fit_of("reml"), direction="down")


def test_means_of_genes_and_pairs_serve_too():
    fit = sf.lmer("log_fc ~ (1 | mm(gene_a, gene_b)) + (1 | gene_a:gene_b)", screen().table, method="reml")
    ranked = sf.rank_pairs(fit)
    assert len(ranked) == 97  # those with controls, which are levels here, as well
    first = ranked.iloc[0]
    effects = sf.level_effects(fit, "mm(gene_a, gene_b)").set_index("level")["estimate"]
    expected = sf.fixef(fit)["estimate"].item() + effects[[first["gene_a"], first["gene_b"]]].mean()
    assert first["expected"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("formula", "lacks"),
    [
        ("log_fc ~ (1 | gene_a:gene_b)", r"no term \(1 \| mm\(gene_a, gene_b\)\)"),
        ("log_fc ~ (1 | mm(gene_a, gene_b))", r"no term \(1 \| gene_a:gene_b\)"),
    ],
)
def test_a_model_without_one_of_the_terms_is_refused(formula, lacks):
    with pytest.raises(sf.EstimateError, match=lacks):
        sf.rank_pairs(sf.lmer(formula, screen().table, method="reml"))


def test_the_truth_of_a_simulated_screen_is_what_its_counts_show():
    """Very deep, without noise: fold changes are the sums."""
    found = sf.simulate_pairs(genes=6, partners=2, construct_sd=0, dispersion=0, reads_per_guide=3e6,
                              reference_reads=3e6, random_seed=2)  # fmt: skip
    table = sf.read_pairs(found.counts, samples=found.samples).table
    single, pair = found.truth["1|mm(gene_a, gene_b)"], found.truth["1|gene_a:gene_b"]
    expected = (
        table["gene_a"].map(single).fillna(0.0) + table["gene_b"].map(single).fillna(0.0)
        + (table["gene_a"] + ":" + table["gene_b"]).map(pair).fillna(0.0)
    )  # fmt: skip
    np.testing.assert_allclose(table["log_fc"], expected, atol=0.02)
    assert found.counts["construct"].is_unique


@pytest.mark.parametrize("numbers", [{"partners": 3}, {"partners": 30}, {"constructs": 0}, {"gene_sd": -1}])
def test_libraries_that_cannot_be_are_refused(numbers):
    with pytest.raises(sf.DataError):
        sf.simulate_pairs(**numbers)
