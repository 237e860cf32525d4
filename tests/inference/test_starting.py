"""Chains of NUTS start around Laplace's mode where there is one, and then find their way."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.inference.nuts import starts_of
from speclet_formula.inference.translation.to_bambi import to_pymc

DRAWS = 4000


def counts(n=240):
    """Counts of animals on hills: a covariate that spans 100 units, and a level for each row."""
    rng = np.random.default_rng(5)
    height = rng.uniform(-50, 50, n)
    place = np.arange(n) % 24
    eta = 0.4 - 0.024 * height + rng.normal(0, 0.6, 24)[place] + rng.normal(0, 0.5, n)
    return pd.DataFrame(
        {"ticks": rng.poisson(np.exp(eta)), "height": height + 400, "row": [f"r{k}" for k in range(n)],
         "place": [f"p{k}" for k in place], "year": rng.choice(["95", "96", "97"], n)}
    )  # fmt: skip


def drawn(start):
    """Many starts of one variable, by the generator that PyTensor's distribution stands for."""
    import pymc as pm

    return pm.draw(start, draws=DRAWS, random_seed=1)


@pytest.mark.slow
def test_starts_lie_around_the_mode():
    """The intercept is that of centred predictors; priors are wide here, and weigh nothing."""
    wide = {name: sf.Prior("Normal", mu=0, sigma=1e4) for name in ("Intercept", "height", "year")}
    model = sf.Model("ticks ~ height + year + (1 | place)", counts(), family="poisson", priors=wide)
    laplace = sf.fit(model, method="laplace")
    starts = {name: drawn(start) for name, start in starts_of(model, to_pymc(model)).items()}
    beta, errors = laplace.estimates.coefficients, np.sqrt(np.diag(laplace.estimates.covariance))
    middle = beta[0] + model.design.mean.X[:, 1:].mean(axis=0) @ beta[1:]
    centred = model.design.mean.X.mean(axis=0)
    width = np.sqrt(centred @ laplace.estimates.covariance @ centred)
    reach = 5 / np.sqrt(DRAWS)  # of standard errors: chance passes it once in 2 million
    assert abs(starts["Intercept"].mean() - middle) < reach * width
    assert starts["Intercept"].std() == pytest.approx(width, rel=0.06)
    assert abs(starts["height"].mean() - beta[1]) < reach * errors[1]
    assert (np.abs(starts["year"].mean(axis=0) - beta[2:]) < reach * errors[2:]).all()
    assert np.median(starts["1|place_sigma"]) == pytest.approx(
        np.sqrt(laplace.estimates.covariances[0][0, 0]), rel=0.03
    )
    effects = starts.get("1|place", starts.get("1|place_offset"))
    assert np.corrcoef(effects.mean(axis=0), laplace.estimates.modes[0][:, 0])[0, 1] > 0.999


def test_a_prior_holds_what_the_data_leave_free():
    """All of one group succeed: the estimate is without bound, the start is where the prior lets it be."""
    data = pd.DataFrame({"y": [0, 1] * 20 + [1] * 20, "x": [0.0] * 40 + [1.0] * 20, "g": list("abcd") * 15})
    model = sf.Model("y ~ x + (1 | g)", data, family="bernoulli", priors={"x": sf.Prior("Normal", mu=0, sigma=2)})
    starts = starts_of(model, to_pymc(model))
    assert np.abs(drawn(starts["x"])).max() < 12


@pytest.mark.parametrize(
    ("formula", "family"),
    [(["y ~ height", "sigma ~ year"], "gaussian"), ("y ~ height + (1 | place)", "gaussian")],
)
def test_models_without_laplace_start_as_ever(formula, family):
    model = sf.Model(formula, counts(60).assign(y=lambda d: d["height"] / 50), family=family)
    assert starts_of(model, to_pymc(model)) == {}


@pytest.mark.slow
def test_no_chain_stays_where_it_started():
    """From starts up to 1 away from each prior's middle, chains had SDs of 30 and step sizes of nothing."""
    data = counts()
    model = sf.Model("ticks ~ height + year + (1 | place) + (1 | row)", data, family="poisson")
    fit = sf.fit(model, method="nuts", draws=300, tune=500, chains=4, random_seed=1, progress=False)
    assert fit.diagnostics.divergences <= 60, "of 1,200"
    sds = fit.idata["posterior"]["1|row_sigma"].mean("draw").to_numpy()
    assert np.ptp(sds) < 0.3
    assert 0.2 < sds.mean() < 0.8
