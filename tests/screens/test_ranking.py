"""Ranks, siblings and separated controls against loops over the same draws, and against pairs counted one by one."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import speclet_formula as sf
from speclet_formula.errors import DataError, EstimateError
from speclet_formula.screens import ranking
from tests.fakes import fake_fit

FORMULA = "log_fc ~ (1 | gene) + (1 | gene:sgRNA)"
KINDS = {"G0": "essential", "G1": "essential", "G2": "other", "G3": "nonessential", "G4": "nonessential"}
SIZES = {"G0": 3, "G1": 2, "G2": 4, "G3": 1, "G4": 3}


def screen():
    rows = [(gene, f"{gene}_{k}", KINDS[gene], r) for gene, n in SIZES.items() for k in range(n) for r in "ab"]
    data = pd.DataFrame(rows, columns=["gene", "sgRNA", "control", "replicate"])
    data["log_fc"] = np.random.default_rng(3).normal(size=len(data))
    return data.sample(frac=1, random_state=1).reset_index(drop=True)


@cache
def fit():
    """Draws whose genes and guides differ in their centres."""
    made = fake_fit(sf.Model(FORMULA, screen()), {"Intercept": -0.5, "1|gene:sgRNA_sigma": 0.3}, chains=2, draws=100)
    rng = np.random.default_rng(4)
    posterior = made.idata["posterior"].to_dataset()
    for name in ("1|gene", "1|gene:sgRNA"):
        posterior[name] = posterior[name] - 1.0 + rng.normal(0, 0.6, posterior[name].shape[-1])
    made.idata["posterior"] = type(made.idata)(posterior)
    return made


def draws(name):
    """(draws, levels) with their labels."""
    found = fit().idata["posterior"][name]
    labels = found[found.dims[-1]].to_numpy().tolist() if found.ndim > 2 else None
    return found.to_numpy().reshape(200, -1), labels


def test_genes_are_ranked_by_the_sum_of_mean_and_effect():
    table = sf.rank_genes(fit(), direction="negative", ci_prob=0.8, ci_kind="eti")
    effects, labels = draws("1|gene")
    total = effects + draws("Intercept")[0]
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    for row in table.itertuples():
        mine = total[:, labels.index(row.gene)]
        assert row.estimate == pytest.approx(mine.mean())
        assert (row.conf_low, row.conf_high) == pytest.approx(tuple(np.quantile(mine, [0.1, 0.9])))
        assert row.p_negative == (mine < 0).mean()
        assert row.lfsr == pytest.approx(min((mine >= 0).mean(), (mine <= 0).mean()))
        assert (row.n_guides, row.n_rows, row.control) == (SIZES[row.gene], 2 * SIZES[row.gene], KINDS[row.gene])
    assert table["p_negative"].is_monotonic_decreasing
    reverse = sf.rank_genes(fit(), direction="positive")
    assert reverse["p_negative"].is_monotonic_increasing
    both = sf.rank_genes(fit())
    assert both["lfsr"].is_monotonic_increasing
    alone = sf.rank_genes(fit(), add=()).set_index("gene")["estimate"]
    np.testing.assert_allclose(alone.loc[labels], effects.mean(axis=0))


def test_a_direction_ranks_beyond_what_is_told_from_one():
    """P(effect < 0) of the surest losses is 1 in double precision: the other side tells them apart."""
    effects = pd.DataFrame(
        {
            "estimate": [-3.0, -5.0, -1.0, 0.1, 2.0, 5.0, -4.0], "std_error": [0.1, 0.2, 0.4, 1.0, 0.1, 0.1, 0.5],
            "p_negative": [1.0, 1.0, 0.99, 0.46, 1e-30, 1e-80, 1.0],
            "lfsr": [1e-90, 1e-60, 0.01, 0.46, 1e-30, 1e-80, 1e-17],
        }
    )  # fmt: skip
    assert ranking.ranked_order(effects, "negative").tolist() == [0, 1, 6, 2, 3, 4, 5]
    assert ranking.ranked_order(effects, "positive").tolist() == [5, 4, 3, 2, 6, 1, 0]


def test_point_fits_rank_too():
    table = sf.rank_genes(sf.lmer(FORMULA, screen(), method="reml"), direction="negative")
    assert len(table) == 5
    with pytest.raises(EstimateError, match="no draws of guides and genes together"):
        sf.guide_table(sf.lmer(FORMULA, screen(), method="reml"))


def test_guides_are_compared_with_their_siblings():
    table = sf.guide_table(fit(), limit=1.0).set_index("sgRNA")
    effects, labels = draws("1|gene:sgRNA")
    genes, gene_labels = draws("1|gene")
    sigma = draws("1|gene:sgRNA_sigma")[0][:, 0]
    for guide, row in table.iterrows():
        gene = row["gene"]
        mine = effects[:, labels.index(f"{gene}:{guide}")]
        others = [
            effects[:, labels.index(one)] for one in labels if one.startswith(f"{gene}:") and one != f"{gene}:{guide}"
        ]
        assert row["n_guides"] == SIZES[gene] == len(others) + 1
        whole = mine + genes[:, gene_labels.index(gene)] + draws("Intercept")[0][:, 0]
        assert row["effect"] == pytest.approx(whole.mean())
        if not others:
            assert np.isnan(row["distance"])
            assert not row["doubtful"]
            continue
        distance = mine - np.mean(others, axis=0)
        n = len(others) + 1
        assert row["distance"] == pytest.approx(distance.mean())
        assert row["siblings"] == pytest.approx((whole - distance).mean())
        z = (distance / (sigma * np.sqrt(n / (n - 1)))).mean()
        assert row["z"] == pytest.approx(z)
        assert row["doubtful"] == (abs(z) > 1 and (row["conf_low"] > 0 or row["conf_high"] < 0))
    assert table["z"].abs().dropna().is_monotonic_decreasing
    assert table["doubtful"].any()
    assert not table["doubtful"].all()


def test_blocks_of_genes_change_nothing(monkeypatch):
    whole = sf.guide_table(fit())
    for bytes_ in (1, 8 * 200 * 4):
        monkeypatch.setattr("speclet_formula.screens.ranking._BLOCK", bytes_)
        pd.testing.assert_frame_equal(sf.guide_table(fit()), whole)


@pytest.mark.parametrize("decimals", [1, 6])
def test_areas_are_those_of_counted_pairs(decimals):
    rng = np.random.default_rng(5)
    low, high = rng.normal(-1, 1, 23).round(decimals), rng.normal(0, 1, 31).round(decimals)
    table = pd.DataFrame({"estimate": [*low, *high], "control": ["essential"] * 23 + ["nonessential"] * 31})
    found = sf.control_separation(pd.concat([table, pd.DataFrame({"estimate": [9.0], "control": ["other"]})]))
    pairs = [1.0 if one < other else 0.5 if one == other else 0.0 for one in low for other in high]
    assert found.auc_roc == pytest.approx(np.mean(pairs))
    area = np.trapezoid(found.roc["true_positive_rate"], found.roc["false_positive_rate"])
    assert area == pytest.approx(np.mean(pairs)), "the curve has that area"
    precision = 0.0
    for score in low:  # the precision at each essential control's own threshold
        precision += (low <= score).sum() / ((low <= score).sum() + (high <= score).sum())
    assert found.auc_pr == pytest.approx(precision / 23)
    assert found.distance == pytest.approx(np.median(high) - np.median(low))
    assert (found.n_essential, found.n_nonessential) == (23, 31)


def test_scaled_effects_have_their_medians_at_0_and_minus_1():
    table = sf.rank_genes(fit()).assign(estimate=[-2.0, -4.0, -1.0, 1.0, 0.5])
    table["control"] = ["essential", "essential", "other", "nonessential", "nonessential"]
    scaled = sf.scale_effects(table)
    medians = scaled.groupby("control")["estimate"].median()
    assert medians["essential"] == pytest.approx(-1)
    assert medians["nonessential"] == pytest.approx(0)
    factor = 1 / 3.75
    np.testing.assert_allclose(scaled["std_error"], table["std_error"] * factor)
    np.testing.assert_allclose(scaled["conf_high"], (table["conf_high"] - 0.75) * factor)
    assert scaled.attrs["scale"] == {"nonessential": 0.75, "essential": -3.0}
    assert table["estimate"].tolist()[0] == -2.0
    matrix = pd.DataFrame({"HEL": [-3.0, 1.0, 0.0], "A375": [-1.0, 1.0, 2.0]}, index=["E", "N", "O"])
    found = sf.scale_effects(matrix, {"E": "essential", "N": "nonessential"})
    np.testing.assert_allclose(found, (matrix - 1) / 3)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: sf.rank_genes(fit(), direction="down"), DataError,
            "direction='down' is no direction.\ndirection is 'both', 'negative' (losses first) or 'positive' (gains "
            "first).\nLeave it out for both.",
        ),
        (
            lambda: sf.rank_genes(fit(), gene="gen"), EstimateError,
            "the model has no group effects of 'gen'.\nGrouping factors: gene, gene:sgRNA.\nNearest: 'gene'.",
        ),
        (
            lambda: sf.guide_table(fake_fit(sf.Model("log_fc ~ (1 | gene)", screen()))), EstimateError,
            "the model has no effects of 'sgRNA' within 'gene'.\nGrouping factors: gene.\nFit a model with (1 | "
            "gene) + "
            "(1 | gene:sgRNA).",
        ),
        (
            lambda: sf.control_separation(pd.DataFrame({"estimate": [1.0], "control": ["essential"]})), DataError,
            "no row is nonessential.\nControls of both kinds are needed: essential and nonessential.\nClasses here: "
            "'essential'. Hand controls= to read_screen.",
        ),
        (
            lambda: sf.control_separation(pd.DataFrame({"score": [1.0], "control": ["essential"]})), DataError,
            "the table has no column 'estimate'.\nColumns: score, control.\nName the columns with value= and control=.",
        ),
        (
            lambda: sf.scale_effects(pd.DataFrame({"estimate": [1.0, 0], "control": ["essential", "nonessential"]})),
            DataError,
            "the median essential effect, 1, is not below the median nonessential one, 0.\nThe scale has "
            "essential genes "
            "at -1 and nonessential ones at 0.\nCompare the control lists with the screen, and the direction of "
            "its fold "
            "changes.",
        ),
        (
            lambda: sf.scale_effects(pd.DataFrame({"HEL": [1.0]})), DataError,
            "nothing says which genes are controls.\nA table has a column 'control'; a matrix of effects comes with "
            'controls=, the class of each gene.\nWrite controls={"RPL3": "essential", "OR1A1": "nonessential", ...}.',
        ),
        (
            lambda: sf.plot_volcano(pd.DataFrame({"gene": ["a"], "estimate": [1.0]})), DataError,
            "the table has no column 'lfsr'.\nIt is one of rank_genes or level_effects.\nHand over sf.rank_genes(fit).",
        ),
    ],
)  # fmt: skip
def test_mistakes_say_what_to_do(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


def test_pictures_show_the_numbers_of_the_tables():
    table = sf.rank_genes(fit())
    volcano, ranks = sf.plot_volcano(table, label=2), sf.plot_ranks(table, label=1)
    (axis,) = volcano.figure.axes
    marks = {kind.get_label(): kind.get_offsets() for kind in axis.collections}
    assert set(marks) == {"essential", "other", "nonessential"}
    essential = table[table["control"] == "essential"]
    np.testing.assert_allclose(marks["essential"][:, 0], essential["estimate"])
    np.testing.assert_allclose(marks["essential"][:, 1], -np.log10(np.maximum(essential["lfsr"], 0.5 / 200)))
    assert {text.get_text() for text in axis.texts} == {*table["gene"][:2], "dashed: surer than 200 draws can tell"}
    assert f"First in rank: {table['gene'][0]}, {table['gene'][1]}." in volcano.alt
    ordered = table.sort_values("estimate")
    assert f"Smallest: {ordered['gene'].iloc[0]} {ordered['estimate'].iloc[0]:.2f}" in ranks.alt
    segments = np.array([segment[:, 1] for segment in ranks.figure.axes[0].collections[0].get_segments()])
    np.testing.assert_allclose(segments, ordered[["conf_low", "conf_high"]])
    separation = sf.control_separation(table)
    picture = sf.plot_separation(separation)
    assert f"Area under the ROC curve {separation.auc_roc:.3f}" in picture.alt
    np.testing.assert_allclose(picture.figure.axes[1].get_lines()[1].get_xdata(), separation.roc["false_positive_rate"])
    assert repr(separation).startswith("2 essential against 2 nonessential controls: ROC AUC")


def test_a_volcano_of_normal_probabilities_has_no_ceiling():
    table = sf.rank_genes(fit())
    table["lfsr"] = [1e-60, 1e-9, 0.01, 0.2, 0.4]
    table.attrs["draws"] = 0
    axis = sf.plot_volcano(table).figure.axes[0]
    heights = np.concatenate([np.asarray(kind.get_offsets())[:, 1] for kind in axis.collections])
    assert sorted(heights.round(1).tolist()) == [0.4, 0.7, 2.0, 9.0, 60.0]
    assert not any("draws can tell" in text.get_text() for text in axis.texts)


@pytest.mark.slow
def test_a_genome_s_ranks_show_where_its_controls_stand():
    """18,000 marks would cover each other: the curve is a line, the controls are two strips above it, named apart."""
    n = 1200
    estimates = np.random.default_rng(4).normal(-0.2, 1, n)
    order = np.argsort(estimates)
    control = np.full(n, "other", dtype=object)
    control[order[:30]], control[order[600:650]] = "essential", "nonessential"
    table = pd.DataFrame(
        {
            "gene": [f"GENE{k}" for k in range(n)], "estimate": estimates, "conf_low": estimates - 1,
            "conf_high": estimates + 1, "control": control,
        }
    )  # fmt: skip
    axis = sf.plot_ranks(table).figure.axes[0]
    strips = {one.get_label(): one for one in axis.collections if not one.get_label().startswith("_")}
    assert set(strips) == {"essential", "nonessential"}
    assert [segment[0, 0] for segment in strips["essential"].get_segments()] == list(range(1, 31))
    assert [segment[0, 0] for segment in strips["nonessential"].get_segments()] == list(range(601, 651))
    assert {text.get_text() for text in axis.texts} >= {"essential (30)", "nonessential (50)"}
    curve = next(line for line in axis.get_lines() if len(line.get_ydata()) == n)
    np.testing.assert_allclose(curve.get_ydata(), np.sort(estimates))
    axis.get_figure().draw_without_rendering()
    names = [text for text in axis.texts if text.get_text().startswith("GENE")]
    boxes = [Text.get_window_extent(text) for text in names]  # without the lines that lead to the points
    assert len(names) == 16
    shown = axis.get_figure().bbox
    assert all(shown.x0 <= box.x0 and box.x1 <= shown.x1 and shown.y0 <= box.y0 for box in boxes), "none is cut off"
    assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k]), "none covers another"
    assert max(axis.get_xticks()) <= n


ARMS = "log_fc ~ arm + (1 + arm | gene) + (1 + arm | gene:sgRNA)"


def arms_screen(levels=("vehicle", "drug")):
    rows = pd.concat([screen().assign(arm=level) for level in levels], ignore_index=True)
    rows["arm"] = pd.Categorical(rows["arm"], categories=levels)
    return rows.assign(log_fc=np.random.default_rng(5).normal(size=len(rows)))


def test_a_treatment_is_ranked_by_the_fixed_effect_and_what_each_gene_has_more():
    rng = np.random.default_rng(6)
    made = fake_fit(sf.Model(ARMS, arms_screen()), chains=2, draws=100)
    posterior = made.idata["posterior"].to_dataset()
    for name in ("arm", "1|gene", "arm[drug]|gene", "1|gene:sgRNA", "arm[drug]|gene:sgRNA"):
        posterior[name] = posterior[name] + rng.normal(0, 0.6, posterior[name].shape[-1])
    made.idata["posterior"] = type(made.idata)(posterior)
    mine = {name: posterior[name].to_numpy().reshape(200, -1) for name in posterior}
    genes = posterior["arm[drug]|gene"][posterior["arm[drug]|gene"].dims[2]].to_numpy().tolist()
    table = sf.rank_genes(made, term="arm[drug]")
    for row in table.itertuples():
        total = mine["arm"][:, 0] + mine["arm[drug]|gene"][:, genes.index(row.gene)]
        assert row.estimate == pytest.approx(total.mean())
        assert row.p_negative == (total < 0).mean()
    for name in ("arm", "armdrug"):
        pd.testing.assert_frame_equal(sf.rank_genes(made, term=name), table)
    alone = sf.rank_genes(made, term="arm", add=()).set_index("gene")["estimate"]
    np.testing.assert_allclose(alone.loc[genes], mine["arm[drug]|gene"].mean(axis=0))
    guides = sf.guide_table(made, term="arm").set_index("sgRNA")
    assert guides.loc["G1_0", "distance"] == pytest.approx(
        guides.loc["G1_0", "effect"] - guides.loc["G1_1", "effect"]
    ), "of two guides"


def test_a_term_with_several_levels_or_that_does_not_vary_is_refused():
    made = fake_fit(sf.Model("log_fc ~ arm + (1 + arm | gene)", arms_screen(("vehicle", "low", "high"))))
    assert len(sf.rank_genes(made, term="armlow")) == len(SIZES)
    with pytest.raises(EstimateError) as caught:
        sf.rank_genes(made, term="arm")
    assert str(caught.value) == (
        "'arm' has 2 effects that vary by gene: arm[low], arm[high].\nOne of them is ranked at a time.\n"
        "Write term='arm[low]'."
    )
    with pytest.raises(EstimateError, match=r"'gene' has no effect of 'day'\."):
        sf.rank_genes(made, term="day")
    with pytest.raises(EstimateError) as caught:
        sf.guide_table(made, term="arm[low]")
    assert str(caught.value) == (
        "the model has no effects of 'sgRNA' within 'gene' of 'arm[low]'.\nGrouping factors: gene.\n"
        "Fit a model with (1 + arm | gene) + (1 + arm | gene:sgRNA)."
    )


def test_a_planted_effect_of_a_drug_is_found_by_the_exact_engine_and_by_reml():
    """G0 alone is hit by the drug, 40 SDs of the noise: any engine ranks it first, and REML's sum is lme4's."""
    data = arms_screen().assign(log_fc=lambda rows: 0.05 * rows["log_fc"])
    data.loc[(data["gene"] == "G0") & (data["arm"] == "drug"), "log_fc"] -= 2.0
    formula = "log_fc ~ arm + (1 + arm || gene)"
    for made in (sf.lmer(formula, data, random_seed=1, draws=200), sf.lmer(formula, data, method="reml")):
        table = sf.rank_genes(made, term="arm", direction="negative")
        assert table["gene"][0] == "G0"
        assert table["estimate"][0] == pytest.approx(-2, abs=0.15)
        assert table["lfsr"][0] < 1e-3
