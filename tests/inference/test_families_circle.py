"""Simulate, fit by NUTS, and find the parameters again: the whole way for families that differ in kind."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.families import FAMILIES
from speclet_formula.posterior.convergence import mixing

LAYOUT = pd.DataFrame(
    {
        "x": np.tile(np.linspace(1.0, 3.0, 30), 10),
        "g": np.repeat([f"g{i}" for i in range(10)], 30),
    }
)
GROUP = {"1|g_sigma": 0.4}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gamma": ({"Intercept": 0.5, "x": 0.6, "alpha": 3.0}, {"link": "log"}),
    "beta": ({"Intercept": -1.0, "x": 0.5, "kappa": 8.0}, {}),
    "laplace": ({"Intercept": 0.5, "x": 0.6, "b": 0.7}, {}),
    "exgaussian": ({"Intercept": 0.5, "x": 0.6, "sigma": 0.4, "nu": 0.9}, {}),
    "cumulative": ({"x": 0.9, "threshold": [0.5, 1.8, 3.0]}, {}),
    "zero_inflated_poisson": ({"Intercept": 0.5, "x": 0.5, "psi": 0.7}, {}),
    "hurdle_negativebinomial": ({"Intercept": 0.5, "x": 0.5, "alpha": 2.0, "psi": 0.6}, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_what_was_simulated_is_found_again(name: str, tmp_path: Any) -> None:
    """Each parameter within 4.5 posterior SDs of the truth (7e-6 for a calibrated posterior), after convergence."""
    stated, settings = CASES[name]
    data, truth = sf.simulate("y ~ x + (1 | g)", LAYOUT, stated | GROUP, family=name, random_seed=5, **settings)
    fit = sf.glmer(
        "y ~ x + (1 | g)", data, family=name, draws=300, tune=400, chains=2, cores=1, random_seed=3, progress=False,
        **settings,
    )  # fmt: skip
    posterior = fit.idata["posterior"]
    for key, true in stated.items():
        draws = posterior[key].to_numpy().reshape(2, 300, -1)
        assert (mixing(np.moveaxis(draws, -1, 0)).r_hat < 1.05).all()
        spread = draws.reshape(600, -1)
        assert (np.abs(spread.mean(axis=0) - true) < 4.5 * spread.std(axis=0)).all()
    recovered = sf.recover(fit, truth).parameters
    assert sorted(recovered["truth"]) == sorted(np.hstack([*stated.values(), *GROUP.values()]))
    assert np.isfinite(sf.loo(fit).elpd)
    expected = sf.fitted(fit)
    if FAMILIES[name].support == "ordinal":
        assert expected.groupby("row")["estimate"].sum().to_numpy() == pytest.approx(np.ones(300))
        assert sf.fixef(fit)["term"].tolist() == ["1|2", "2|3", "3|4", "x"]
    else:
        # The mean of 300 fitted values and that of 300 responses differ by the response's noise and the draws'.
        error = np.hypot(data["y"].std() / np.sqrt(300), expected["std_error"].mean())
        assert abs(expected["estimate"].mean() - data["y"].mean()) < 4.5 * error
    assert [name for name in FAMILIES[name].parameters if name not in ("sigma", "threshold")] == sf.family_parameters(
        fit
    )["term"].tolist()
    sf.save(fit, tmp_path / "fit.zip")
    again = sf.load(tmp_path / "fit.zip")
    assert again.model.design.levels == fit.model.design.levels
    assert repr(again) == repr(fit)
