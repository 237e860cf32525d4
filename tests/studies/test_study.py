"""A study counts, sums up and resumes as it says: against numpy by hand, a killed process and a cluster of two."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.common.batch import Outcome
from speclet_formula.errors import DataError, SamplingError
from speclet_formula.recovery.simulate import draw_data, simulator_of
from speclet_formula.studies import data_sets as tasks
from speclet_formula.studies.data_sets import ROW_COLUMNS, DataSet, facts, load_outcome, save_outcome
from speclet_formula.studies.summaries import class_summaries, parameter_summaries

FORMULA = "y ~ x + (1|g)"
TRUTH = {"Intercept": 1.0, "x": 0.4, "1|g_sigma": 0.5, "sigma": 1.0}
QUICK = {"draws": 60, "chains": 2, "random_seed": 5, "progress": False}
TIMES = ["seconds", "cpu_seconds"]


def layout(groups=8, rows=5):
    x = np.linspace(-1, 1, groups * rows)
    return pd.DataFrame({"g": np.repeat([f"g{k}" for k in range(groups)], rows), "x": x})


def assert_same(one, other):
    """All frames agree to the last digit, times aside."""
    for name in ("table", "classes", "rows", "data_sets"):
        a, b = getattr(one, name), getattr(other, name)
        dropped = [column for column in a if column in (*TIMES, "seconds_se")]
        pd.testing.assert_frame_equal(a.drop(columns=dropped), b.drop(columns=dropped), check_exact=True)


@pytest.fixture(scope="module")
def small():
    return sf.study(FORMULA, layout(), TRUTH, nsim=12, cores=1, **QUICK)


def test_estimates_are_those_of_the_rows(small):
    row = small.table.set_index("parameter").loc["x"]
    rows = small.rows.query("parameter == 'x'")
    error = rows["median"] - 0.4
    assert row["truth"] == 0.4
    assert row["bias"] == pytest.approx(error.mean())
    assert row["bias_se"] == pytest.approx(error.std(ddof=1) / np.sqrt(12))
    assert row["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert row["emp_sd"] == pytest.approx(error.std(ddof=1))
    assert row["mean_sd"] == pytest.approx(rows["sd"].mean())
    assert row["sd_ratio"] == pytest.approx(rows["sd"].mean() / error.std(ddof=1))
    held = (rows["lo"] <= 0.4) & (rows["hi"] >= 0.4)
    assert row["cover90"] == pytest.approx(held.mean())
    assert row["cover90_se"] == pytest.approx(np.sqrt(held.mean() * (1 - held.mean()) / 12), abs=1e-12)
    assert row["width90"] == pytest.approx((rows["hi"] - rows["lo"]).mean())
    assert row["lme4_bias"] == pytest.approx((rows["lme4"] - 0.4).mean())
    assert row["power"] == pytest.approx(rows["claims"].mean())
    assert (row["n_sims"], row["n_failed"]) == (12, 0)


def test_each_data_set_can_be_made_by_hand(small):
    """Row for row what simulate, fit and recover give with the same random numbers."""
    drawing, fitting = np.random.SeedSequence(5, spawn_key=(0, 3)).spawn(2)
    from speclet_formula.recovery.simulate import draw_data, simulator_of

    response, effects = draw_data(simulator_of(FORMULA, layout()), TRUTH, np.random.default_rng(drawing))
    data = layout().assign(y=response)
    seed = int(fitting.generate_state(1)[0])
    fit = sf.lmer(FORMULA, data, draws=60, chains=2, cores=1, random_seed=seed)
    found = sf.recover(fit, TRUTH | effects)
    mine = small.rows.query("data_set == 3")
    scalars = mine[mine["class"] != "effects"]
    for column in ("truth", "realized", "median", "sd", "lo", "hi", "error", "z", "pit", "contraction", "lme4"):
        np.testing.assert_allclose(scalars[column], found.parameters[column], rtol=1e-9, err_msg=column)
    effects_row, block = mine[mine["class"] == "effects"].iloc[0], found.groups.iloc[0]
    assert effects_row["cover90"] == block["coverage"]
    assert np.sqrt(effects_row["squared"]) == pytest.approx(block["rmse"])


@pytest.mark.parametrize(
    ("formula", "weights"),
    [("p ~ x + (1 | id)", "n"), ("cbind(s, f) ~ x + (1 | id)", None), ("cbind(s, n - s) ~ x + (1 | id)", None)],
)
def test_a_binomial_design_has_the_trials_of_its_table(formula, weights, monkeypatch):
    """Each data set has them, and whole successes; the fits themselves are left out, for time."""
    layout = pd.DataFrame({"id": np.repeat(np.arange(10), 4), "x": [0, 1] * 20, "n": [5, 8, 12, 20] * 10})
    layout = layout.assign(s=2, f=layout["n"] - 2)
    seen = []

    def fitted(model, **_settings):
        seen.append(model.design)
        raise SamplingError("seen.", "", "")

    monkeypatch.setattr("speclet_formula.studies.data_sets.fit", fitted)
    params = {"Intercept": 0.0, "x": 0.5, "1|id_sigma": 0.5}
    with pytest.raises(SamplingError, match="seen"):
        sf.study(formula, layout, params, family="binomial", weights=weights, nsim=3, random_seed=1, cores=1)
    assert len(seen) == 3
    for design in seen:
        np.testing.assert_array_equal(design.trials, layout["n"])
        assert (design.response == np.round(design.response)).all()
        assert (design.response <= design.trials).all()
        assert 100 < design.response.sum() < 350


@pytest.mark.slow
def test_more_data_sets_leave_the_first_as_they_are(small):
    fewer = sf.study(FORMULA, layout(), TRUTH, nsim=3, cores=1, **QUICK)
    pd.testing.assert_frame_equal(fewer.rows, small.rows.query("data_set < 3").reset_index(drop=True), check_exact=True)


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(small):
    assert_same(small, sf.study(FORMULA, layout(), TRUTH, nsim=12, cores=2, **QUICK))


@pytest.mark.slow
def test_effects_are_drawn_anew_or_kept():
    given = TRUTH | {"1|g": dict(zip([f"g{k}" for k in range(8)], np.linspace(-1, 1, 8), strict=True))}
    anew = sf.study(FORMULA, layout(), given, nsim=2, cores=1, reml=False, **QUICK)
    kept = sf.study(FORMULA, layout(), given, nsim=2, cores=1, reml=False, use_u=True, **QUICK)
    assert anew.rows.query("parameter == '1|g_sigma'")["realized"].nunique() == 2
    assert set(kept.rows.query("parameter == '1|g_sigma'")["realized"].round(12)) == {
        round(float(np.linspace(-1, 1, 8).std(ddof=1)), 12)
    }
    assert kept.table["lme4_rmse"].isna().all()


@pytest.mark.slow
def test_failed_fits_are_counted_and_listed(monkeypatch):
    honest = tasks.fit

    def failing(model, **arguments):
        if model.design.response[0] > 1:
            raise SamplingError("the sampler gave up.", "second line", "third line")
        return honest(model, **arguments)

    monkeypatch.setattr(tasks, "fit", failing)
    found = sf.study(FORMULA, layout(), TRUTH, nsim=12, cores=1, reml=False, **QUICK)
    failed = found.data_sets.query("status == 'failed'")
    assert 0 < len(failed) < 12
    assert set(failed["reason"]) == {"SamplingError: the sampler gave up."}
    assert (found.table["n_failed"] == len(failed)).all()
    assert found.rows["data_set"].nunique() == 12 - len(failed)
    reason = f"SamplingError: the sampler gave up. ({len(failed)})"
    sentence = f"{len(failed)} of 12 fits failed and are in no number above: {reason}."
    assert sentence in found.foot
    assert sentence in repr(found)


@pytest.mark.slow
def test_flagged_fits_are_counted():
    short = sf.study(FORMULA, layout(), TRUTH, nsim=2, cores=1, **QUICK | {"draws": 12})
    flagged = (short.data_sets["verdict"] != "converged").sum()
    assert flagged == 2, "24 draws cannot be worth 30"
    assert (short.table["n_flagged"] == 2).all()
    assert any(sentence.startswith("2 of 2 fits are flagged by their diagnostics") for sentence in short.foot)


def test_if_all_fail_there_is_no_study(monkeypatch):
    def failing(model, **arguments):
        raise ValueError("no luck")

    monkeypatch.setattr(tasks, "fit", failing)
    with pytest.raises(SamplingError) as caught:
        sf.study(FORMULA, layout(), TRUTH, nsim=3, cores=1, **QUICK)
    assert str(caught.value) == (
        "all 3 data sets failed: ValueError: no luck (3).\nA study needs fits to judge.\n"
        "Simulate one data set with sf.simulate, and fit it with the same arguments."
    )


@pytest.mark.slow
def test_another_model_can_be_fitted():
    found = sf.study(FORMULA, layout(), TRUTH, fitted_formula="y ~ (1|g)", nsim=2, cores=1, reml=False, **QUICK)
    assert found.table["parameter"].to_list() == ["Intercept", "1|g_sigma", "sigma", "g: Intercept"]
    assert "fitted by y ~ 1 + (1 | g)" in repr(found)


# --- grids ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_several_designs_stand_in_one_table():
    designs = {"few": layout(4, 5), "many": layout(10, 5)}
    found = sf.study(FORMULA, designs, TRUTH, nsim=2, cores=1, reml=False, **QUICK)
    assert found.designs == ("design",)
    assert found.table.columns[0] == "design"
    assert found.table["design"].unique().tolist() == ["few", "many"]
    rows = found.rows.query("`class` == 'effects'")
    assert rows.groupby("design", sort=False)["n_values"].first().to_dict() == {"few": 4, "many": 10}


@pytest.mark.slow
def test_power_rises_with_the_effect_and_is_the_share_of_claims():
    grid = {"x": [0.0, 5.0], "groups": [4, 6]}
    found = sf.power(FORMULA, layout, TRUTH, grid, nsim=4, cores=1, reml=False, **QUICK)
    assert found.designs == ("x", "groups")
    slopes = found.table.query("parameter == 'x'").set_index(["x", "groups"])
    assert len(slopes) == 4
    assert (slopes.loc[5.0, "power"] == 1.0).all(), "13 standard errors from 0"
    assert (slopes["truth"] == slopes.index.get_level_values("x")).all()
    claims = found.rows.query("parameter == 'x' and groups == 4 and x == 0")["claims"]
    assert slopes.loc[(0.0, 4), "power"] == claims.mean()


def test_a_grid_of_n_is_a_column_of_its_own():
    found = sf.power(
        "y ~ x", lambda n: {"x": np.arange(float(n))}, {"Intercept": 1, "x": 2, "sigma": 1}, {"n": [5, 9]}, nsim=2,
        cores=1, reml=False, **QUICK,
    )  # fmt: skip
    assert found.table["n"].to_list() == [5, 5, 5, 9, 9, 9]
    assert found.rows.query("parameter == 'x'")["n"].to_list() == [5, 5, 9, 9]


def an_outcome():
    rows = {name: ["x", "y", "é", ""] for name in ROW_COLUMNS[:4]}
    rows |= {name: [1, 2, 3.5, float("nan")] for name in ROW_COLUMNS[4:]}
    rows["z"] = [float("nan"), float("inf"), -float("inf"), 1e-300]
    made = DataSet(verdict="converged", diagnosis="é", ess_bulk_min=400.0, r_hat_max=1.01, rows=rows)
    return Outcome((1, 7), made, seconds=0.1 + 0.2, cpu_seconds=1)


def test_a_study_asks_for_enough_draws_by_itself(monkeypatch):
    asked = []
    honest = tasks.fit

    def fit(model, **arguments):
        asked.append((arguments["draws"], arguments["chains"]))
        return honest(model, **{**arguments, "draws": 20})

    monkeypatch.setattr(tasks, "fit", fit)
    sf.study("y ~ x", pd.DataFrame({"x": np.arange(8.0)}), {"Intercept": 0, "x": 1, "sigma": 1}, nsim=2, cores=1)
    assert asked == [(500, 4), (500, 4)]


# --- the folder -------------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from tests.studies.test_study import FORMULA, QUICK, TRUTH, layout
import speclet_formula as sf
sf.study(FORMULA, layout(), TRUTH, nsim=12, cores=1, folder={folder!r}, **QUICK)
"""


@pytest.mark.slow
def test_a_killed_study_goes_on_and_ends_with_the_same_table(small, tmp_path):
    folder = tmp_path / "study"
    root = str(Path(__file__).resolve().parents[2])
    child = subprocess.Popen([sys.executable, "-c", SCRIPT.format(root=root, folder=str(folder))], cwd=root)
    deadline = time.monotonic() + 300
    while len(list(folder.glob("000-*.json"))) < 3 and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    made = {path.name: path.stat().st_mtime_ns for path in folder.glob("000-*.json")}
    assert 3 <= len(made) < 12, "killed on the way"
    resumed = sf.study(FORMULA, layout(), TRUTH, nsim=12, cores=1, folder=folder, **QUICK)
    assert_same(small, resumed)
    assert {name: (folder / name).stat().st_mtime_ns for name in made} == made, "nothing was made twice"
    assert not list(folder.glob(".*"))[1:], "at most the file that was being written is left"


@pytest.mark.slow
def test_a_finished_study_is_read_and_can_grow(small, tmp_path, monkeypatch):
    sf.study(FORMULA, layout(), TRUTH, nsim=4, cores=1, folder=tmp_path, **QUICK)
    size = sum(path.stat().st_size for path in tmp_path.glob("000-*.json")) / 4
    assert size < 5000, "one small file for each data set"
    (tmp_path / "000-000002.json").write_text('{"scenario": 0, "data_', encoding="utf-8")
    seed = {name: value for name, value in QUICK.items() if name != "random_seed"}
    assert_same(small, sf.study(FORMULA, layout(), TRUTH, nsim=12, cores=1, folder=tmp_path, **seed))

    def never(model, **arguments):
        raise AssertionError("all data sets are there")

    monkeypatch.setattr(tasks, "fit", never)
    assert_same(small, sf.study(FORMULA, layout(), TRUTH, nsim=12, cores=1, folder=tmp_path, **QUICK))


def test_outcomes_survive_the_folder(tmp_path):
    failed = Outcome((1, 9), None, "SamplingError: é", 0.5, 0.25)
    for outcome in (an_outcome(), failed):
        assert save_outcome(tmp_path, "ours", outcome) is outcome
        number = outcome.key[1]
        json.loads((tmp_path / f"001-{number:06d}.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
        back, known = facts(load_outcome(tmp_path, "ours", (1, number))), facts(outcome)
        np.testing.assert_array_equal(back.pop("rows")["z"], known.pop("rows")["z"])
        np.testing.assert_array_equal(list(back.values()), list(known.values()))
    assert load_outcome(tmp_path, "ours", (1, 8)) is None


def changed(name, value):
    return lambda saved: saved.update({name: value})


FOREIGN = {
    "a list": ("[]", "is not of this study"),
    "of another study": (changed("study", "theirs"), "is not of this study"),
    "of no study": (lambda saved: saved.pop("study"), "is not of this study"),
    "of another data set": (changed("data_set", 8), "is not as this study wrote it"),
    "without rows": (lambda saved: saved.pop("rows"), "is not as this study wrote it"),
    "rows of another kind": (changed("rows", [1, 2]), "is not as this study wrote it"),
    "a column too few": (lambda saved: saved["rows"].pop("z"), "is not as this study wrote it"),
    "a row too few": (lambda saved: saved["rows"]["z"].pop(), "is not as this study wrote it"),
    "text for a number": (lambda saved: saved["rows"]["z"].__setitem__(0, "x"), "is not as this study wrote it"),
    "a number for text": (changed("reason", 3), "is not as this study wrote it"),
    "an infinite number": (changed("seconds", {"number": "infinite"}), "is not as this study wrote it"),
    "a number of hundreds of digits": (changed("seconds", 10**400), "is not as this study wrote it"),
    "a folder": (None, "cannot be read"),
}


@pytest.mark.parametrize(("change", "what"), FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_outcome_is_refused_by_name(tmp_path, change, what):
    place = tmp_path / "001-000007.json"
    save_outcome(tmp_path, "ours", an_outcome())
    if callable(change):
        saved = json.loads(place.read_text())
        change(saved)
        place.write_text(json.dumps(saved))
    elif change is None:
        place.unlink()
        place.mkdir()
    else:
        place.write_text(change)
    with pytest.raises(DataError) as caught:
        load_outcome(tmp_path, "ours", (1, 7))
    assert str(caught.value).startswith(f"the file '{place}' ")
    assert what in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5000])
def test_an_outcome_that_is_not_whole_is_made_again(tmp_path, text):
    (tmp_path / "001-000007.json").write_text(text)
    assert load_outcome(tmp_path, "ours", (1, 7)) is None


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            "other study",
            "the folder 'FOLDER' belongs to another study: settings, params differ.\n"
            "Only the same study can be taken up again; nsim alone may change.\n"
            "Choose another folder, or give the arguments of the first call.",
        ),
        (
            "files",
            "the folder 'FOLDER' holds other files, and none called study.json.\n"
            "A study keeps its results in a folder of its own.\n"
            "Choose a folder that is empty, or not there yet.",
        ),
        (
            "foreign",
            "'FOLDER/study.json' is not what a study wrote.\nIt says what study the folder's results belong to.\n"
            "Choose another folder.",
        ),
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path, found, text):
    if found == "other study":
        sf.study(FORMULA, layout(), TRUTH | {"x": 9.0}, nsim=2, cores=1, folder=tmp_path, **QUICK | {"draws": 50})
    else:
        (tmp_path / ("notes.txt" if found == "files" else "study.json")).write_text("[]", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        sf.study(FORMULA, layout(), TRUTH, nsim=2, cores=1, folder=tmp_path, **QUICK)
    assert str(caught.value) == text.replace("FOLDER", str(tmp_path))


# --- a cluster --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Dask's and tornado's own are not ours
def test_a_dask_cluster_makes_the_same_study(small):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, processes=True, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        found = sf.study(FORMULA, layout(), TRUTH, nsim=12, **QUICK)
        assert len(client.scheduler_info()["workers"]) == 2
        assert client.run_on_scheduler(_tasks_done) > 0, "the cluster did the work"
    assert_same(small, found)


def _tasks_done(dask_scheduler):
    return dask_scheduler.transition_counter


# --- sums over data sets, by hand -------------------------------------------------------------------------------------


def test_bands_allow_for_intervals_that_share_their_data():
    """Two parameters that are always covered together are worth one."""
    rng = np.random.default_rng(1)
    held = (rng.random(400) < 0.9).astype(float)
    names = ("parameter", "term", "group", "class", "n_values", "cover50", "cover90", "cover95", "data_set")
    rows = [("ab"[k], "", "", "sd", 1, h, h, h, i) for i, h in enumerate(held) for k in range(2)]
    frame = pd.DataFrame(rows, columns=names)
    sets = pd.DataFrame({"data_set": range(400), "status": "fitted", "verdict": "converged", "seconds": 1.0})
    together = class_summaries(frame, sets, ()).iloc[0]
    alone = class_summaries(frame[frame["parameter"] == "a"], sets, ()).iloc[0]
    assert together["n_intervals"] == 800
    assert together["cover90_lo"] == pytest.approx(alone["cover90_lo"])
    assert together["cover90_se"] == pytest.approx(alone["cover90_se"])
    # Of independent ones twice as many are worth twice as much: the band is narrower by about the root of 2.
    apart = frame.assign(data_set=np.arange(800))
    narrow = class_summaries(apart, sets, ()).iloc[0]
    ratio = (alone["cover90_hi"] - alone["cover90_lo"]) / (narrow["cover90_hi"] - narrow["cover90_lo"])
    assert ratio == pytest.approx(np.sqrt(2), rel=0.1)


def test_claims_are_judged_over_all_data_sets(small):
    rows = small.rows.copy()
    effects = rows["class"] == "effects"
    rows.loc[effects, ["claims", "wrong", "claimed", "claimed_truth"]] = [2, 1, 3.0, 2.0]
    table = parameter_summaries(rows, small.data_sets, (), 99).set_index("class")
    assert table.loc["effects", ["power", "type_s", "type_m"]].to_list() == [0.25, 0.5, 1.5]
    assert np.isnan(table.loc["sigma", "power"])


def test_a_data_set_without_prior_variance_does_not_decide_the_contraction(small):
    rows = small.rows.copy()
    sigma = rows.index[rows["class"] == "sigma"]
    rows.loc[sigma, "contraction"] = [-1e4, *np.linspace(0.5, 0.9, len(sigma) - 1)]
    table = parameter_summaries(rows, small.data_sets, (), 99).set_index("class")
    assert table.loc["sigma", "contraction"] == rows.loc[sigma, "contraction"].median()
    assert 0 < table.loc["sigma", "contraction_se"] < 0.2


# --- what cannot be studied -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        (
            {"draw": 100}, SamplingError,
            "there is no setting 'draw'.\nOf Model there are family, link, priors, weights, functions, matrices; of "
            "fit method, draws, tune, chains, target_accept, sampler, keep, nAGQ.\nNearest: 'draws'.",
        ),
        (
            {"weights": [1.0, 2.0]}, SamplingError,
            "weights= is a list, and a study may have designs of several lengths.\n"
            "The weights of a study are the name of a column that its designs have.\n"
            "Put them into a column, and write weights='n'.",
        ),
        (
            {"method": "exact", "tune": 500}, SamplingError,
            "method='exact' has no use for tune=500.\n"
            "These are for method='nuts', which adapts: tune=, target_accept= and sampler=.\n"
            "Leave it out, or write method='nuts'.",
        ),
        (
            {"method": "reml", "draws": 100}, SamplingError,
            "method='reml' has no use for draws=100, chains=2.\n"
            "It makes no draws, and takes cores= alone.\n"
            "Leave them out, or write method='auto'.",
        ),
        (
            {"family": "cumulative", "truth": {"x": 1.0, "threshold": [-1, 1], "1|g_sigma": 0.5}}, SamplingError,
            "a study of levels is not made, and the family is 'cumulative'.\nStudies and calibrations are of "
            "numbers, counts and shares.\nWrite sf.simulate, a fit and sf.recover, with another random_seed each time.",
        ),
        (
            {"nsim": 1}, SamplingError,
            "nsim=1 is out of range.\nnsim is a whole number of at least 2.\nLeave nsim= out for its default.",
        ),
        (
            {"use_u": "same"}, DataError,
            "use_u='same' is no choice.\nuse_u is True or False.\nLeave it out to draw them anew.",
        ),
        (
            {"fitted_formula": "z ~ (1|g)"}, DataError,
            "'y ~ 1 + x + (1 | g)' makes one response and 'z ~ 1 + (1 | g)' fits another.\n"
            "Both formulas have the same response.\nWrite the same name left of the ~.",
        ),
        (
            {"truth": {"Intercept": 0}}, DataError,
            "truth lacks 'x', 'sigma', '1|g_sigma'.\nThis model needs 'Intercept', 'x', '1|g_sigma', 'sigma'. The "
            "effects themselves, by level, may stand in for an SD.\nAdd truth['x'].",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_found_before_anything_runs(changes, error, text):
    arguments = {"formula": FORMULA, "data": layout(), "truth": TRUTH, "nsim": 2, **QUICK}
    with pytest.raises(error) as caught:
        sf.study(**(arguments | changes))
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("grid", "text"),
    [
        ({}, "grid is empty.\n"),
        ({"x": []}, "grid['x'] is [].\n"),
        ({"x": "abc"}, "grid['x'] is 'abc'.\n"),
    ],
)
def test_a_grid_without_values_is_refused(grid, text):
    with pytest.raises(DataError) as caught:
        sf.power(FORMULA, layout, TRUTH, grid)
    assert str(caught.value) == (
        text + "grid has a list of values for each parameter or argument that varies.\n"
        'For example grid={"cell_lines": [5, 10, 20]}.'
    )


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (pd.DataFrame({"g": ["a"]}), "data= is of type 'DataFrame', which makes no tables."),
        (lambda lines: layout(), "data= cannot be called with k=: missing a required argument: 'lines'."),
    ],
)
def test_what_makes_no_table_for_the_grid_is_refused(data, text):
    with pytest.raises(DataError, match=re.escape(text)):
        sf.power(FORMULA, data, TRUTH, {"k": [1, 2]})


def test_a_grid_cannot_have_the_name_of_a_column():
    with pytest.raises(DataError) as caught:
        sf.power(FORMULA, lambda sd: layout(), TRUTH, {"sd": [1, 2]})
    assert str(caught.value) == (
        "grid has an entry 'sd', which is a column of the study's own tables.\n"
        "The tables begin with a column for each entry, and have these beside them: parameter, term, group, class, "
        "n_values, truth, realized, median, sd, lo, hi, error, squared, cover50, cover90, cover95, width90, z, "
        "z_squared, pit, rank, contraction, claims, wrong, claimed, claimed_truth, lme4, data_set, status, reason, "
        "verdict, diagnosis, ess_bulk_min, r_hat_max, seconds, cpu_seconds, n_sims, n_failed, n_flagged, bias, rmse, "
        "mean_sd, emp_sd, sd_ratio, power.\n"
        "Give it another name: data=lambda my_sd: layout(sd=my_sd)."
    )


def test_a_study_prints_its_tables(small):
    text = repr(small)
    assert text.startswith("Study of y ~ 1 + x + (1 | g): 12 data sets, seed 5\n\nBy class (coverage of 90 % intervals")
    assert re.search(r"\nx +- +b +0\.400 ", text)
    html = small._repr_html_()
    assert html.count("<table") == 2
    assert "1&nbsp;" not in html


def test_progress_is_silent_where_no_terminal_is(capsys):
    sf.study(FORMULA, layout(), TRUTH, nsim=2, cores=1, **QUICK | {"progress": True})
    assert capsys.readouterr().err == ""


# --- fits without draws -----------------------------------------------------------------------------------------------

SUBJECTS = pd.DataFrame({"s": np.repeat(np.arange(6), 4), "t": np.repeat([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], 4)})
OF_SUBJECTS = {"Intercept": 1.0, "1|s_sigma": 1.0, "sigma": 0.4}


@pytest.mark.slow
def test_power_of_reml_is_that_of_a_t_test_of_the_subjects_means():
    """In a balanced design it is that test, with four degrees of freedom; a z test's power would be 0.88.

    Of 300 data sets a share of 0.65 has an error of 0.028: 4.5 of them leave 0.13 to each side.
    """
    effect = 2.6
    centrality = effect / np.sqrt((1 + 0.4**2 / 4) * 2 / 3)
    reach = stats.t.ppf(0.975, 4)
    expected = stats.nct.sf(reach, 4, centrality) + stats.nct.cdf(-reach, 4, centrality)
    truth = OF_SUBJECTS | {"t": effect}
    found = sf.study("y ~ t + (1|s)", SUBJECTS, truth, method="reml", nsim=300, random_seed=3, cores=1)
    row = found.table.set_index("parameter").loc["t"]
    assert row["power"] == pytest.approx(expected, abs=0.13)
    assert stats.norm.sf(1.96 - centrality) > expected + 0.13
    assert row["cover95"] == pytest.approx(0.95, abs=4.5 * np.sqrt(0.95 * 0.05 / 300))
    assert row["bias"] == pytest.approx(0, abs=4.5 * np.sqrt((1 + 0.4**2 / 4) * 2 / 3 / 300))


def test_rows_of_point_fits_are_those_of_each_fit():
    """Made again by `simulate` and `fixef`; SDs and effects have estimates alone."""
    truth = OF_SUBJECTS | {"t": 0.5}
    found = sf.study("y ~ t + (1|s)", SUBJECTS, truth, method="ml", nsim=2, random_seed=3, cores=1)
    rng = np.random.default_rng(np.random.SeedSequence(3, spawn_key=(0, 1)).spawn(2)[0])
    response, effects = draw_data(simulator_of("y ~ t + (1|s)", SUBJECTS), truth, rng)
    fit = sf.lmer("y ~ t + (1|s)", SUBJECTS.assign(y=response), method="ml")
    rows = found.rows[found.rows["data_set"] == 1].set_index("parameter")
    fixed = sf.fixef(fit, ci_prob=0.9).set_index("term")
    for term in ("Intercept", "t"):
        columns = ["median", "sd", "lo", "hi"]
        expected = fixed.loc[term, ["estimate", "std_error", "conf_low", "conf_high"]]
        np.testing.assert_allclose(rows.loc[term, columns].astype(float), expected.astype(float), rtol=1e-6)
    assert rows.loc["1|s_sigma", "median"] == pytest.approx(sf.varcorr(fit)["sdcor"][0], rel=1e-6)
    modes = sf.ranef(fit)["condval"].to_numpy()
    wrong = modes - modes.mean() - (effects["1|s"] - effects["1|s"].mean()).to_numpy()
    assert rows.loc["s: Intercept", "squared"] == pytest.approx(np.mean(wrong**2), rel=1e-6)
    assert rows.loc[["1|s_sigma", "sigma", "s: Intercept"], ["cover90", "lo", "claims"]].isna().all(axis=None)
    assert found.data_sets["verdict"].isin(["converged", "singular"]).all()


def test_studies_take_glmms_and_models_without_fixed_effects():
    truth = {"Intercept": 0.5, "1|s_sigma": 0.5}
    counts = sf.study(
        "y ~ 1 + (1|s)", SUBJECTS, truth, family="poisson", method="laplace", nsim=4, random_seed=3, cores=1
    )
    assert counts.table.set_index("parameter").loc["Intercept", "cover95"] > 0
    bare = sf.study("y ~ 0 + (1|s)", SUBJECTS, {"1|s_sigma": 1, "sigma": 1}, method="reml", nsim=4, cores=1)
    assert "No parameter has intervals." in repr(bare)


def test_calibration_needs_draws():
    with pytest.raises(SamplingError) as caught:
        sf.calibrate("y ~ t + (1|s)", SUBJECTS, method="reml")
    assert str(caught.value) == (
        "method='reml' gives no posterior to judge.\nCalibrated are methods that draw: auto, exact, hmc, nuts.\n"
        "Leave method= out; sf.study judges estimates of maximum likelihood."
    )
