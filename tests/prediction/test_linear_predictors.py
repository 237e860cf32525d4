"""Linear predictors, fitted values and log densities equal plain sums and scipy's densities; memory stays bounded."""

import tracemalloc
from dataclasses import replace
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from speclet_formula.design import replay_design
from speclet_formula.errors import DataError, EstimateError
from speclet_formula.model import Model
from speclet_formula.posterior.draws import draws_in, draws_of
from speclet_formula.prediction import (
    fitted,
    linear_predictor,
    linear_predictors,
    log_likelihood,
    log_likelihood_blocks,
)
from tests.fakes import correlated_fit, crossed_fit, fake_fit

densities = import_module("speclet_formula.prediction.log_likelihood")  # the package has the verb of that name


def screen(n=24):
    rng = np.random.default_rng(8)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "f": np.tile(["a", "b", "c"], n // 3),
            "g": np.repeat(["g1", "g2", "g3", "g4"], n // 4),
            "line": np.tile(["l1", "l2"], n // 2),
            "exposure": rng.uniform(1, 3, n),
            "w": rng.uniform(0.5, 2, n),
            "count": rng.poisson(3, n),
            "hits": rng.integers(0, 4, n),
            "misses": rng.integers(1, 4, n),
            "dead": rng.integers(0, 2, n),
        }
    )


def by_hand(fit, formula_columns, effects):
    """The linear predictor as a sum of labelled draws, one row of the table at a time."""
    posterior, data = fit.idata["posterior"], fit.model.data
    total = np.zeros((posterior.sizes["chain"], posterior.sizes["draw"], len(data)))
    for i, row in data.iterrows():
        for name, value, select in formula_columns(row):
            total[:, :, i] += posterior[name].sel(select).values * value
        for name, value, dim, label in effects(row):
            total[:, :, i] += posterior[name].sel({dim: label}).values * value
    return total.reshape(-1, len(data))


def rich_fit(**settings):
    model = Model("y ~ f + x + offset(exposure) + (1 + x | g) + (1 | g:line)", screen(), weights="w")
    return fake_fit(model, **settings)


def rich_predictor(fit):
    def fixed(row):
        yield "Intercept", 1.0, {}
        yield "x", row["x"], {}
        if row["f"] != "a":
            yield "f", 1.0, {"f_dim": row["f"]}

    def group(row):
        yield "1|g", 1.0, "g__factor_dim", row["g"]
        yield "x|g", row["x"], "g__factor_dim", row["g"]
        yield "1|g:line", 1.0, "g:line__factor_dim", f"{row['g']}:{row['line']}"

    return by_hand(fit, fixed, group) + fit.model.data["exposure"].to_numpy()


def test_the_linear_predictor_is_the_sum_of_its_terms():
    fit = rich_fit(draws=5)
    value = linear_predictor(fit.model, draws_of(fit))
    np.testing.assert_allclose(value, rich_predictor(fit), rtol=1e-12)


def test_rows_and_draws_are_cut_out_of_it():
    fit = rich_fit(draws=5)
    draws = draws_of(fit)
    whole = linear_predictor(fit.model, draws)
    assert whole.shape == (20, 24)
    np.testing.assert_array_equal(linear_predictor(fit.model, draws, slice(3, 9)), whole[:, 3:9])
    np.testing.assert_array_equal(linear_predictor(fit.model, draws, np.array([7, 1])), whole[:, [7, 1]])
    np.testing.assert_allclose(linear_predictor(fit.model, draws.take(slice(0, 20, 3))), whole[::3], rtol=1e-12)
    picked = linear_predictor(fit.model, draws.take(np.array([4, 19])), np.array([2]))
    np.testing.assert_allclose(picked, whole[[4, 19]][:, [2]], rtol=1e-12)


def test_the_order_of_dimensions_in_the_posterior_does_not_matter():
    fit = rich_fit(draws=5)
    turned = fit.idata["posterior"].to_dataset().transpose("g__factor_dim", "draw", ..., "chain")
    np.testing.assert_allclose(
        linear_predictor(fit.model, draws_in(turned)), linear_predictor(fit.model, draws_of(fit)), rtol=1e-12
    )


def test_a_model_without_fixed_terms_has_group_effects_only():
    fit = fake_fit(Model("y ~ 0 + (1 | g)", screen()), draws=5)
    effects = fit.idata["posterior"]["1|g"].values.reshape(20, 4)
    np.testing.assert_array_equal(linear_predictor(fit.model, draws_of(fit)), np.repeat(effects, 6, axis=1))


def test_other_rows_follow_a_replayed_design():
    fit = rich_fit(draws=5)
    data = screen().iloc[[20, 3]]
    design = replay_design(fit.model.design, data)
    value = linear_predictor(fit.model, draws_of(fit), design=design)
    np.testing.assert_allclose(value, rich_predictor(fit)[:, [20, 3]], rtol=1e-12)


ERRORS = {
    "new level": (
        lambda fit: replayed(fit, screen().head(2).assign(g=["g9", "g1"])),
        "'g' has levels that were not fitted: 'g9'.\nGroup effects are known for the fitted levels.\n"
        "Leave those rows out, fit the model with them, or write predict(..., allow_new_levels=True).",
    ),
    "new combination": (
        lambda fit: replayed(fit, screen().head(8).assign(line=[f"n{i}" for i in range(8)])),
        "'g:line' has levels that were not fitted: 'g1:n0', 'g1:n1', 'g1:n2', 'g1:n3', 'g1:n4', ....\n"
        "Group effects are known for the fitted levels.\n"
        "Leave those rows out, fit the model with them, or write predict(..., allow_new_levels=True).",
    ),
    "no variable": (
        lambda fit: linear_predictor(fit.model, draws_in(fit.idata["posterior"].to_dataset().drop_vars("x"))),
        "the posterior holds no variable 'x'.\n"
        "It holds: Intercept, f, 1|g, 1|g_sigma, x|g, x|g_sigma, cor|g, 1|g:line, 1|g:line_sigma, sigma.\n"
        "Fit the model again, or hand over the fit that these draws belong to.",
    ),
    "another posterior": (
        lambda fit: linear_predictor(fit.model, draws_in(fit.idata["posterior"].isel({"g__factor_dim": [0, 1, 2]}))),
        "the posterior's '1|g' has 3 elements for 4 of the model.\nDraws and model have the same levels and columns.\n"
        "Fit the model again, or hand over the model that these draws belong to.",
    ),
    "thin": (
        lambda fit: log_likelihood(fit, thin=0),
        "thin=0 is out of range.\nthin is a whole number of at least 1.\nLeave it out.",
    ),
}


def replayed(fit, data):
    return linear_predictor(fit.model, draws_of(fit), design=replay_design(fit.model.design, data))


@pytest.mark.parametrize(("act", "text"), ERRORS.values(), ids=ERRORS)
def test_an_error_says_what_to_do(act, text):
    with pytest.raises((DataError, EstimateError)) as caught:
        act(rich_fit(draws=5))
    assert str(caught.value) == text


def test_a_new_level_of_a_computed_factor_is_named():
    fit = fake_fit(Model("y ~ (1 | half(count))", screen(), functions={"half": lambda x: x // 2}), draws=5)
    with pytest.raises(DataError, match=r"^'half\(count\)' has levels that were not fitted: '49'"):
        replayed(fit, pd.DataFrame({"count": [3, 99]}))


def test_a_log_likelihood_that_is_too_large_is_refused(monkeypatch):
    fit = rich_fit(draws=5)
    monkeypatch.setattr(densities, "LARGEST_LOG_LIKELIHOOD", 24 * 20 * 8 - 1)
    with pytest.raises(DataError) as caught:
        log_likelihood(fit)
    assert str(caught.value) == (
        "the log-likelihood of 24 rows and 20 draws takes 0.0 GiB.\n"
        "It may take 3.57535e-06 GiB, since ArviZ copies it several times.\n"
        "loo(fit) works by blocks of rows and needs none of it; or keep fewer draws with thin=2."
    )
    assert log_likelihood(fit, thin=2).shape == (4, 3, 24)


def test_the_stated_case_of_a_large_screen_is_refused():
    with pytest.raises(
        DataError, match=r"^the log-likelihood of 100,000 rows and 4,000 draws takes 3\.0 GiB\."
    ) as caught:
        densities.check_size(100_000, 4, 1000, 1, "the log-likelihood")
    assert caught.value.remedy.endswith("thin=2.")
    densities.check_size(100_000, 4, 1000, 2, "the log-likelihood")


def column_of(fit, name):
    return fit.idata["posterior"][name].values.reshape(-1, 1)


DENSITIES = {
    "gaussian": (
        {"formula": "y ~ x + (1 | g)"},
        lambda fit, data, eta: stats.norm.logpdf(data["y"], eta, column_of(fit, "sigma")),
    ),
    "weighted": (
        {"formula": "y ~ x + (1 | g)", "weights": "w"},
        lambda fit, data, eta: stats.norm.logpdf(data["y"], eta, column_of(fit, "sigma") / data["w"].to_numpy() ** 0.5),
    ),
    "t": (
        {"formula": "y ~ x + (1 | g)", "family": "t"},
        lambda fit, data, eta: stats.t.logpdf(data["y"], column_of(fit, "nu"), eta, column_of(fit, "sigma")),
    ),
    "bernoulli": (
        {"formula": "dead ~ x + (1 | g)", "family": "bernoulli"},
        lambda fit, data, eta: stats.bernoulli.logpmf(data["dead"], 1 / (1 + np.exp(-eta))),
    ),
    "binomial": (
        {"formula": "cbind(hits, misses) ~ x + (1 | g)", "family": "binomial"},
        lambda fit, data, eta: stats.binom.logpmf(data["hits"], data["hits"] + data["misses"], 1 / (1 + np.exp(-eta))),
    ),
    "poisson": (
        {"formula": "count ~ x + offset(log(exposure)) + (1 | g)", "family": "poisson"},
        lambda fit, data, eta: stats.poisson.logpmf(data["count"], np.exp(eta)),
    ),
    "negativebinomial": (
        {"formula": "count ~ x + (1 | g)", "family": "negativebinomial"},
        lambda fit, data, eta: stats.nbinom.logpmf(
            data["count"], column_of(fit, "alpha"), column_of(fit, "alpha") / (column_of(fit, "alpha") + np.exp(eta))
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "density"), DENSITIES.values(), ids=DENSITIES)
def test_log_densities_are_those_of_scipy(settings, density):
    data = screen()
    fit = fake_fit(Model(data=data, **settings), {"1|g": 0.2, "Intercept": 0.3}, draws=5)
    value = log_likelihood(fit)
    eta = linear_predictor(fit.model, draws_of(fit))
    np.testing.assert_allclose(value.values.reshape(20, 24), density(fit, data, eta), rtol=1e-9)


def test_the_log_likelihood_is_labelled_as_arviz_wants_it():
    data = screen()
    data.loc[4, "x"] = np.nan
    fit = fake_fit(Model("exposure ~ x + (1 | g)", data, missing="drop"), draws=6)
    fit = replace(fit, model=Model("log(exposure / w) ~ x + (1 | g)", data, missing="drop"))
    value = log_likelihood(fit, thin=4)
    assert value.dims == ("chain", "draw", "__obs__")
    assert value.shape == (4, 2, 23)
    assert value["draw"].values.tolist() == [0, 4]
    assert value["__obs__"].values.tolist() == [0, 1, 2, 3, *range(5, 24)]
    assert value.name == "log(exposure ÷ w)"
    np.testing.assert_array_equal(value.values, log_likelihood(fit).values[:, ::4])
    tree = fit.idata.assign({"log_likelihood": xr.DataTree(value.to_dataset())})
    assert "log_likelihood" in tree.children


def test_blocks_of_rows_change_nothing(monkeypatch):
    fit = crossed_fit(draws=10)
    whole, means = log_likelihood(fit), fitted(fit)
    monkeypatch.setattr(linear_predictors, "BLOCK_BYTES", 40 * 8 * 7)  # seven rows of 40 draws
    blocks = list(log_likelihood_blocks(fit.model, draws_of(fit)))
    assert [rows.stop - rows.start for rows, _ in blocks] == [7] * 6 + [6]
    np.testing.assert_allclose(np.hstack([block for _, block in blocks]), whole.values.reshape(40, 48), rtol=1e-12)
    np.testing.assert_allclose(log_likelihood(fit), whole, rtol=1e-12)
    pd.testing.assert_frame_equal(fitted(fit), means)


def test_fitted_summarises_the_mean_of_each_row():
    fit = correlated_fit()
    frame = fitted(fit, ci_prob=0.8, ci_kind="eti")
    eta = linear_predictor(fit.model, draws_of(fit))
    assert frame.columns.to_list() == ["estimate", "std_error", "conf_low", "conf_high"]
    np.testing.assert_allclose(frame["estimate"], eta.mean(axis=0))
    np.testing.assert_allclose(frame["std_error"], eta.std(axis=0, ddof=1))
    np.testing.assert_allclose(frame[["conf_low", "conf_high"]].T, np.quantile(eta, [0.1, 0.9], axis=0))
    assert frame.attrs["interval"] == "80% equal-tailed interval"
    assert frame.index.equals(pd.RangeIndex(180, name="row"))


def test_fitted_is_on_the_scale_of_the_response_and_keeps_the_rows_of_the_table():
    data = screen()
    data.loc[4, "x"] = np.nan
    fit = fake_fit(Model("dead ~ x + (1 | g)", data, family="bernoulli", missing="drop"), draws=50)
    frame = fitted(fit)
    assert frame.index.to_list() == [0, 1, 2, 3, *range(5, 24)]
    eta = linear_predictor(fit.model, draws_of(fit))
    np.testing.assert_allclose(frame["estimate"], (1 / (1 + np.exp(-eta))).mean(axis=0))
    assert frame["conf_low"].between(0, frame["conf_high"]).all()


def test_nothing_is_changed_in_place():
    fit = rich_fit(draws=5)
    before = fit.idata["posterior"].to_dataset().copy(deep=True)
    offset = fit.model.design.mean.offset.copy()
    fitted(fit)
    log_likelihood(fit)
    xr.testing.assert_identical(before, fit.idata["posterior"].to_dataset())
    np.testing.assert_array_equal(offset, fit.model.design.mean.offset)


@pytest.mark.slow
def test_peak_memory_is_a_few_blocks(monkeypatch):
    """A tenth of 10^5 rows by 1,000 draws, in blocks of a tenth: 80 MB at once, 3.4 MB a block."""
    n = 10_000
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=n), "g": rng.integers(0, 500, n).astype(str)})
    fit = fake_fit(Model("y ~ 1 + (1 | g)", data), draws=250)
    block_bytes = linear_predictors.BLOCK_BYTES // 10
    monkeypatch.setattr(linear_predictors, "BLOCK_BYTES", block_bytes)
    fitted(fit)  # imports what it needs
    tracemalloc.start()
    try:
        fitted(fit)
        assert tracemalloc.get_traced_memory()[1] < 8 * block_bytes
        tracemalloc.reset_peak()
        for rows, block in log_likelihood_blocks(fit.model, draws_of(fit)):
            assert block.shape == (1000, rows.stop - rows.start)
        assert tracemalloc.get_traced_memory()[1] < 8 * block_bytes
    finally:
        tracemalloc.stop()
