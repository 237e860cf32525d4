"""What first reads and sequences foretell is taken out: planted courses, whatever a minority of genes does."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError
from speclet_formula.screens.adjust import robust_spline_fit


def table(n=2400, samples=("a", "b"), seed=1):
    rng = np.random.default_rng(seed)
    guides = ["".join(bases) for bases in rng.choice(list("ACGT"), (n, 20))]
    reads = np.exp(rng.normal(6, 0.7, n))
    rows = [
        pd.DataFrame({"sgRNA": guides, "gene": np.arange(n) // 4, "sample": name, "count_initial": reads * (1 + place)})
        for place, name in enumerate(samples)
    ]
    return pd.concat(rows, ignore_index=True)


def foretold(rows):
    """A line of log2 reads, and three bases; exactly what the regression can describe."""
    text = rows["sgRNA"].str
    bases = 0.4 * (text[19] == "G") - 0.3 * (text[0] == "T") + 0.2 * (text[7] == "C")
    return np.where(rows["sample"] == "a", -0.5, 0.1) * np.log2(rows["count_initial"] + 1) + bases


def test_a_planted_course_is_taken_out_exactly_though_a_fifth_of_the_genes_has_effects():
    rows = table().sample(frac=1, random_state=2)
    effects = np.where(rows["gene"] % 5 == 0, -4.0, 0.0)
    rows["log_fc"] = 0.7 + foretold(rows) + effects
    adjusted = sf.adjust_fold_changes(rows, sequence="sgRNA")
    assert "log_fc_adjusted" not in rows, "the table is left as it was"
    for name, part in adjusted.groupby("sample"):
        own = effects[(rows["sample"] == name).to_numpy()]
        left = part["log_fc_adjusted"].to_numpy() - own
        np.testing.assert_allclose(left, left[0], atol=1e-6)
    assert all(0.5 < share <= 1 for share in adjusted.attrs["adjusted"].values())


def test_adding_to_all_of_a_sample_or_to_another_sample_changes_nothing_else():
    rows = table()
    rows["log_fc"] = foretold(rows) + np.random.default_rng(3).normal(0, 0.3, len(rows))
    first = sf.adjust_fold_changes(rows)["log_fc_adjusted"]
    moved = sf.adjust_fold_changes(rows.assign(log_fc=rows["log_fc"] + 2.0))["log_fc_adjusted"]
    np.testing.assert_allclose(moved, first + 2.0, atol=1e-6)
    other = rows.assign(log_fc=np.where(rows["sample"] == "b", rows["log_fc"] ** 2, rows["log_fc"]))
    same = (rows["sample"] == "a").to_numpy()
    np.testing.assert_allclose(sf.adjust_fold_changes(other)["log_fc_adjusted"][same], first[same])


def test_regression_to_the_mean_goes():
    """Reads of a first time point are noisy: their error is in the change with the other sign, and half of it goes."""
    rng = np.random.default_rng(4)
    rows = table(samples=("a",))
    true, error = rng.normal(9, 0.5, len(rows)), rng.normal(0, 0.5, len(rows))
    rows["count_initial"], rows["log_fc"] = 2 ** (true + error) - 1, -error + rng.normal(0, 0.1, len(rows))
    adjusted = sf.adjust_fold_changes(rows)["log_fc_adjusted"]
    assert adjusted.var() == pytest.approx(0.125 + 0.01, rel=0.15)  # error variance / 2; 15 % are 5 SEs of a variance


def test_missing_fold_changes_stay_missing():
    rows = table()
    rows["log_fc"] = foretold(rows)
    rows.loc[::7, "log_fc"] = np.nan
    adjusted = sf.adjust_fold_changes(rows)
    assert adjusted["log_fc_adjusted"].isna().equals(rows["log_fc"].isna())


def test_a_course_over_few_values_is_a_line():
    x = np.repeat([1.0, 2.0], 50)
    np.testing.assert_allclose(robust_spline_fit(x, 3 * x), 3 * x)
    np.testing.assert_allclose(robust_spline_fit(np.linspace(0, 1, 60), np.full(60, 2.0)), 2.0)


def test_references_of_their_own_are_taken_out_by_mean_and_distance():
    """Of pairs: chance in one reference is told by the others, so that guides' means lose what means regress by.

    With the SDs b of guides, a of a reference's chance, three pairs: the mean of a guide's changes has the slope
    -(a² / 3) / (b² + a² / 3) on the mean of its first reads, and a change -1 on the own one's distance from it.
    """
    rng = np.random.default_rng(1)
    n, a, b = 6000, 0.4, 0.8
    base, chance = rng.normal(scale=b, size=n) + 12, rng.normal(scale=a, size=(n, 3))
    first = base[:, None] + chance
    change = rng.normal(scale=0.3, size=(n, 3)) - chance
    rows = pd.DataFrame({
        "sgRNA": np.repeat(np.arange(n).astype(str), 3), "sample": np.tile(list("xyz"), n),
        "log_fc": change.ravel(), "count_initial": 2 ** first.ravel(),
    })  # fmt: skip
    adjusted = sf.adjust_fold_changes(rows)
    taken = (adjusted["log_fc"] - adjusted["log_fc_adjusted"]).to_numpy().reshape(n, 3)
    means, distances = first.mean(axis=1), first - first.mean(axis=1, keepdims=True)
    assert np.polyfit(means, taken.mean(axis=1), 1)[0] == pytest.approx(-(a**2 / 3) / (b**2 + a**2 / 3), abs=0.03)
    assert np.polyfit(distances.ravel(), taken.ravel(), 1)[0] == pytest.approx(-1, abs=0.03)
    left = adjusted["log_fc_adjusted"].to_numpy().reshape(n, 3)
    assert left.mean(axis=1).var() < change.mean(axis=1).var()
    shared = rows.assign(count_initial=rows.groupby("sgRNA")["count_initial"].transform("first"))
    depths = shared["count_initial"] * shared["sample"].map({"x": 0.5, "y": 1.0, "z": 2.0})
    alone = pd.concat([sf.adjust_fold_changes(part) for _, part in shared.groupby("sample")]).sort_index()
    together = sf.adjust_fold_changes(shared)
    np.testing.assert_allclose(together["log_fc_adjusted"], alone["log_fc_adjusted"])
    scaled = sf.adjust_fold_changes(shared.assign(count_initial=depths))
    np.testing.assert_allclose(scaled["log_fc_adjusted"], together["log_fc_adjusted"], atol=1e-3)


WRONG = {
    "infinite": (
        lambda rows: sf.adjust_fold_changes(rows.assign(log_fc=np.inf)),
        "4,800 fold changes are infinite.\nA fold change is a finite number; one without a count is missing.\nAdd a "
        "pseudo-count before the logarithm, as read_screen does, or leave these rows out.",
    ),
    "a column": (
        lambda rows: sf.adjust_fold_changes(rows, initial="count_inital"),
        "the table has no column 'count_inital'.\nColumns: sgRNA, gene, sample, count_initial, log_fc.\n"
        "Nearest: 'count_initial'.",
    ),
    "nothing": (
        lambda rows: sf.adjust_fold_changes(rows, initial=None),
        "nothing is to be taken out of the fold changes.\ninitial= names the column of first reads, sequence= that of "
        "the guides' sequences.\nName one of them.",
    ),
    "few guides": (
        lambda rows: sf.adjust_fold_changes(rows.head(300), sequence="sgRNA"),
        "sample 'a' has 300 guides for 65 coefficients of first reads and sequence.\nThere are at least 20 guides for "
        "each.\nLeave sequence= out.",
    ),
    "names for sequences": (
        lambda rows: sf.adjust_fold_changes(rows.assign(name="BRAF_" + rows["sgRNA"]), sequence="name"),
        None,
    ),
    "reads": (
        lambda rows: sf.adjust_fold_changes(rows.assign(count_initial=-1.0)),
        "'count_initial' is missing or below 0 in 2,400 rows of sample 'a'.\nFirst reads are 0 or more, and known "
        "wherever there is a fold change.\nLeave these rows out, or write initial=None.",
    ),
}


@pytest.mark.parametrize(("call", "text"), WRONG.values(), ids=WRONG)
def test_mistakes_say_what_to_do(call, text):
    rows = table().assign(log_fc=0.0)
    with pytest.raises(DataError) as caught:
        call(rows)
    first = rows["sgRNA"][0]
    assert str(caught.value) == text or (
        text is None
        and str(caught.value)
        == f"'BRAF_{first}' in the column 'name' is no guide's sequence.\nA sequence has 17 bases or more, each one "
        "of A, C, G, T.\nName the column that has them, or leave sequence= out."
    )
