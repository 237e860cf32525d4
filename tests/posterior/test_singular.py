"""How much of a posterior lies near the boundary is counted, and said in words."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from tests.fakes import correlated_fit, crossed_fit


def with_draws(fit, **values):
    """Replace variables of a fit's posterior, whatever their names."""
    for name, draws in values.items():
        fit.idata["posterior"][name] = fit.idata["posterior"][name] * 0 + draws
    return fit


def test_masses_are_counted_against_the_residual_and_the_predictor():
    """Days has a root mean square of sqrt(28.5); of 1,000 draws a fifth lie below a tenth of sigma over that."""
    sigma, rms = 20.0, np.sqrt(28.5)
    small = np.where(np.arange(1000) < 200, 0.09, 0.11).reshape(4, 250) * sigma / rms
    correlation = np.where(np.arange(1000) < 100, -0.96, 0.9).reshape(4, 250, 1)
    fit = with_draws(correlated_fit(), **{"sigma": sigma, "Days|Subject_sigma": small, "cor|Subject": correlation})
    found = sf.near_singular(fit)
    assert found["grp"].eq("Subject").all()
    assert found["var1"].to_list() == ["Intercept", "Days", "Intercept"]
    assert found["var2"].isna().to_list() == [True, True, False]
    assert found["mass"].to_list() == [0.0, 0.2, 0.1]
    assert found["limit"].to_numpy() == pytest.approx([2.0, 2.0 / rms, 0.95])
    assert found["near_singular"].to_list() == [False, True, True]
    assert found["words"].to_list() == [
        "",
        "The SD of 'Days' between levels of 'Subject' may be zero: 20% of the posterior says so.",
        "'Intercept' and 'Days' of 'Subject' may be one effect: 10% of the posterior has a correlation beyond 0.95.",
    ]
    assert found["remedy"].to_list()[2] == (
        "Write || instead of | in the term of 'Subject', or leave one out, and compare the models by loo."
    )
    assert [str(kind) for kind in found.dtypes] == ["str"] * 3 + ["float64"] * 2 + ["bool"] + ["str"] * 2


def test_a_fit_away_from_the_boundary_is_not_singular():
    assert not sf.is_singular(crossed_fit())
    assert sf.is_singular(with_draws(crossed_fit(), **{"1|gene_sigma": 0.01}))


def test_without_group_terms_there_is_nothing_to_say():
    data = pd.DataFrame({"y": np.arange(8.0), "x": [0.0, 1.0] * 4})
    assert sf.near_singular(sf.lmer("y ~ x", data, draws=50, cores=1, random_seed=1)).empty


def test_of_maximum_likelihood_it_is_lme4s():
    """Levels whose means are equal: lme4 calls the fit singular."""
    data = pd.DataFrame({"y": [1.0, 2.0, 3.0] * 4, "g": np.repeat(list("abcd"), 3)})
    fit = sf.lmer("y ~ 1 + (1 | g)", data, method="reml")
    assert sf.is_singular(fit)
    with pytest.raises(sf.EstimateError, match=r"^a fit by REML has no draws"):
        sf.near_singular(fit)
