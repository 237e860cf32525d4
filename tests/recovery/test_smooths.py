"""Smooths that were simulated are found again."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf

TRUTH = {"Intercept": 0.5, "line(x)": -1.0, "1|s(x)_sigma": 0.8, "1|g_sigma": 0.5, "sigma": 0.4}
FORMULA = "y ~ s(x, k = 8) + (1|g)"


@pytest.fixture(scope="module")
def design():
    rng = np.random.default_rng(4)
    return pd.DataFrame({"x": rng.uniform(0, 1, 120), "g": np.array(list("abcdef"))[np.arange(120) % 6]})


def test_a_recovery_has_the_sd_of_a_curve_and_what_it_came_to(design):
    data, truth = sf.simulate(FORMULA, design, TRUTH, random_seed=2)
    recovery = sf.recover(sf.lmer(FORMULA, data, random_seed=3, draws=300), truth)
    (row,) = recovery.parameters.query("group == 's(x)'").to_dict("records")
    assert (row["term"], row["class"], row["truth"]) == ("wiggles", "sd", 0.8)
    effects = np.concatenate([truth[f"{place}|s(x)"].to_numpy() for place in range(1, 7)])
    assert row["realized"] == pytest.approx(np.sqrt(np.mean(effects**2)))
    assert set(recovery.groups["group"]) == {"g"}


def test_what_was_drawn_lies_on_the_curve_of_its_effects(design):
    """Without noise the data are the columns times the effects that the truth tells."""
    data, truth = sf.simulate(FORMULA, design, {**TRUTH, "sigma": 1e-9}, random_seed=5)
    mean = sf.Model(FORMULA, data).design.mean
    group, smooth = mean.groups
    effects = np.concatenate([truth[slot].to_numpy() for slot in smooth.slots])
    levels = np.array([truth["1|g"][level] for level in group.levels])
    expected = mean.X @ [0.5, -1.0] + smooth.values @ effects + levels[group.codes]
    np.testing.assert_allclose(data["y"], expected, atol=1e-7)


def test_a_truth_without_the_sd_is_told_which_is_missing(design):
    with pytest.raises(sf.DataError, match=r"truth lacks '1\|s\(x\)_sigma'\."):
        sf.simulate(FORMULA, design, {key: value for key, value in TRUTH.items() if "s(x)" not in key})


@pytest.mark.slow
def test_the_exact_engine_is_calibrated(design):
    """Ranks of 150 data sets: none strays so far that a right engine would show it once in 10,000 times."""
    priors = {"Intercept": sf.Prior("Normal", mu=0, sigma=1), "b": sf.Prior("Normal", mu=0, sigma=1)}
    priors |= {"sd": sf.Prior("HalfNormal", sigma=1), "sigma": sf.Prior("HalfNormal", sigma=1)}
    found = sf.calibrate(FORMULA, design, nsim=150, random_seed=1, cores=1, progress=False, priors=priors)
    p = found.table["rank_p"].dropna()
    assert len(p) == 7
    assert p.min() > 1e-4 / len(p)


def test_the_length_scale_of_a_process_is_simulated_and_found_again(design):
    formula, truth = "y ~ gp(x, m = 8)", {"Intercept": 0.5, "1|gp(x)_sigma": 1.5, "ell|gp(x)": 0.3, "sigma": 0.2}
    data, drawn = sf.simulate(formula, design, truth, random_seed=2)
    recovery = sf.recover(sf.lmer(formula, data, random_seed=3, draws=300), drawn)
    rows = recovery.parameters.set_index("term").loc[["curve", "length-scale"]]
    assert rows["truth"].to_list() == [1.5, 0.3]
    assert (rows["lo"] < rows["truth"]).all()
    assert (rows["truth"] < rows["hi"]).all()
    x = design["x"].to_numpy()
    omega = np.arange(1, 9) * np.pi / (2 * 2.5 * np.abs(x - x.mean()).max())
    sds = np.sqrt(np.sqrt(2 * np.pi) * 0.3 * np.exp(-((0.3 * omega) ** 2) / 2) / (2.5 * np.abs(x - x.mean()).max()))
    effects = np.array([drawn[f"{place}|gp(x)"].item() for place in range(1, 9)])
    assert rows["realized"].iloc[0] == pytest.approx(np.sqrt(np.mean((effects / sds) ** 2)), rel=1e-6)
    with pytest.raises(sf.DataError, match=r"truth lacks 'ell\|gp\(x\)'\."):
        sf.simulate(formula, design, {key: value for key, value in truth.items() if not key.startswith("ell")})
    with pytest.raises(sf.DataError, match=r"truth\['ell\|gp\(x\)'\] is 0"):
        sf.simulate(formula, design, {**truth, "ell|gp(x)": 0.0})
