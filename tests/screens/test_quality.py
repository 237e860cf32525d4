"""Depth, evenness, likeness, factors and clones of a screen are those of plain loops; what is planted is found."""

import numpy as np
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError
from speclet_formula.screens.counts import gini_indices
from tests.screens.small import SAMPLE_MAP, counts


def simulated(seed=3, **changes):
    options = {"genes": 150, "guides_per_gene": 4, "cell_lines": 3, "replicates": 3, "line_sd": 0.6} | changes
    return sf.simulate_screen(**options, random_seed=seed)


def read(made, counts=None, samples=None):
    return sf.read_screen(
        made.counts if counts is None else counts, made.guides, made.samples if samples is None else samples
    )


def matrix(screen):
    return screen.table.pivot(index="sgRNA", columns="sample", values="log_fc")[screen.table["sample"].unique()]


def test_the_gini_index_is_half_the_mean_distance_over_the_mean():
    reads = np.random.default_rng(1).negative_binomial(2, 0.01, size=(40, 3)).astype(float)
    reads[5, 1] = np.nan
    for place, found in enumerate(gini_indices(reads)):
        logs = np.log(reads[:, place][~np.isnan(reads[:, place])] + 1)
        n = len(logs)
        distance = sum(abs(one - other) for one in logs for other in logs) / (n * (n - 1))
        assert found == pytest.approx(distance / (2 * logs.mean()))


def test_depth_and_evenness_of_the_counts_stand_beside_each_sample_references_too():
    made = simulated()
    quality = sf.screen_quality(read(made)).samples.set_index("sample")
    reads = made.counts[list(quality.index)]
    np.testing.assert_allclose(quality["reads_per_guide"], reads.mean())
    np.testing.assert_allclose(quality["zeros"], (reads == 0).mean())
    np.testing.assert_allclose(quality["gini"], gini_indices(reads.to_numpy(dtype=float)))
    assert quality.loc["plasmid", ["nnmd", "replicate_r", "own_r", "outgrowths"]].isna().all()


def test_correlations_are_means_over_pairs_of_samples():
    screen = read(simulated())
    quality = sf.screen_quality(screen)
    changes = matrix(screen)
    lines = screen.table.drop_duplicates("sample").set_index("sample")["cell_line"]
    centre = np.mean([changes.loc[:, (lines == line).to_numpy()].mean(axis=1) for line in lines.unique()], axis=0)
    special = changes.sub(centre, axis=0)
    row = quality.samples.set_index("sample").loc["cell_1_2"]

    def mean_r(frame, line):
        others = [name for name in lines.index[lines == line] if name != "cell_1_2"]
        return np.mean([np.corrcoef(frame["cell_1_2"], frame[name])[0, 1] for name in others])

    assert row["replicate_r"] == pytest.approx(mean_r(changes, "cell_1"))
    assert row["own_r"] == pytest.approx(mean_r(special, "cell_1"))
    foreign = {line: mean_r(special, line) for line in ("cell_0", "cell_2")}
    assert row["other_r"] == pytest.approx(max(foreign.values()))
    assert row["nearest_line"] == max(foreign, key=foreign.get)


def test_median_differences_are_those_of_a_loop():
    screen = read(simulated())
    table = screen.table[screen.table["sample"] == "cell_2_1"]
    null = np.array([x for x, kind in zip(table["log_fc"], table["control"], strict=True) if kind == "nonessential"])
    hits = np.array([x for x, kind in zip(table["log_fc"], table["control"], strict=True) if kind == "essential"])
    expected = (np.median(hits) - np.median(null)) / np.median(abs(null - np.median(null)))
    found = sf.screen_quality(screen).samples.set_index("sample").loc["cell_2_1", "nnmd"]
    assert found == pytest.approx(expected)


def test_shares_of_variance_are_sums_of_squares_and_components_those_of_the_covariance():
    made = simulated()
    samples = made.samples.assign(lab=["", *("xyyxyxyyx")])
    screen = read(made, samples=samples)
    quality = sf.screen_quality(screen, batch="lab")
    changes = matrix(screen)
    labels = screen.table.drop_duplicates("sample").set_index("sample").loc[changes.columns]
    residual = changes.sub(changes.mean(axis=1), axis=0)
    for row in quality.factors.itertuples():
        between = 0.0
        for _, names in labels.groupby(row.factor).groups.items():
            between += len(names) * (residual[list(names)].mean(axis=1) ** 2).sum()
        share = between / (residual**2).to_numpy().sum()
        assert row.share == pytest.approx(share)
        assert row.chance == pytest.approx((labels[row.factor].nunique() - 1) / 8)
    assert quality.factors["factor"].tolist()[0] == "cell_line"
    eigenvalues = np.linalg.eigvalsh(residual.to_numpy().T @ residual.to_numpy())[::-1]
    np.testing.assert_allclose(quality.components["share"], (eigenvalues / eigenvalues.sum())[:8])
    inner = quality.scores.to_numpy().T @ quality.scores.to_numpy()
    np.testing.assert_allclose(inner, np.diag(eigenvalues[:8]), atol=1e-8 * eigenvalues[0])


def test_clones_are_those_that_a_loop_over_genes_and_lines_finds():
    made = simulated(dispersion=0.8, reads_per_guide=40.0)
    screen = read(made)
    found = sf.screen_quality(screen).outgrowths
    expected = set()
    for _, rows in screen.table.groupby(["gene", "cell_line"]):
        largest = sorted(zip(rows["log_fc"], rows["sgRNA"], rows["sample"], strict=True), reverse=True)
        if largest[0][0] > 2 and largest[0][0] - largest[1][0] > 2:
            expected.add(largest[0][1:])
    assert set(zip(found["sgRNA"], found["sample"], strict=True)) == expected
    assert found["log_fc"].is_monotonic_decreasing


def test_what_is_planted_is_found_and_what_is_not_is_not():
    made = simulated(genes=400)
    calm = sf.screen_quality(read(made))
    assert not calm.amiss, calm.amiss
    planted = made.counts.rename(columns={"cell_0_1": "cell_2_1", "cell_2_1": "cell_0_1"})
    planted.loc[500, "cell_1_2"] *= 60
    quality = sf.screen_quality(read(made, planted))
    exchanged, clone = quality.amiss
    assert "cell_0_1" in exchanged
    assert "cell_2_1" in exchanged
    assert exchanged.startswith("In what differs between lines 2 samples are more like another than their own")
    assert quality.outgrowths[["sgRNA", "sample"]].to_numpy().tolist() == [["sgRNA_500", "cell_1_2"]]
    assert "sgRNA_500 of gene_125 in cell_1_2" in clone


def test_batches_that_outweigh_lines_are_told_and_so_are_batches_of_whole_lines():
    made = simulated(line_sd=0.1)
    batches = ["", *("xyyxyxyyx")]
    drift = made.counts.copy()
    factor = 2 ** np.random.default_rng(2).normal(0, 1, len(drift))
    for sample, batch in zip(made.samples["sample"], batches, strict=True):
        if batch == "x":
            drift[sample] = (drift[sample] * factor).round().astype(int)
    quality = sf.screen_quality(read(made, drift, made.samples.assign(lab=batches)), batch="lab")
    (told,) = [text for text in quality.amiss if "outweigh" in text]
    assert "Compare within batches, or give the model (1 | lab)." in told
    assert quality.components["factor"].iloc[0] == "lab"
    whole = ["", *("xxxxxxyyy")]
    nested = sf.screen_quality(read(made, samples=made.samples.assign(batch2=whole)), batch="batch2")
    assert any("Each cell line lies in one 'batch2'" in text for text in nested.amiss)


def test_shallow_samples_weak_controls_and_uneven_references_are_named():
    made = simulated(reads_per_guide=20.0, reference_reads=6.0, essential_effect=0.0, line_sd=0.0, cell_lines=1)
    amiss = "\n".join(sf.screen_quality(read(made)).amiss)
    assert "4 samples have fewer than 185 reads for a guide, which DepMap asks for: plasmid" in amiss
    assert "1 references lack more than 1% of the guides" in amiss
    assert "1 references have a Gini index above 0.1" in amiss
    assert "In 3 samples essential guides are hardly below nonessential ones" in amiss


def test_fold_changes_and_single_samples_are_judged_as_far_as_they_go():
    changes = sf.read_fold_changes(
        counts()[["sgRNA", "Gene"]].assign(A_1=np.linspace(-1, 1, 24)), samples=SAMPLE_MAP.drop(columns="reference")
    )
    quality = sf.screen_quality(changes)
    assert quality.sentences[0] == "Fold changes came as such: nothing is known of depth and evenness."
    assert quality.factors.empty
    assert quality.scores.shape == (1, 0)
    assert "gini" not in repr(quality)
    assert len(sf.plot(quality).figure.axes) >= 1


def test_missing_cells_leave_the_guide_out_of_components_alone():
    made = simulated()
    short = made.counts.astype({"cell_0_1": float})
    short.loc[7, "cell_0_1"] = np.nan
    screen = sf.read_screen(short, made.guides, made.samples)
    quality = sf.screen_quality(screen)
    whole = matrix(screen).dropna()
    residual = whole.sub(whole.mean(axis=1), axis=0)
    first = np.linalg.eigvalsh(residual.to_numpy().T @ residual.to_numpy())[-1] / (residual**2).to_numpy().sum()
    assert quality.components["share"].iloc[0] == pytest.approx(first)


MISTAKES = [
    (lambda: sf.screen_quality(counts()), "sf.screen_quality(): screen is a DataFrame."),
    (
        lambda: sf.screen_quality(read(simulated()), batch="lab"),
        "the screen's table has no column 'lab'.\nColumns of its sample map: none.",
    ),
]


@pytest.mark.parametrize(("call", "text"), MISTAKES)
def test_mistakes_are_told(call, text):
    with pytest.raises(DataError) as error:
        call()
    assert str(error.value).startswith(text)


def test_the_picture_has_a_panel_for_each_thing_that_is_known():
    made = simulated()
    planted = made.counts.copy()
    planted.loc[50, "cell_1_2"] *= 100
    quality = sf.screen_quality(read(made, planted))
    picture = sf.plot(quality)
    labels = [axis.get_xlabel() or axis.get_title() for axis in picture.figure.axes]
    assert [label.split(",")[0] for label in labels] == [
        "reads for a guide", "Gini index of log reads", "correlations", "PC1", "share of the variance between samples",
        "next of its gene and line",
    ]  # fmt: skip
    assert "took off in a single sample" in picture.alt
    assert sf.plot_quality(quality).alt == picture.alt


def test_a_report_has_a_page_about_the_screen(tmp_path):
    made = simulated(genes=20, cell_lines=1)
    screen = read(made)
    fit = sf.lmer("log_fc ~ (1 | gene)", screen.table, method="reml")
    path = sf.report(fit, tmp_path / "r.html", quality=sf.screen_quality(screen), random_seed=1)
    text = path.read_text(encoding="utf-8")
    assert '<h2 id="screen">The screen</h2>' in text
    assert "reads_per_guide" in text
    assert text.index('id="screen"') < text.index('id="fit-1"')


def test_a_report_has_the_hits(tmp_path):
    screen = read(simulated(genes=60, cell_lines=1))
    fit, calls = sf.lmer("log_fc ~ (1 | gene)", screen.table, method="ml"), sf.call_genes(screen.table)
    text = sf.report(fit, tmp_path / "r.html", calls=calls, random_seed=1).read_text(encoding="utf-8")
    hits = text[text.index('<h2 id="hits">The hits</h2>') : text.index('id="fit-1"')]
    n = calls.table["called"].sum()
    assert f"<p>{n} of 60 genes called: effects below -0.5 (log2)" in " ".join(hits.split())
    assert all(f">{name}</" in hits for name in calls.table["gene"][:n])
    assert f">{calls.table['gene'][n]}</" not in hits
    with pytest.raises(DataError, match="calls= is a DataFrame"):
        sf.report(fit, tmp_path / "r.html", calls=calls.table)
