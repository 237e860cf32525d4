"""The code of a report makes the same fit again, draw by draw; what it cannot hold is said."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.reporting.fit_report import recipe
from tests.fakes import fake_fit, screen_data

QUICK = {"draws": 60, "chains": 2, "random_seed": 11, "progress": False}


def table():
    rng = np.random.default_rng(6)
    return screen_data().assign(w=rng.uniform(0.5, 2, 48), x=rng.normal(size=48))


def run(code, data):
    """Run the code of a recipe, as a reader would."""
    names = {"data": data}
    exec(compile(code.replace("sf.fit(model, ", "sf.fit(model, progress=False, "), "recipe", "exec"), names)
    return names["fit"]


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_the_code_finds_the_same_estimates_without_draws(method):
    fit = sf.lmer("log_fc ~ control + x + (1 | gene)", table(), weights="w", method=method)
    code = recipe(fit)
    assert "priors" not in code
    assert "seed" not in code
    again = run(code, table())
    assert again.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-8)
    pd.testing.assert_frame_equal(sf.fixef(again), sf.fixef(fit))


@pytest.mark.parametrize(
    ("formula", "settings"),
    [
        ("log_fc ~ control + x + (1 | gene) + (1 | cell_line)", {}),
        ("log_fc ~ gene", {"weights": "w"}),
        ("log_fc ~ x + (1 + x | gene)", {"priors": "brms"}),
        (
            "log_fc ~ x + (1 | gene)",
            {
                "priors": {
                    "preset": "notebook",
                    "x": sf.Prior("Normal", mu=0.1, sigma=0.25),
                    "1|gene": sf.Prior("Normal", mu=0, sigma=sf.Prior("Exponential", lam=2)),
                }
            },
        ),
        ("log_fc ~ x + (1 | gene)", {"keep": ()}),
    ],
)
@pytest.mark.mostly_slow("log_fc ~ gene-settings1", "log_fc ~ x + (1 | gene)-settings3")
def test_the_code_makes_the_same_draws(formula, settings):
    data = table()
    fit = sf.lmer(formula, data, **settings, **QUICK)
    plain = data.assign(**{name: data[name].astype(str) for name in ("gene", "control")})  # as read from a file
    again = run(recipe(fit), plain)
    assert again.idata["posterior"].to_dataset().equals(fit.idata["posterior"].to_dataset())


def test_dropped_rows_are_dropped_again():
    data = table()
    data.loc[3, "x"] = np.nan
    fit = sf.lmer("log_fc ~ x + (1 | gene)", data, missing="drop", **QUICK)
    assert "missing='drop'" in recipe(fit)
    assert run(recipe(fit), data).model.n_dropped == 1


def test_what_no_code_holds_is_said():
    model = sf.Model("log_fc ~ twice(x)", table(), weights=np.ones(48), functions={"twice": lambda x: 2 * x})
    code = recipe(fake_fit(model, draws=20), 5)
    assert "# weights= was an array: hand it over to Model\n" in code
    assert "# functions= of your own: twice\n" in code
    assert "random_seed=5" in code
    assert "# its seed is not known: other draws of the same posterior\n" in recipe(fake_fit(model, draws=20))


def test_the_seed_that_a_fit_knows_is_told_and_saved(tmp_path):
    fit = sf.lmer("log_fc ~ x + (1 | gene)", table(), **QUICK)
    sf.save(fit, tmp_path / "fit.sf")
    assert "random_seed=11" in recipe(sf.load(tmp_path / "fit.sf"), 99)


def test_ordered_levels_stay_ordered():
    data = pd.DataFrame(
        {
            "x": np.linspace(-1, 1, 30),
            "o": pd.Categorical(["low", "mid", "high"] * 10, ["low", "mid", "high"], ordered=True),
        }
    )
    code = recipe(fake_fit(sf.Model("o ~ x", data, family="cumulative"), {"threshold": np.array([-1.0, 1.0])}))
    assert "data['o'] = pandas.Categorical(data['o'].astype(str), ['low', 'mid', 'high'], ordered=True)\n" in code
