"""Called genes: false ones are as many as stated, and controls are counted by hand."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

import speclet_formula as sf
from speclet_formula.errors import DataError, EstimateError
from speclet_formula.screens.calls import CALL_COLUMNS


@cache
def screen(seed=1, **settings):
    simulated = sf.simulate_screen(random_seed=seed, **settings)
    table = sf.read_screen(simulated.counts, simulated.guides, simulated.samples).table
    return table, simulated.effects.iloc[:, 0]


@cache
def called():
    return sf.call_genes(screen(genes=300)[0])


def test_rates_are_means_of_local_ones_and_ranks_follow_them():
    calls = called()
    table = calls.table
    assert tuple(table) == CALL_COLUMNS
    assert table["rank"].tolist() == list(range(1, 301))
    assert table["local_fdr"].is_monotonic_increasing
    np.testing.assert_allclose(table["fdr"], [table["local_fdr"][: k + 1].mean() for k in range(300)], atol=1e-12)
    assert (table["called"] == (table["fdr"] <= 0.05)).all()
    assert (table["conf_low"] <= table["estimate"]).all()
    assert (table["estimate"] <= table["conf_high"]).all()
    assert calls.mixture["probability"].sum() == pytest.approx(1)
    assert calls.efficacies["probability"].sum() == pytest.approx(1)
    assert calls.off_targets["probability"].sum() == pytest.approx(1)
    assert len(calls.guides) == 1200


def test_controls_are_counted():
    table = called().table
    controls = table["control"] == "nonessential"
    null = table["local_fdr"].sum()
    raw = [controls[: k + 1].mean() * (k + 1) / controls.sum() * null / (k + 1) for k in range(300)]
    expected = [min(1.0, min(raw[k:])) for k in range(300)]
    np.testing.assert_allclose(table["control_fdr"], expected)
    checks = called().checks
    assert checks["n_controls"] == 45
    assert checks["called"] == (controls & table["called"]).sum()
    assert checks["expected"] == pytest.approx(45 * table["local_fdr"][table["called"]].sum() / null)


def test_directions_mirror_each_other():
    table = screen(genes=300)[0]
    mirrored = sf.call_genes(table.assign(log_fc=-table["log_fc"]), direction="positive").table
    negative = called().table.set_index("gene")
    shared = mirrored.set_index("gene").reindex(negative.index)
    np.testing.assert_allclose(shared["estimate"], -negative["estimate"], atol=1e-6)
    np.testing.assert_allclose(shared["local_fdr"], negative["local_fdr"], atol=1e-6)
    both = sf.call_genes(table, direction="both").table.set_index("gene").reindex(negative.index)
    assert (both["local_fdr"] <= negative["local_fdr"] + 1e-9).all()


@pytest.mark.parametrize("shuffle", [0, 1])
def test_the_order_of_rows_does_not_matter(shuffle):
    table = screen(genes=300)[0].sample(frac=1, random_state=shuffle)
    mine = sf.call_genes(table).table.set_index("gene").sort_index()
    other = called().table.set_index("gene").sort_index()
    np.testing.assert_allclose(mine["local_fdr"], other["local_fdr"], rtol=1e-6, atol=1e-12)


SCREENS = {
    "deep": {"guides_per_gene": 4, "replicates": 3},
    "two guides once": {"guides_per_gene": 2, "replicates": 1},
    "few reads": {"replicates": 1, "gene_sd": 0.6, "reads_per_guide": 100, "reference_reads": 300},
    "poor guides": {"replicates": 2, "efficacy": (3, 2), "essential_effect": -2.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("settings", SCREENS.values(), ids=SCREENS)
def test_stated_false_discoveries_are_those_of_simulated_screens(settings):
    """Of 5 % stated 3 to 7 % are false: the binomial 95 % limits of about 700 calls are 0.035 and 0.068."""
    false, n = 0, 0
    first, second = settings.get("efficacy", (8.0, 2.0))
    for seed in range(6):
        table, effects = screen(seed, genes=800, **settings)
        calls = sf.call_genes(sf.adjust_fold_changes(table), value="log_fc_adjusted").table
        names = calls.loc[calls["called"], "gene"]
        shown = effects[names] * first / (first + second)  # the effect of a guide of mean efficacy
        false, n = false + (shown >= -0.5).sum(), n + len(names)
    assert binomtest(int(false), n, 0.03).pvalue > 1e-4 or false / n > 0.03
    assert binomtest(int(false), n, 0.07).pvalue > 1e-4 or false / n < 0.07


def test_bayes_factors_leave_each_gene_s_own_part_out():
    """A control that is labelled wrongly is told by the others of its kind; without controls there are none."""
    table = screen(genes=300)[0]
    swapped = table.assign(control=table["control"].where(table["gene"] != "gene_1", "nonessential"))
    factors = sf.call_genes(swapped).table.set_index("gene")["log2_bf"]
    assert factors["gene_1"] > 3, "an essential gene among the nonessential ones"
    kinds = table.drop_duplicates("gene").set_index("gene")["control"].reindex(factors.index)
    assert factors[kinds == "essential"].median() > 3
    assert factors[kinds == "nonessential"].median() < -3
    none = sf.call_genes(table.drop(columns="control"))
    assert none.table[["log2_bf", "control_fdr", "control"]].isna().all(axis=None)
    assert "No nonessential controls: nothing checks these rates." in repr(none)


def test_a_sentence_says_whether_controls_agree():
    assert "nonessential controls are called, where the model expects" in repr(called())
    assert "the rates agree with the controls" in called().agreement()
    table = screen(genes=300)[0]
    essential = table["gene"].isin([f"gene_{k}" for k in range(10)])
    wrong = table.assign(control=table["control"].where(~essential, "nonessential"))
    assert "more than by chance" in sf.call_genes(wrong).agreement()
    last = table["control"].where(table["gene"].isin([f"gene_{k}" for k in range(290, 300)]), "other")
    few = sf.call_genes(table.assign(control=last.where(last != "nonessential", "nonessential"))).agreement()
    assert few.endswith("controls of 20 genes or more would check these rates.")


def test_guides_with_few_reads_are_noisier():
    table, _ = screen(genes=800, replicates=1, reads_per_guide=60, reference_reads=60, dispersion=0.0)
    calls = sf.call_genes(table)
    reads = table.groupby("sgRNA")["count_initial"].mean()
    noise = calls.guides.set_index("sgRNA")["noise"].reindex(reads.index)
    assert noise[reads < reads.quantile(0.1)].mean() > 1.2 * noise[reads > reads.quantile(0.9)].mean()
    assert sf.call_genes(table, initial=None).guides["noise"].nunique() == 1


@cache
def treated():
    """Return the effects by hand and a fit of two arms, of which the drug costs gene_50 to gene_64 two more."""
    table = screen(genes=80, replicates=4)[0].copy()
    table["arm"] = np.where(table["replicate"].isin(["1", "2"]), "vehicle", "drug")
    table["arm"] = pd.Categorical(table["arm"], ["vehicle", "drug"])
    table["batch"] = np.where(table["replicate"].isin(["1", "3"]), "a", "b")
    hit = table["gene"].isin(RESPONDING) & (table["arm"] == "drug")
    table["log_fc"] -= 2.0 * hit - 0.5 * (table["batch"] == "b")
    fit = sf.lmer("log_fc ~ arm + batch + (1 + arm | gene) + (1 | gene:sgRNA)", table, method="reml")
    means = table.groupby(["gene", "sgRNA", "arm"], observed=True)["log_fc"].mean().unstack()
    return means, fit


RESPONDING = [f"gene_{k}" for k in range(50, 65)]


def test_a_drug_s_effects_are_called_of_a_fit():
    means, fit = treated()
    calls = sf.call_genes(fit, term="arm[drug]")
    values = calls.guides.set_index(["gene", "sgRNA"])["value"].reindex(means.index)
    np.testing.assert_allclose(values, means["drug"] - means["vehicle"], atol=1e-9)  # both arms have both batches
    assert set(RESPONDING) <= set(calls.table.loc[calls.table["called"], "gene"])
    assert calls.table["called"].sum() <= len(RESPONDING) + 3
    assert calls.table["log2_bf"].isna().all(), "controls have no known effects of the drug"
    same = sf.call_genes(fit, term="armdrug").table
    pd.testing.assert_frame_equal(same, calls.table)
    base = sf.call_genes(fit).guides.set_index(["gene", "sgRNA"])["value"].reindex(means.index)
    batch = sf.fixef(fit).set_index("term")["estimate"]["batch[b]"] / 2  # taken out of half of each arm's rows
    np.testing.assert_allclose(base, means["vehicle"] - batch, atol=1e-9)


def test_a_guide_s_own_slope_is_that_of_least_squares():
    """Slopes over days, with rows missing at random; a guide with one row has none."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"gene": np.repeat(np.arange(60), 12), "day": np.tile([0.0, 3.0, 7.0, 14.0], 180)})
    table["sgRNA"] = table["gene"].astype(str) + "_" + np.tile(np.repeat(["a", "b", "c"], 4), 60)
    table["gene"] = table["gene"].astype(str)
    table["y"] = rng.normal(size=len(table)) - 0.3 * table["day"] * (table["gene"].astype(int) < 10)
    table = table[(rng.random(len(table)) < 0.8) & ((table["sgRNA"] != "0_a") | (table["day"] == 0.0))]
    guides = sf.call_genes(sf.lmer("y ~ day + (day | gene)", table, method="reml"), term="day", beyond=0.1).guides
    for name, rows in table.groupby("sgRNA"):
        value = guides.loc[guides["sgRNA"] == name, "value"]
        if len(rows) > 1:
            assert value.item() == pytest.approx(np.polyfit(rows["day"], rows["y"], 1)[0])
        else:
            assert value.empty


def test_slopes_are_told_in_any_unit_of_time():
    """Slopes in days and in minutes are the same genes' slopes; a grid of log2 per minute would have one step."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"gene": np.repeat(np.arange(80), 12), "day": np.tile([7.0, 14.0, 21.0], 320)})
    table["sgRNA"] = np.repeat(np.arange(320), 3).astype(str)
    slopes = np.concatenate([-np.linspace(0.08, 0.25, 20), np.zeros(60)])
    table["y"] = slopes[table["gene"]] * table["day"] + rng.normal(scale=0.2, size=len(table))
    days, minutes = (
        sf.call_genes(sf.lmer("y ~ time + (time | gene)", rows, method="reml"), term="time", direction="both")
        for rows in (table.assign(time=table["day"]), table.assign(time=1440 * table["day"]))
    )
    assert days.beyond == pytest.approx(0.5 / 14)
    assert set(days.table["gene"][:20].astype(int)) == set(range(20))
    assert 20 <= days.table["called"].sum() <= 22
    assert days.table["gene"].tolist() == minutes.table["gene"].tolist()
    for column in ("estimate", "conf_low", "conf_high"):
        np.testing.assert_allclose(1440 * minutes.table[column], days.table[column], rtol=1e-4, atol=1e-6)
    hits = days.table[:20]
    assert np.corrcoef(hits["estimate"], slopes[hits["gene"].astype(int)])[0, 1] > 0.9
    assert (hits["conf_low"] < hits["conf_high"]).all()
    assert "effects of time beyond +-0.0357 (log2 per unit), at most" in repr(days).replace("\n", " ")


def test_fits_that_cannot_be_called_are_refused():
    _, fit = treated()
    with pytest.raises(EstimateError, match=r"no effects of 'arm\[drg\]' that vary by 'gene'"):
        sf.call_genes(fit, term="arm[drg]")
    with pytest.raises(DataError, match="term='arm' goes with a fit"):
        sf.call_genes(screen(genes=300)[0], term="arm")
    with pytest.raises(DataError, match=r"Write sf.call_genes\(screen.table\), with screen ="):
        sf.call_genes("counts.txt")
    counts = sf.glmer("count ~ (1 | gene)", screen(genes=80, replicates=4)[0], family="poisson", method="laplace")
    with pytest.raises(EstimateError, match="the fit is of the family 'poisson' with the link 'log'"):
        sf.call_genes(counts)


def test_the_picture_has_the_rates():
    picture = sf.plot(called())
    assert picture.alt.startswith(
        f"{called().table['called'].sum()} of 300 genes called at a false discovery rate of 5 %."
    )
    axis = picture.figure.axes[1]
    shown = called().table[called().table["fdr"] <= 0.3]
    np.testing.assert_allclose(axis.get_lines()[2].get_xydata(), shown[["fdr", "control_fdr"]])
    alone = sf.plot_calls(sf.call_genes(screen(genes=300)[0].drop(columns="control"), direction="both"))
    assert len(alone.figure.axes) == 1


WRONG = {
    "value": (
        {"value": "log_fold"},
        "the table has no column 'log_fold'.",
    ),
    "direction": (
        {"direction": "down"},
        "direction='down' is no direction.\ndirection is 'negative' (losses), 'positive' (gains) or 'both'.\n"
        "Leave it out for losses.",
    ),
    "beyond": ({"beyond": -1}, "beyond=-1 is out of range.\nIt is a log2 fold change, 0 or more.\nLeave beyond= out."),
    "rate": ({"rate": 5}, "rate=5 is out of range.\nA false discovery rate is between 0 and 1.\nLeave rate= out."),
}


@pytest.mark.parametrize(("settings", "text"), WRONG.values(), ids=WRONG)
def test_mistakes_say_what_to_do(settings, text):
    with pytest.raises(DataError) as caught:
        sf.call_genes(screen(genes=300)[0], **settings)
    assert str(caught.value).startswith(text)


def test_too_little_is_refused():
    table = screen(genes=300)[0]
    with pytest.raises(DataError, match="the table has 40 genes"):
        sf.call_genes(table[table["gene"].isin([f"gene_{k}" for k in range(40)])])
    with pytest.raises(DataError, match="only 0 pairs of guides are of one gene"):
        sf.call_genes(table[table["sgRNA"].isin(table.drop_duplicates("gene")["sgRNA"])])
    with pytest.raises(DataError, match="infinite or missing"):
        sf.call_genes(table.assign(log_fc=np.where(table.index == 3, np.inf, table["log_fc"])))
