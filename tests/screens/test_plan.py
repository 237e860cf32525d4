"""Forecasts of a plan are what simulated screens show, those of the package's model and those made of counts."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import polygamma
from scipy.stats import beta, norm

import speclet_formula as sf
from speclet_formula.errors import DataError, SamplingError
from speclet_formula.screens.plan import _noise, _skewness
from tests.fakes import fake_fit

SDS = {"guide": 0.3, "line": 0.25, "guide_line": 0.15, "residual": 0.5, "spread": 0.3}


def drawn_means(guides, replicates, lines, effect, n, rng):
    """Means of genes, drawn measurement by measurement."""
    own = effect * (1 + rng.normal(0, SDS["spread"], (n, guides))) + rng.normal(0, SDS["guide"], (n, guides))
    by_line = rng.normal(0, SDS["line"] if lines > 1 else 0, (n, lines))
    both = rng.normal(0, SDS["guide_line"], (n, guides, lines))
    cells = own[:, :, None] + by_line[:, None, :] + both
    rows = cells[..., None] + rng.normal(0, SDS["residual"], (n, guides, lines, replicates))
    return rows.mean(axis=(1, 2, 3))


@pytest.mark.parametrize("design", [(2, 1, 1), (4, 2, 1), (3, 2, 3)])
def test_a_forecast_is_what_means_of_drawn_measurements_give(design):
    guides, replicates, lines = design
    rng, n, hits, rate, effect = np.random.default_rng(1), 200_000, 0.2, 0.05, -0.8
    row = sf.plan_screen(
        guides=guides, replicates=replicates, lines=lines, effect=effect, like=SDS, hits=hits, rate=rate
    ).table.iloc[0]
    null, hit = (drawn_means(*design, size, n, rng) for size in (0.0, effect))
    assert row["std_error"] == pytest.approx(null.std(), rel=0.02)
    # The estimate of a gene over its SD orders genes as the distance of its mean from a point above 0 does.
    variance = hits * hit.var() + (1 - hits) * null.var()
    between = hits * (1 - hits) * effect**2
    point = -hits * effect * variance / between
    far_null, far_hit = (np.sort(np.abs(means - point)) for means in (null, hit))
    cuts = np.linspace(0.3, 4, 4000)
    false, found = ((n - np.searchsorted(far, cuts)) / n for far in (far_null, far_hit))
    share = (1 - hits) * false / np.maximum((1 - hits) * false + hits * found, 1e-12)
    first = np.flatnonzero(share <= rate)[0]
    # Of 200,000 genes a share is known to 0.0011 (one standard error); the cut moves it a little more.
    assert row["power"] == pytest.approx(found[first], abs=0.012)
    assert row["false_discovery"] == pytest.approx(rate, abs=0.002)
    assert row["cutoff"] == pytest.approx(point - cuts[first], abs=0.03)


def test_calls_by_sign_cut_where_their_mean_local_false_sign_rate_is_the_rate():
    hits, rate, effect, n = 0.2, 0.05, -0.8, 400_000
    row = sf.plan_screen(
        guides=4, replicates=2, effect=effect, like=SDS, hits=hits, rate=rate, calls="sign"
    ).table.iloc[0]
    rng = np.random.default_rng(2)
    is_hit = rng.random(n) < hits
    null, hit = (drawn_means(4, 2, 1, size, n, rng) for size in (0.0, effect))
    means = np.where(is_hit, hit, null)
    within, between = hits * hit.var() + (1 - hits) * null.var(), hits * (1 - hits) * effect**2
    weight = between / (between + within)
    z = (hits * effect * (1 - weight) + weight * means) / np.sqrt(weight * within)
    order = np.argsort(-np.abs(z))
    s_value = np.cumsum(norm.sf(np.abs(z[order]))) / np.arange(1, n + 1)
    called = order[s_value < rate]
    # 80,000 hits: a share is known to 0.0017 (one standard error).
    assert row["power"] == pytest.approx((is_hit[called] & (z[called] < 0)).sum() / is_hit.sum(), abs=0.012)
    assert row["false_discovery"] == pytest.approx((~is_hit[called]).mean(), abs=0.012)
    assert row["calls"] == pytest.approx(len(called) / n, abs=0.006)


def test_more_of_anything_finds_more_and_losses_are_found_as_gains_are():
    table = sf.plan_screen(guides=[2, 4, 8], replicates=[1, 2], lines=[1], effect=[-1.5, 1.5]).table
    for _, rows in table.groupby(["replicates", "effect"]):
        assert rows["power"].is_monotonic_increasing
    for _, rows in table.groupby(["guides", "replicates"]):
        assert rows["power"].iloc[0] == pytest.approx(rows["power"].iloc[1], abs=1e-6)
        assert rows["cutoff"].iloc[0] == pytest.approx(-rows["cutoff"].iloc[1], abs=1e-6)
    assert (table["rows"] == table["guides"] * table["replicates"]).all()


def counted_screen(guides, replicates, effect, seed, genes):
    """Log fold changes of simulated counts: a fifth of the genes have an effect, all others none."""
    made = sf.simulate_screen(
        genes=genes, guides_per_gene=guides, replicates=replicates, essential=0.2, nonessential=0.8,
        essential_effect=effect, gene_sd=0.0, guide_sd=0.2, dispersion=0.1, random_seed=seed,
    )  # fmt: skip
    return sf.read_screen(made.counts, made.guides, made.samples).table


def shown_power(table):
    """The share of hits among the largest list of genes of which 5 % are none, by a REML fit."""
    terms = "(1 | gene)" + (" + (1 | gene:sgRNA) + (1 | sample)" if table["sample"].nunique() > 1 else "")
    ranked = sf.rank_genes(sf.lmer(f"log_fc ~ {terms}", table, method="reml"))
    hit = (ranked["control"] == "essential").to_numpy()
    kept = np.flatnonzero(np.cumsum(~hit) / np.arange(1, len(hit) + 1) <= 0.05)
    return hit[: kept[-1] + 1].sum() / hit.sum() if len(kept) else 0.0


# Standard errors of the mean of so many screens of 300 hits: 0.009, 0.007, 0.005.
@pytest.mark.slow
@pytest.mark.parametrize(("design", "effect", "screens"), [((2, 2), -1.0, 40), ((2, 2), -1.25, 16), ((4, 2), -1.0, 12)])
def test_a_pilot_of_counts_forecasts_fresh_screens_of_other_designs_within_five_points(design, effect, screens):
    form = "log_fc ~ (1 | gene) + (1 | gene:sgRNA) + (1 | sample)"
    pilot = sf.lmer(form, counted_screen(4, 3, -2.0, 99, 1500), method="reml")
    # Guides show 0.8 of their gene's effect on average.
    plan = sf.plan_screen(guides=design[0], replicates=design[1], effect=0.8 * effect, like=pilot, hits=0.2)
    shown = [shown_power(counted_screen(*design, effect, 1000 + place, 1500)) for place in range(screens)]
    assert plan.table["power"].iloc[0] == pytest.approx(np.mean(shown), abs=0.05)


def test_the_skewness_of_counts_is_found_and_passed_on():
    form = "log_fc ~ (1 | gene) + (1 | gene:sgRNA) + (1 | sample)"
    pilot = sf.lmer(form, counted_screen(4, 3, -2.0, 99, 400), method="reml")
    noise = _noise(pilot, "gene", "sgRNA", "cell_line")
    # log2 of a gamma variable of shape 10 = 1 / dispersion: polygamma(2, 10) / polygamma(1, 10)^1.5. Of the third
    # moment of 1,600 guides the standard error is about 0.07.
    expected = polygamma(2, 10) / polygamma(1, 10) ** 1.5
    assert _skewness(pilot, "gene:sgRNA", noise.spreads["residual"]) == pytest.approx(expected, abs=0.28)
    passed = (noise.residuals**3).mean() / noise.spreads["residual"] ** 3
    assert passed < -0.1
    assert noise.residuals.std() ** 2 + noise.smooth**2 == pytest.approx(noise.spreads["residual"] ** 2)


def test_screens_that_a_plan_simulates_itself_agree_with_its_forecast():
    plan = sf.plan_screen(guides=4, replicates=2, effect=-1.2, like=SDS, hits=0.2, nsim=3, genes=1000, random_seed=1)
    row = plan.table.iloc[0]
    # 600 hits in all: one standard error of their share is 0.02 at most.
    assert row["sim_power"] == pytest.approx(row["power"], abs=0.1)
    assert row["sim_false_discovery"] <= 0.05
    again = sf.plan_screen(guides=4, replicates=2, effect=-1.2, like=SDS, hits=0.2, nsim=3, genes=1000, random_seed=1)
    pd.testing.assert_frame_equal(plan.table, again.table)
    lines = sf.plan_screen(
        guides=2, lines=2, replicates=1, effect=-3.0, like=SDS, nsim=1, genes=1000, random_seed=1
    ).table
    assert lines["sim_power"].iloc[0] > 0.9
    assert np.isnan(lines["sim_power_se"].iloc[0])


def drawn_screen(guides, replicates, effect, hits, genes, rng):
    """A screen of one line whose first genes are hits, and whether each is one."""
    hit = np.arange(genes) < round(hits * genes)
    gene, guide = np.repeat(np.arange(genes), guides), np.repeat(np.arange(genes * guides), replicates)
    a = 3.4469407  # Beta(a, 2) has a SD of 0.3 times its mean
    assert beta(a, 2).std() / beta(a, 2).mean() == pytest.approx(SDS["spread"])
    own = rng.beta(a, 2, len(gene)) / beta(a, 2).mean()
    own = np.where(hit, effect, 0.0)[gene] * own + rng.normal(0, SDS["guide"], len(gene))
    own = own + rng.normal(0, SDS["guide_line"], len(gene))
    values = own[guide] + rng.normal(0, SDS["residual"], len(guide))
    names = pd.Series([f"g{k}" for k in gene])
    values = values - np.median(values[~hit[gene][guide]])
    table = pd.DataFrame({"gene": names[guide].to_numpy(), "sgRNA": [f"s{k}" for k in guide], "log_fc": values})
    return table, pd.Series(hit, index=names.unique())


def test_what_call_genes_finds_is_counted_in_screens_of_its_own():
    rng, genes, effect, n = np.random.default_rng(3), 150, 1.1, 4
    calls, hits = [], []
    for _ in range(n):
        table, hit = drawn_screen(4, 2, effect, 0.2, genes, rng)
        found = sf.call_genes(table, direction="positive", beyond=0.4, rate=0.2).table
        calls, hits = [*calls, found["called"].to_numpy()], [*hits, hit[found["gene"]].to_numpy()]
    called, hit = np.concatenate(calls), np.concatenate(hits)
    plan = sf.plan_screen(
        guides=4, replicates=2, effect=effect, like=SDS, hits=0.2, calls="call_genes", beyond=0.4, rate=0.2,
        genes=genes, random_seed=3,
    )  # fmt: skip
    row = plan.table.iloc[0]
    # The same numbers in the same order: these are the same screens.
    assert called.sum() > 20
    assert row["power"] == pytest.approx((called & hit).sum() / hit.sum())
    assert row["false_discovery"] == pytest.approx((called & ~hit).sum() / called.sum())
    assert row["calls"] == pytest.approx(called.mean())
    assert row["power_se"] > 0
    assert "called at a false discovery rate of 20% by call_genes, beyond 0.4" in repr(plan).replace("\n", " ")
    assert "read off simulated screens of 150 genes" in plan.sentences[1]


def test_calls_of_effects_that_are_not_beyond_the_limit_are_false():
    plan = sf.plan_screen(guides=4, replicates=2, effect=-1.5, like=SDS, hits=0.2, calls="call_genes", beyond=1.5,
                          rate=0.4, genes=100, random_seed=1)  # fmt: skip
    assert any(sentence.startswith("Effects of -1.5 are not beyond 1.5: calls of") for sentence in plan.sentences)
    row = plan.table.iloc[0]
    assert row["false_discovery"] == (1.0 if row["calls"] else 0.0)


def screen_of(genes=300, lines=3, seed=4):
    """A screen drawn from known SDs, whose genes have effects of SD 1."""
    rng = np.random.default_rng(seed)
    table = sf.datasets.screen_design(genes=genes, guides_per_gene=4, cell_lines=lines, replicates=2)
    gene, guide, line = (pd.factorize(table[name])[0] for name in ("gene", "sgRNA", "cell_line"))
    effect = rng.normal(0, 1, genes)
    own = effect[gene] * (1 + rng.normal(0, SDS["spread"], guide.max() + 1))[guide]
    own = own + rng.normal(0, SDS["guide"], guide.max() + 1)[guide]
    own = own + rng.normal(0, SDS["line"], (genes, lines))[gene, line]
    own = own + rng.normal(0, SDS["guide_line"], (guide.max() + 1, lines))[guide, line]
    return table.assign(log_fc=own + rng.normal(0, SDS["residual"], len(table)))


def test_spreads_come_from_a_fit():
    formula = "log_fc ~ (1 | gene) + (1 | gene:sgRNA) + (1 | gene:cell_line) + (1 | gene:sgRNA:cell_line)"
    fit = sf.lmer(formula, screen_of(), method="reml")
    spreads = sf.plan_screen(like=fit).spreads
    # Standard errors: of SDs of 1,200 guides and 900 cells 2 to 4 %, of spread and guides, which share one regression,
    # about 0.03; four of them are allowed.
    for name, allowed in (("guide", 0.1), ("line", 0.06), ("guide_line", 0.06), ("residual", 0.02), ("spread", 0.12)):
        assert spreads[name] == pytest.approx(SDS[name], abs=allowed), name
    sds = sf.varcorr(fit).set_index("grp")["sdcor"]
    assert spreads["residual"] == sds["Residual"]
    assert spreads["line"] == sds["gene:cell_line"]


def test_a_fit_of_few_genes_tells_no_spread_and_one_without_lines_says_so():
    data, _ = sf.datasets.m7()
    fit = sf.lmer("log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)", data, method="reml")
    plan = sf.plan_screen(like=fit, lines=[1, 2])
    assert plan.spreads["spread"] == 0.0
    assert plan.spreads["guide"] == pytest.approx(sf.varcorr(fit).set_index("grp")["sdcor"]["gene:sgRNA"])
    assert any("lines were taken to be alike" in sentence for sentence in plan.sentences)


def test_fits_with_draws_serve_too():
    table = screen_of(genes=30, lines=1)
    fit = fake_fit(sf.Model("log_fc ~ (1 | gene) + (1 | gene:sgRNA)", table))
    assert 0 <= sf.plan_screen(like=fit, guides=2, replicates=1, effect=-1).table["power"].iloc[0] <= 1


def test_sentences_name_the_smallest_design_that_is_enough():
    plan = sf.plan_screen(guides=[2, 4], replicates=[1, 2], effect=[-2.0, -0.2], like=SDS)
    rows = plan.table[(plan.table["effect"] == -2.0) & (plan.table["power"] >= 0.8)].sort_values("rows").iloc[0]
    assert plan.sentences[0].startswith(
        f"Of effects of -2, {rows['guides']:.0f} guides with {rows['replicates']:.0f} replicate"
    )
    assert plan.sentences[1].startswith("No design finds 80% of effects of -0.2: 4 guides with 2 replicates")
    assert "Plan of a screen: 10% of the genes are hits, called at a false discovery rate of 5%" in repr(plan)
    signs = sf.plan_screen(calls="sign", effect=-2.0, like=SDS)
    assert any("it is about signs" in sentence for sentence in signs.sentences)


def test_the_picture_has_a_panel_for_each_effect_and_a_curve_for_each_number_of_guides():
    plan = sf.plan_screen(guides=[2, 4], effect=[-1, -2], like=SDS)
    picture = sf.plot(plan)
    assert [axis.get_title() for axis in picture.figure.axes] == ["effect -1", "effect -2"]
    labels = [text.get_text() for text in picture.figure.legends[0].get_texts()]
    assert labels == ["2 guides", "4 guides"]
    assert picture.alt == " ".join(plan.sentences)
    drawn = picture.figure.axes[0].get_lines()[1].get_ydata()
    expected = plan.table.query("effect == -1 and guides == 2")["power"]
    np.testing.assert_allclose(drawn, expected)
    assert sf.plot_plan(plan).alt == picture.alt


MISTAKES = [
    (
        {"guides": 1},
        "guides= holds 1.\nguides are whole numbers of at least 2; of one guide a gene's effect cannot be",
    ),
    ({"replicates": [1, 1.5]}, "replicates= holds 1.5."),
    ({"lines": []}, "lines= is empty."),
    ({"effect": 0}, "effect= holds 0.\nAn effect is a log2 fold change other than 0."),
    ({"hits": 1.5}, "hits=1.5 is out of range."),
    ({"rate": 0.7}, "rate=0.7 is out of range.\nrate is a share of genes, above 0 and below 0.5."),
    ({"calls": "fdr"}, "there is no calls='fdr'."),
    ({"calls": "call_genes", "beyond": -1.0}, "beyond=-1.0 is out of range."),
    ({"like": {"guides": 1.0}}, "like= has an SD of 'guides'."),
    ({"like": {"guide": 0.1}}, "like= has no SD of the residual."),
    ({"like": {"guide": -1.0, "residual": 1.0}}, "like['guide'] is -1.0."),
    ({"like": 3}, "like= is a int."),
    ({"guides": list(range(2, 302)), "replicates": list(range(1, 41))}, "the grid has 36,000 points."),
]


@pytest.mark.parametrize(("arguments", "text"), MISTAKES)
def test_mistakes_are_told(arguments, text):
    with pytest.raises(DataError) as error:
        sf.plan_screen(**arguments)
    assert str(error.value).startswith(text)


def test_fits_that_cannot_tell_are_refused():
    data, _ = sf.datasets.m7()
    with pytest.raises(DataError, match="the fit has no effects of 'sgRNA'; its grouping factors: gene"):
        sf.plan_screen(like=sf.lmer("log_fc ~ (1 | gene)", data, method="reml"))
    counts = data.assign(n=np.random.default_rng(1).poisson(3, len(data)))
    with pytest.raises(DataError, match="like= is a fit of the family poisson"):
        sf.plan_screen(like=fake_fit(sf.Model("n ~ (1 | gene) + (1 | sgRNA)", counts, family="poisson")))
    spread = sf.Model(["log_fc ~ (1 | gene) + (1 | gene:sgRNA)", "sigma ~ cell_line"], data)
    with pytest.raises(DataError, match="the residual SD of the fit has a formula of its own"):
        sf.plan_screen(like=fake_fit(spread))
    for wrong in ({"nsim": -1}, {"genes": 50}):
        with pytest.raises(SamplingError, match=f"{next(iter(wrong))}=.* is out of range"):
            sf.plan_screen(**wrong)
