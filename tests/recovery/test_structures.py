"""Effects with a covariance structure are drawn as it says, and known ones are found again."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.posterior.prior_draws import truth_from_priors

TABLE = pd.DataFrame({"y": 0.0, "g": np.repeat(np.arange(4000), 3).astype(str), "f": np.tile(["u", "v", "w"], 4000)})
COLUMNS = ("f[u]", "f[v]", "f[w]")
TERMS = {"cs": "cs(0 + f | g)", "ar1": "ar1(0 + f | g)", "homdiag": "diag(0 + f | g, hom = TRUE)"}


def truth_of(rho=None, sds=(1.0, 1.0, 1.0), correlation="cor|g"):
    stated = {f"{column}|g_sigma": sd for column, sd in zip(COLUMNS, sds, strict=True)}
    return {"Intercept": 0.0, "sigma": 0.5, **stated} | ({} if rho is None else {correlation: rho})


@pytest.mark.parametrize(("structure", "rho", "sds", "lags"), [
    ("cs", -0.3, (0.5, 1.0, 2.0), (-0.3, -0.3)),
    ("ar1", -0.6, (1.5, 1.5, 1.5), (-0.6, 0.36)),
    ("homdiag", None, (1.5, 1.5, 1.5), (0.0, 0.0)),
])  # fmt: skip
def test_drawn_effects_have_the_structure(structure, rho, sds, lags):
    """Of 4,000 levels a correlation errs by at most 0.016, an SD by 1.1 %: five of each are allowed."""
    _, truth = sf.simulate(f"y ~ {TERMS[structure]}", TABLE, truth_of(rho, sds), random_seed=1)
    effects = np.column_stack([truth[f"{column}|g"] for column in COLUMNS])
    np.testing.assert_allclose(effects.std(axis=0), sds, rtol=0.06)
    found = np.corrcoef(effects.T)
    np.testing.assert_allclose([found[0, 1], found[1, 2], found[0, 2]], [lags[0], lags[0], lags[1]], atol=0.08)


def test_the_pairs_that_a_structure_makes_may_be_given_instead():
    one = sf.simulate(f"y ~ {TERMS['ar1']}", TABLE, truth_of(0.5), random_seed=1)[0]
    for pairs in ([0.5, 0.25, 0.5], [[1, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 1]]):
        pd.testing.assert_frame_equal(sf.simulate(f"y ~ {TERMS['ar1']}", TABLE, truth_of(pairs), random_seed=1)[0], one)


@pytest.mark.parametrize(("structure", "truth", "text"), [
    ("ar1", truth_of([0.5, 0.4, 0.5]), "truth['cor|g'] is [0.5, 0.4, 0.5], which ar1() cannot be.\n"
     "The correlations of ar1() are made of one number.\nGive that number."),
    ("cs", truth_of(-0.5), "truth['cor|g'] is -0.5.\n"
     "The correlation of cs() over 3 columns lies between -0.5 and 1.\nMove it towards 0."),
    ("homdiag", truth_of(sds=(1.0, 2.0, 1.0)), "truth gives 'f[u]|g_sigma': 1.0, 'f[v]|g_sigma': 2.0, "
     "'f[w]|g_sigma': 1.0.\nThe term of 'g' has one SD for all its columns, hom = TRUE.\n"
     "Give each the same number, or write hom = FALSE."),
])  # fmt: skip
def test_what_a_structure_cannot_be_is_refused(structure, truth, text):
    with pytest.raises(sf.DataError) as caught:
        sf.simulate(f"y ~ {TERMS[structure]}", TABLE, truth, random_seed=1)
    assert str(caught.value) == text


@pytest.mark.parametrize(("structure", "rho"), [("ar1", 0.7), ("cs", 0.3)])
def test_known_effects_are_found_again(structure, rho):
    """One row for each SD and correlation that there is; estimates within five posterior SDs of the truth."""
    rows = pd.concat([TABLE.head(120)] * 2, ignore_index=True)
    data, truth = sf.simulate(f"y ~ {TERMS[structure]}", rows, truth_of(rho), random_seed=4)
    fit = sf.lmer(f"y ~ {TERMS[structure]}", data, draws=300, random_seed=1, progress=False)
    parameters = sf.recover(fit, truth).parameters
    sds = ["f[u]"] if structure == "ar1" else list(COLUMNS)
    assert parameters["term"].tolist() == ["Intercept", *sds, "f[u], f[v]", "sigma"]
    assert parameters["truth"].tolist() == [0.0, *(1.0 for _ in sds), rho, 0.5]
    assert (parameters["error"].abs() < 5 * parameters["sd"]).all()
    assert parameters["lme4"].notna().all()


def test_prior_draws_have_the_structure():
    """Uniform between -1/2 and 1: the largest distance from that, of 500 draws, is above 0.1 once in 10^4."""
    model = sf.Model(f"y ~ {TERMS['cs']}", TABLE.head(60).assign(y=np.arange(60.0)))
    truths = [truth_from_priors(model, np.random.default_rng(seed)) for seed in range(500)]
    matrices = np.array([truth["cor|g"] for truth in truths])
    np.testing.assert_allclose(matrices[:, 0, 1], matrices[:, 1, 2])
    np.testing.assert_allclose(matrices[:, 0, 1], matrices[:, 0, 2])
    shares = (np.sort(matrices[:, 0, 1]) + 0.5) / 1.5
    assert np.abs(shares - (np.arange(500) + 0.5) / 500).max() < 0.1
    hom = sf.Model(f"y ~ {TERMS['ar1']}", TABLE.head(60).assign(y=np.arange(60.0)))
    truth = truth_from_priors(hom, np.random.default_rng(1))
    assert len({truth[f"{column}|g_sigma"] for column in COLUMNS}) == 1
