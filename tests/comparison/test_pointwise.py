"""The integrated estimate is that of fits without the row; Gaussian models get it from any engine; no k stays high."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import speclet_formula as sf
from speclet_formula.comparison import pointwise
from speclet_formula.comparison.loo import count_high_k
from speclet_formula.errors import ComparisonError
from speclet_formula.inference.exact import leave_one_out as integrated
from speclet_formula.inference.exact.fit import sample_exact
from speclet_formula.inference.plans import SamplingPlan
from tests.fakes import fake_fit

FEW = {"draws": 500, "chains": 2, "progress": False}


def screen(n_genes=6, seed=8):
    """Genes in five lines, three guides each: one row for each guide and line."""
    rng = np.random.default_rng(seed)
    rows = [(g, 3 * g + s, c) for g in range(n_genes) for s in range(3) for c in range(5)]
    data = pd.DataFrame(rows, columns=["gene", "sgRNA", "line"]).astype(str)
    data["x"] = rng.normal(size=len(data))
    effects = rng.normal(0, 0.8, n_genes)[data["gene"].astype(int)] + rng.normal(0, 0.3, 5)[data["line"].astype(int)]
    data["log_fc"] = -1 + effects + rng.normal(0, 0.5, len(data))
    return data


SCREEN = screen()
CROSSED = "log_fc ~ x + (1 | gene) + (1 | line)"
SINGLE = "log_fc ~ (1 | gene:line) + (1 | sgRNA:line)"


@pytest.fixture(scope="module")
def crossed():
    return sf.lmer(CROSSED, SCREEN, random_seed=4, **FEW)


@pytest.fixture(scope="module")
def single():
    return sf.lmer(SINGLE, SCREEN, random_seed=4, **FEW)


def refitted_elpd(fit, rows, draws=1000):
    """log p(y_i | y_-i) from a fit without the row, its residual and its new levels' effects added in closed form."""
    model, values = fit.model, []
    settings = {slot.slot: slot.prior for slot in model.slots}  # those of the fit with the row: they look at the data
    for row in rows:
        part = sf.Model(model.formula, model.data.drop(index=row), priors=settings)
        plan = SamplingPlan(draws, 1, 4, 2, 0.9, int(row), False, "nutpie")
        posterior = sample_exact(part, plan)["posterior"]  # without the diagnostics, which take longer
        mean, variance = np.zeros((4, draws)), posterior["sigma"].values ** 2
        for term in model.design.mean.fixed:
            column = model.design.mean.X[row, term.start]
            mean += posterior[term.variable].values * column
        for block, fitted in zip(model.design.mean.groups, part.design.mean.groups, strict=True):
            level = block.levels[block.codes[row]]
            if level in fitted.levels:
                mean += posterior[block.slots[0]].values[:, :, fitted.levels.index(level)]
            else:
                variance = variance + posterior[f"{block.slots[0]}_sigma"].values ** 2
        densities = stats.norm.pdf(model.design.response[row], mean, np.sqrt(variance))
        values.append((np.log(densities.mean()), densities.std() / densities.mean() / np.sqrt(densities.size)))
    return np.array(values).T


@pytest.mark.parametrize("name", ["crossed", "single"])
@pytest.mark.mostly_slow("crossed")
def test_it_is_that_of_fits_without_the_row(name, request):
    """Both sides are averages: 4.5 standard errors of the refit's, twofold for the other and for dependent draws."""
    fit = request.getfixturevalue(name)
    rows = [0, 33, 71]
    expected, error = refitted_elpd(fit, rows)
    found = sf.loo(fit).elpd_i.values[rows]
    assert (error < 0.05).all()
    assert (np.abs(found - expected) < 9 * error + 0.01).all()


def test_its_record_says_what_it_is(crossed):
    estimate = sf.loo(crossed)
    for name in ("elpd_i", "pareto_k", "p_loo_i"):
        assert estimate[name].attrs == {"kind": "integrated", "n_redone": 0}
    assert estimate.n_samples == 1000
    assert estimate.kind == "loo"
    assert not estimate.warning
    # Eleven effects and two coefficients, all but the known ones' share of them.
    assert 6 < estimate.p < 13
    np.testing.assert_array_equal(sf.loo(crossed).elpd_i, estimate.elpd_i)


@pytest.mark.slow
def test_levels_of_one_row_leave_no_high_k(single):
    estimate = sf.loo(single)
    assert count_high_k(estimate) == 0
    comparison = sf.compare({"single": single, "again": single})
    assert "cannot be trusted" not in comparison.sentence
    assert comparison.table["kind"].to_list() == ["integrated"] * 2


def test_a_fit_by_nuts_gets_it_too(crossed):
    assert sf.loo(replace(crossed, method="nuts")).elpd == sf.loo(crossed).elpd


def test_a_saved_fit_gives_the_same(crossed, tmp_path):
    sf.save(crossed, tmp_path / "fit.zip")
    np.testing.assert_allclose(sf.loo(sf.load(tmp_path / "fit.zip")).elpd_i, sf.loo(crossed).elpd_i, rtol=1e-12)


def test_other_families_have_their_own_levels_integrated():
    fit = fake_fit(sf.Model(CROSSED, SCREEN, family="t"), {"sigma": 5.0, "Intercept": -1.0, "nu": 20.0})
    assert sf.loo(fit).elpd_i.attrs == {"kind": "own level", "n_redone": 0, "groups": ["gene"]}
    fit = fake_fit(sf.Model("log_fc ~ x", SCREEN, family="t"), {"sigma": 5.0, "Intercept": -1.0, "nu": 20.0})
    assert sf.loo(fit).elpd_i.attrs == {"kind": "conditional", "n_redone": 0}


def outlying(fit):
    """The same with one row far off, whose loss moves the variances."""
    data = SCREEN.copy()
    data.loc[7, "log_fc"] += 5
    return sf.lmer(fit.model.formula, data, random_seed=4, **FEW)


@pytest.mark.slow
def test_rows_with_a_high_k_are_redone(crossed):
    """An outlier's k is high; its new draws are those of a fit without it, within 9 standard errors as above."""
    fit = outlying(crossed)
    estimate = sf.loo(fit)
    assert estimate.elpd_i.attrs["n_redone"] >= 1
    assert count_high_k(estimate) == 0
    expected, error = refitted_elpd(fit, [7], draws=4000)
    assert abs(estimate.elpd_i.values[7] - expected[0]) < 9 * error[0] + 0.02


@pytest.mark.slow
def test_a_row_that_new_draws_do_not_serve_is_refitted(crossed, monkeypatch):
    fit = outlying(crossed)
    once = sf.loo(fit)
    monkeypatch.setattr(pointwise, "_redrawn", lambda _, rows, __: (np.full(len(rows), np.nan), np.inf))
    refitted = sf.loo(fit)
    assert count_high_k(refitted) == 0
    np.testing.assert_allclose(refitted.elpd_i.values[7], once.elpd_i.values[7], atol=0.5)
    monkeypatch.setattr(pointwise, "MOST_REFITS", 0)
    with pytest.raises(ComparisonError, match="leave-one-out is not a number"):
        sf.loo(fit)


def test_blocks_change_nothing(crossed, monkeypatch):
    whole = sf.loo(crossed)
    monkeypatch.setattr(integrated, "BLOCK_BYTES", 31 * 8 * 1000)
    monkeypatch.setattr(pointwise, "BLOCK_BYTES", 7 * 8 * 1000)
    parts = sf.loo(crossed)
    np.testing.assert_allclose(parts.elpd_i, whole.elpd_i, rtol=1e-12)
    np.testing.assert_allclose(parts.pareto_k, whole.pareto_k, rtol=1e-9)


def test_several_blocks_show_how_many_are_left(crossed, monkeypatch):
    seen = []

    def counted(items, what, total, *, shown):
        seen.append((what, total, shown))
        yield from items

    monkeypatch.setattr(pointwise, "with_progress", counted)
    sf.loo(crossed)
    monkeypatch.setattr(integrated, "BLOCK_BYTES", 31 * 8 * 1000)
    sf.loo(crossed)
    sf.loo(crossed, progress=False)
    assert seen == [("blocks of rows", total, shown) for total, shown in ((1, False), (3, True), (3, False))]


@pytest.mark.slow
def test_peak_memory_is_a_few_blocks(monkeypatch):
    """10^4 rows by 1,000 draws are 80 MB; nine small blocks and a large one are 20 MB."""
    n = 10_000
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=n), "g": rng.integers(0, 50, n).astype(str)})
    fit = fake_fit(sf.Model("y ~ 1 + (1 | g)", data), {"sigma": 1.0, "1|g_sigma": 0.1}, draws=250)
    monkeypatch.setattr(pointwise, "MOST_REFITS", 0)
    monkeypatch.setattr(integrated, "BLOCK_BYTES", 8 * 2**20)
    monkeypatch.setattr(pointwise, "BLOCK_BYTES", 2**20)
    monkeypatch.setattr(pointwise, "_redrawn", lambda _, rows, __: (np.zeros(len(rows)), np.zeros(len(rows))))
    sf.loo(fit)  # what is imported on first use is not counted
    tracemalloc.start()
    try:
        sf.loo(fit)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


def test_many_coefficients_take_fewer_draws(crossed, monkeypatch):
    monkeypatch.setattr(pointwise, "COSTLY", 5)
    assert sf.loo(crossed).n_samples == 250


def test_a_fit_without_draws_is_refused():
    point = sf.lmer(CROSSED, SCREEN, method="ml")
    with pytest.raises(sf.EstimateError, match=r"^a fit by maximum likelihood has no draws\.\n"):
        sf.loo(point)


def test_draws_that_never_move_have_high_k_everywhere(crossed, monkeypatch):
    """Too many rows to refit each of them: it is the draws that are bad."""
    monkeypatch.setattr(pointwise, "MOST_REFITS", len(SCREEN) - 1)
    posterior = crossed.idata["posterior"].to_dataset()
    still = posterior.isel(draw=[0] * 100).assign_coords(draw=np.arange(100))
    estimate = sf.loo(replace(crossed, idata=xr.DataTree.from_dict({"posterior": still})))
    assert estimate.elpd_i.attrs["n_redone"] == len(SCREEN)
    assert count_high_k(estimate) == len(SCREEN)
    assert estimate.warning


@pytest.mark.slow
def test_the_notebooks_models_are_left_out_as_by_brute_force():
    """On 25 rows the sums differ by less than 0.25; brute force and estimate rank the two models alike."""
    data, _ = sf.datasets.m7()
    rows = np.sort(np.random.default_rng(9).choice(len(data), 25, replace=False))
    found, expected = {}, {}
    for name in ("m7", "m7b"):
        specification = sf.datasets.m7_models()[name]
        fit = sf.lmer(specification.formula, data, priors=specification.priors, random_seed=1)
        estimate = sf.loo(fit)
        assert float(estimate.pareto_k.max()) < 0.7
        found[name] = estimate.elpd_i.values[rows].sum()
        expected[name] = refitted_elpd(fit, rows)[0].sum()
    assert all(abs(found[name] - expected[name]) < 0.25 for name in found)
    assert (found["m7"] > found["m7b"]) == (expected["m7"] > expected["m7b"])
