"""Recovery tables agree with what can be known without them: exact posteriors, hand-made draws, sums over rows."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import speclet_formula as sf
from speclet_formula.common.table import column_text, wrapped
from speclet_formula.errors import DataError
from speclet_formula.inference.fit import lmer
from speclet_formula.model import Model
from speclet_formula.posterior import Fit
from speclet_formula.posterior.diagnostics import diagnose
from speclet_formula.posterior.variances import varcorr
from speclet_formula.priors import Prior
from speclet_formula.recovery import implied_truth, recover
from speclet_formula.recovery.parameters import reml_estimates
from speclet_formula.recovery.simulate import simulate
from speclet_formula.screens.datasets import m7, screen_design

CHAINS, DRAWS = 4, 500


def fit_of(model, variables, seed=3, verdict=None):
    """A fit with these posteriors: {variable: (mean, sd)} in the shapes that the model's design gives, draws normal."""
    rng = np.random.default_rng(seed)
    dims = {slot: block.dim for block in model.design.mean.groups for slot in block.slots}
    dims |= {term.variable: term.dim for term in model.design.mean.fixed}
    coords = {block.dim: list(block.levels) for block in model.design.mean.groups}
    coords |= {term.dim: list(term.coords) for term in model.design.mean.fixed if term.dim}
    dataset = {}
    for name, (mean, sd) in variables.items():
        dim = dims.get(name) or (f"{name.removeprefix('cor|')}__pair_dim" if name.startswith("cor|") else None)
        shape = (CHAINS, DRAWS, *np.shape(np.atleast_1d(mean))) if dim else (CHAINS, DRAWS)
        dataset[name] = (("chain", "draw", *([dim] if dim else [])), mean + sd * rng.standard_normal(shape))
    used = {dim for dimensions, _ in dataset.values() for dim in dimensions}
    idata = xr.DataTree.from_dict(
        {"posterior": xr.Dataset(dataset, {dim: labels for dim, labels in coords.items() if dim in used})}
    )
    found = diagnose(idata)
    found = found if verdict is None else dataclasses.replace(found, verdict=verdict)
    return Fit(model=model, idata=idata, method="nuts", diagnostics=found, seconds=1.0)


def fit_at_truth(model, truth, sd=0.05):
    """A fit whose draws lie about the implied truth."""
    implied = implied_truth(model, truth)
    variables = {slot: (effects.to_numpy(), sd) for slot, effects in implied.effects.items()}
    for term in model.design.mean.fixed:
        values = np.array([implied.scalars[label] for label in term.columns])
        variables[term.variable] = (values if term.dim else values[0], sd)
    variables |= {key: (value, sd * value) for key, value in implied.scalars.items() if key.endswith("sigma")}
    for slot in model.slots:
        if isinstance(slot.prior.parameters.get("mu"), Prior):
            variables[f"{slot.slot}_mu"] = (implied.effects[slot.slot].mean(), sd)
    return fit_of(model, variables)


# --- the exact posterior of a one-way model ---------------------------------------------------------------------------

LEVELS, PER_LEVEL, TAU, SIGMA = 400, 5, 0.5, 1.0
SHRINKAGE = TAU**2 / (TAU**2 + SIGMA**2 / PER_LEVEL)


@pytest.fixture(scope="module")
def one_way():
    """Recovery from the conjugate posterior: effect ~ Normal(shrinkage * mean residual, tau^2 (1 - shrinkage))."""
    table = pd.DataFrame({"g": np.repeat([f"g{number}" for number in range(LEVELS)], PER_LEVEL)})
    params = {"Intercept": 0.0, "1|g_sigma": TAU, "sigma": SIGMA}
    data, truth = simulate("y ~ (1|g)", table, params, random_seed=8)
    model = Model("y ~ (1|g)", data)
    means = data.groupby("g")["y"].mean().reindex(list(model.design.mean.groups[0].levels)).to_numpy()
    posterior = (SHRINKAGE * means, TAU * np.sqrt(1 - SHRINKAGE))
    posteriors = {"Intercept": (0.0, 0.02), "1|g": posterior, "1|g_sigma": (TAU, 0.05), "sigma": (SIGMA, 0.02)}
    recovery = recover(fit_of(model, posteriors), truth)
    return recovery, posterior, truth["1|g"].reindex(list(model.design.mean.groups[0].levels)).to_numpy()


@pytest.mark.slow
def test_coverage_of_an_exact_posterior_is_nominal(one_way):
    row = one_way[0].groups.iloc[0]
    # 4.5 standard errors of a share: false alarm 7e-6.
    assert abs(row["coverage"] - 0.9) < 4.5 * np.sqrt(0.09 / LEVELS)
    assert row["coverage_lo"] <= 0.9 <= row["coverage_hi"]
    assert row["coverage_hi"] - row["coverage_lo"] == pytest.approx(2 * 1.96 * np.sqrt(0.09 / LEVELS), abs=2 / LEVELS)


def test_reliability_and_errors_equal_their_closed_forms(one_way):
    recovery, (mean, sd), truth = one_way
    row = recovery.groups.iloc[0]
    centred, true = mean - mean.mean(), truth - truth.mean()
    variance = sd**2 * (1 - 1 / LEVELS)
    # 2,000 draws per level leave a relative error of about 0.1 %; 2 % lies beyond 10 standard errors.
    assert row["reliability"] == pytest.approx(np.mean(centred**2) / (np.mean(centred**2) + variance), rel=0.02)
    assert row["rmse"] == pytest.approx(np.sqrt(np.mean((centred - true) ** 2)), rel=0.02)
    assert row["corr"] == pytest.approx(np.corrcoef(centred, true)[0, 1], abs=0.01)
    assert row["rmse_null"] == pytest.approx(true.std(), rel=1e-12)
    assert row["rmse"] < row["rmse_null"]
    assert row["rows_per_level"] == PER_LEVEL


def test_slope_of_an_exact_posterior_is_its_shrinkage(one_way):
    row = one_way[0].groups.iloc[0]
    # slope = shrinkage (1 + sum(truth e) / sum(truth^2)) with e ~ Normal(0, sigma^2 / n); 4.5 standard errors.
    bound = 4.5 * SHRINKAGE * np.sqrt(SIGMA**2 / PER_LEVEL / (LEVELS * TAU**2))
    assert abs(row["slope"] - SHRINKAGE) < bound
    # var(mean) is shrinkage * tau^2 times a chi-square over its 399 degrees: relative SE sqrt(2 / 399).
    assert abs(row["reliability"] - SHRINKAGE) < 4.5 * np.sqrt(2 / (LEVELS - 1)) * SHRINKAGE


def test_levels_hold_the_centred_quantiles(one_way):
    recovery, (mean, sd), truth = one_way
    levels = recovery.levels
    width = 2 * 1.6449 * sd * np.sqrt(1 - 1 / LEVELS)
    # A 5 % quantile of 2,000 normal draws has a standard error of 0.047 sd: 4.5 of two, over 400 levels.
    assert np.abs((levels["hi"] - levels["lo"]) - width).max() < 0.35 * sd
    assert np.abs(levels["median"] - (mean - mean.mean())).max() < 0.16 * sd
    np.testing.assert_allclose(levels["truth"], truth - truth.mean(), atol=1e-12)
    assert (levels["covered"] == ((levels["lo"] <= levels["truth"]) & (levels["truth"] <= levels["hi"]))).all()


# --- scalars by hand --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def line():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": list("abcd") * 5, "x": rng.normal(3.0, 1.0, 20), "y": rng.normal(size=20)})
    priors = {
        "Intercept": Prior("Normal", mu=0, sigma=2),
        "x": Prior("Normal", mu=0, sigma=1.5),
        "sigma": Prior("Exponential", lam=1),
    }
    priors["1|g"] = Prior("Normal", mu=0, sigma=Prior("HalfNormal", sigma=2))
    model = Model("y ~ x + (1|g)", data, priors=priors)
    effects = np.array([-1.0, 0.0, 0.5, 0.5])
    posteriors = {
        "Intercept": (1.0, 0.5),
        "x": (2.0, 0.2),
        "1|g": (effects, 0.3),
        "1|g_sigma": (0.7, 0.05),
        "sigma": (1.0, 0.1),
    }
    return model, posteriors


def test_rows_hold_the_numbers_of_their_draws(line):
    model, posteriors = line
    fit = fit_of(model, posteriors)
    table = recover(fit, {"Intercept": 1.5, "x": 2.3, "1|g_sigma": 0.8, "sigma": 1.2}).parameters
    assert table["term"].to_list() == ["Intercept", "x", "Intercept", "sigma"]
    assert table["group"].to_list() == ["", "", "g", ""]
    assert table["class"].to_list() == ["b", "b", "sd", "sigma"]
    x = fit.idata["posterior"]["x"].to_numpy().ravel()
    row = table.iloc[1]
    assert row["median"] == np.median(x)
    assert (row["lo"], row["hi"]) == tuple(np.quantile(x, [0.05, 0.95]))
    assert row["error"] == pytest.approx(np.median(x) - 2.3)
    assert row["z"] == pytest.approx((np.median(x) - 2.3) / x.std(ddof=1))
    assert row["pit"] == np.mean(x < 2.3)
    sd = np.log(fit.idata["posterior"]["1|g_sigma"].to_numpy().ravel())
    assert table["z"].iloc[2] == pytest.approx((np.median(sd) - np.log(0.8)) / sd.std(ddof=1))


def test_contraction_is_against_the_priors_sd(line):
    model, posteriors = line
    table = recover(fit_of(model, posteriors), {"Intercept": 1.5, "x": 2.3, "1|g_sigma": 0.8, "sigma": 1.2}).parameters
    mean = model.data["x"].mean()
    priors = np.array([np.sqrt(2**2 + (mean * 1.5) ** 2), 1.5, 2 * np.sqrt(1 - 2 / np.pi), 1.0])
    np.testing.assert_allclose(table["contraction"], 1 - (table["sd"] / priors) ** 2, rtol=1e-12)


def test_a_flat_prior_contracts_fully():
    data = pd.DataFrame({"y": np.arange(5.0)})
    model = Model("y ~ 1", data, priors={"Intercept": Prior("Flat")})
    table = recover(fit_of(model, {"Intercept": (2.0, 0.5), "sigma": (1.0, 0.1)}), {"Intercept": 2.0}).parameters
    assert table["contraction"].to_list() == [1.0]


@pytest.mark.parametrize(
    ("truth", "sd", "verdict", "expected"),
    [
        (2.0, 0.2, None, "ok"),
        (2.0 + 0.2 * 2.1, 0.2, None, "edge"),
        (2.0 + 0.2 * 4.0, 0.2, None, "miss"),
        (2.0, 1.4, None, "prior-dominated"),
        (2.0, 0.2, "failed", "unreliable"),
        (2.0, 0.2, "doubtful", "ok"),
    ],
)
def test_verdicts(line, truth, sd, verdict, expected):
    model, posteriors = line
    fit = fit_of(model, posteriors | {"x": (2.0, sd)}, verdict=verdict)
    assert recover(fit, {"x": truth}).parameters["verdict"].to_list() == [expected]


def test_a_groups_sd_may_match_what_was_realized_or_what_was_stated(line):
    model, posteriors = line
    drawn = {"a": -1.0, "b": 0.0, "c": 0.5, "d": 0.5}
    realized = np.std(list(drawn.values()), ddof=1)
    for stated, expected in ((1.5, "ok"), (0.7, "ok")):
        row = recover(fit_of(model, posteriors), {"1|g_sigma": stated, "1|g": drawn}).parameters.iloc[0]
        assert (row["truth"], row["realized"]) == (stated, pytest.approx(realized))
        assert row["verdict"] == expected
    row = recover(fit_of(model, posteriors), {"1|g_sigma": 1.5}).parameters.iloc[0]
    assert np.isnan(row["realized"])
    assert row["verdict"] == "miss"


def test_an_sd_that_is_not_stated_is_the_one_of_the_effects(line):
    model, posteriors = line
    drawn = {"a": -1.0, "b": 0.0, "c": 0.5, "d": 0.5}
    row = recover(fit_of(model, posteriors), {"1|g": drawn}).parameters.iloc[0]
    assert row["truth"] == row["realized"] == pytest.approx(np.std(list(drawn.values()), ddof=1))


def test_a_truth_of_zero_has_no_logarithm(line):
    model, posteriors = line
    row = recover(fit_of(model, posteriors), {"1|g_sigma": 0.0}).parameters.iloc[0]
    assert np.isnan(row["z"])
    assert row["pit"] == 0.0


def test_signs_are_judged_among_the_claims(line):
    model, posteriors = line
    effects = np.array([-1.0, 1.0, 0.02, -0.02])
    drawn = {"a": -0.5, "b": -0.5, "c": 0.5, "d": 0.5}
    row = recover(fit_of(model, posteriors | {"1|g": (effects, 0.1)}), {"1|g": drawn}).groups.iloc[0]
    assert (row["sign_claims"], row["type_s"]) == (2, 0.5)
    assert row["type_m"] == pytest.approx(2.0, abs=0.02)


def test_without_claims_there_are_no_sign_errors(line):
    model, posteriors = line
    row = recover(
        fit_of(model, posteriors | {"1|g": (np.zeros(4), 1.0)}), {"1|g": dict.fromkeys("abcd", 0.0)}
    ).groups.iloc[0]
    assert row["sign_claims"] == 0
    assert np.isnan([row["type_s"], row["type_m"], row["corr"], row["slope"]]).all()


def test_levels_are_compared_after_centring(line):
    model, posteriors = line
    effects = np.array([-1.0, 0.0, 0.5, 0.5])
    shifted = recover(
        fit_of(model, posteriors | {"1|g": (effects + 10, 0.1)}), {"1|g": dict(zip("abcd", effects - 7, strict=True))}
    )
    row = shifted.groups.iloc[0]
    assert row["coverage"] == 1.0
    assert abs(row["bias"]) < 0.01
    np.testing.assert_allclose(shifted.levels["truth"], effects - effects.mean(), atol=1e-12)


def test_correlations_have_rows():
    table = pd.DataFrame({"s": np.repeat(np.arange(30), 4), "x": np.tile(np.arange(4.0), 30)})
    params = {"Intercept": 1, "x": 2, "1|s_sigma": 1, "x|s_sigma": 0.5, "cor|s": 0.3, "sigma": 0.2}
    data, truth = simulate("y ~ x + (x|s)", table, params, random_seed=1)
    model = Model("y ~ x + (x|s)", data)
    posteriors = {key: (float(params[key]), 0.02) for key in ("Intercept", "x", "1|s_sigma", "x|s_sigma", "sigma")}
    posteriors |= {slot: (truth[slot].to_numpy(), 0.1) for slot in ("1|s", "x|s")}
    posteriors["cor|s"] = (np.array([0.3]), 0.1)
    recovery = recover(fit_of(model, posteriors), truth)
    row = recovery.parameters.set_index("class").loc["cor"]
    assert (row["term"], row["group"], row["truth"]) == ("Intercept, x", "s", 0.3)
    assert row["realized"] == pytest.approx(np.corrcoef(truth["1|s"], truth["x|s"])[0, 1])
    assert row["contraction"] == pytest.approx(1 - row["sd"] ** 2 * 5)  # LKJ(2) of two columns: variance 1/5

    assert recovery.groups["term"].to_list() == ["Intercept", "x"]
    subject = data["s"].astype(str)
    mean = 1 + subject.map(truth["1|s"]) + (2 + subject.map(truth["x|s"])) * data["x"]
    sigma = recovery.parameters.set_index("class").loc["sigma"]
    assert sigma["realized"] == pytest.approx(np.sqrt(np.mean((data["y"] - mean) ** 2)))
    slope = recovery.parameters.iloc[1]
    assert slope["realized"] == pytest.approx(2 + truth["x|s"].mean())


# --- truth carried over to another model ------------------------------------------------------------------------------

NOTEBOOK = {
    "1|gene": Prior("Normal", mu=Prior("Normal", mu=-1, sigma=1), sigma=Prior("Exponential", lam=1)),
    "1|cell_line": Prior("Normal", mu=Prior("Normal", mu=0, sigma=0.2), sigma=Prior("Exponential", lam=1)),
    "sigma": Prior("Exponential", lam=1),
}
CELLS = Prior("Normal", mu=0, sigma=5)
SEVEN = {
    "m7a": ("log_fc ~ (1|gene:cell_line)", None),
    "m7a_pool": ("log_fc ~ 0 + gene:cell_line", {"gene:cell_line": CELLS}),
    "m7b": ("log_fc ~ (1|gene:cell_line) + (1|sgRNA:cell_line)", None),
    "m7b_pool": ("log_fc ~ 0 + sgRNA:cell_line", {"sgRNA:cell_line": CELLS}),
    "m7c": ("log_fc ~ 0 + (1|gene) + (1|cell_line)", NOTEBOOK),
    "crossed": ("log_fc ~ (1|gene) + (1|cell_line)", None),
    "m7": ("log_fc ~ (1|gene/sgRNA) + (1|cell_line)", None),
}


@pytest.fixture(scope="module")
def seven():
    data, truth = m7()
    return {name: Model(formula, data, priors=priors) for name, (formula, priors) in SEVEN.items()}, truth


BLOCKS = {
    "m7a": [
        ("gene:cell_line", "Intercept", 200), ("gene", "mean of gene:cell_line", 10),
        ("cell_line", "mean of gene:cell_line", 20),
    ],
    "m7a_pool": [
        ("gene:cell_line", "fixed", 200), ("gene", "mean of gene:cell_line", 10),
        ("cell_line", "mean of gene:cell_line", 20),
    ],
    "m7b": [
        ("gene:cell_line", "Intercept", 200), ("sgRNA:cell_line", "Intercept", 1100),
        ("sgRNA:cell_line", "gene:cell_line + sgRNA:cell_line", 1100), ("gene", "mean of gene:cell_line", 10),
        ("cell_line", "mean of gene:cell_line", 20), ("sgRNA", "mean of sgRNA:cell_line", 55),
        ("sgRNA", "mean of gene:cell_line + sgRNA:cell_line", 55),
    ],
    "m7b_pool": [
        ("sgRNA:cell_line", "fixed", 1100), ("sgRNA", "mean of sgRNA:cell_line", 55),
        ("cell_line", "mean of sgRNA:cell_line", 20),
    ],
    "m7c": [("gene", "Intercept", 10), ("cell_line", "Intercept", 20)],
    "crossed": [("gene", "Intercept", 10), ("cell_line", "Intercept", 20)],
    "m7": [
        ("gene", "Intercept", 10), ("gene:sgRNA", "Intercept", 55), ("cell_line", "Intercept", 20),
        ("gene:sgRNA", "gene + gene:sgRNA", 55),
    ],
}  # fmt: skip
TERMS = {
    "m7a": ["Intercept", "Intercept", "sigma"],
    "m7a_pool": ["sigma"],
    "m7b": ["Intercept", "Intercept", "Intercept", "sigma"],
    "m7b_pool": ["sigma"],
    "m7c": ["sum of means", "Intercept", "Intercept", "sigma"],
    "crossed": ["Intercept", "Intercept", "Intercept", "sigma"],
    "m7": ["Intercept", "Intercept", "Intercept", "Intercept", "sigma"],
}


@pytest.mark.parametrize("name", SEVEN)
@pytest.mark.mostly_slow("m7", "m7c", "crossed")
def test_every_model_of_the_notebook_can_be_judged(seven, name):
    models, truth = seven
    recovery = recover(fit_at_truth(models[name], truth), truth)
    assert list(recovery.groups[["group", "term", "n_levels"]].itertuples(index=False, name=None)) == BLOCKS[name]
    assert recovery.parameters["term"].to_list() == TERMS[name]
    assert (recovery.groups["corr"] > 0.95).all()
    assert (recovery.parameters["verdict"] == "ok").all()
    assert len(recovery.levels) == recovery.groups["n_levels"].sum()


def levels_of(recovery, group, term):
    levels = recovery.levels
    return levels[(levels["group"] == group) & (levels["term"] == term)].set_index("level")


def test_main_effects_are_averages_of_each_draw(seven):
    models, truth = seven
    fit = fit_at_truth(models["m7a"], truth)
    found = levels_of(recover(fit, truth), "gene", "mean of gene:cell_line")
    gamma = truth["1|gene"] - truth["1|gene"].mean()
    np.testing.assert_allclose(found["truth"], gamma[found.index], atol=1e-12)
    effects = fit.idata["posterior"]["1|gene:cell_line"].stack(sample=("chain", "draw"))
    genes = [str(level).split(":")[0] for level in effects["gene:cell_line__factor_dim"].to_numpy()]
    averages = pd.DataFrame(effects.transpose("gene:cell_line__factor_dim", "sample").to_numpy()).groupby(genes).mean()
    centred = averages - averages.mean()
    np.testing.assert_allclose(found["median"], centred.median(axis=1)[found.index], atol=1e-12)
    np.testing.assert_allclose(found["sd"], centred.std(axis=1)[found.index], atol=1e-12)


def test_nested_blocks_are_added_in_each_draw(seven):
    models, truth = seven
    fit = fit_at_truth(models["m7"], truth)
    found = levels_of(recover(fit, truth), "gene:sgRNA", "gene + gene:sgRNA")
    posterior = fit.idata["posterior"]
    genes = [level.split(":")[0] for level in found.index]
    total = posterior["1|gene"].sel({"gene__factor_dim": genes}).to_numpy()
    total = total + posterior["1|gene:sgRNA"].sel({"gene:sgRNA__factor_dim": list(found.index)}).to_numpy()
    total = total.reshape(-1, 55)
    centred = total - total.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found["median"], np.median(centred, axis=0), atol=1e-12)
    alpha = truth["1|gene"][genes].to_numpy() + truth["1|gene:sgRNA"][found.index]
    np.testing.assert_allclose(found["truth"], alpha - alpha.mean(), atol=1e-12)


def test_collinear_fixed_columns_have_no_implied_truth():
    data, truth = m7()
    doubled = Model("log_fc ~ 0 + gene + copy + (1|cell_line)", data.assign(copy=data["gene"] == "gene_0"))
    implied = implied_truth(doubled, truth)
    assert not [key for key in implied.scalars if key.startswith("gene[")]


def test_the_truth_of_crossed_levels_is_the_sum_of_their_factors(seven):
    models, truth = seven
    implied = implied_truth(models["m7a"], truth)
    expected = [
        truth["1|gene"][gene] + truth["1|cell_line"][line]
        for gene, line in (level.split(":") for level in models["m7a"].design.mean.groups[0].levels)
    ]
    np.testing.assert_allclose(implied.effects["1|gene:cell_line"], expected, atol=1e-12)
    assert implied.sources == {"1|gene:cell_line": ("1|gene", "1|cell_line")}
    assert implied.scalars["1|gene:cell_line_sigma"] == pytest.approx(np.sqrt(0.5**2 + 1))
    assert implied.left_out == ("1|gene:sgRNA",)
    assert implied.scalars["sigma"] == pytest.approx(np.sqrt(0.3**2 + 0.2**2))


@pytest.mark.parametrize(
    ("name", "factors"), [("m7a_pool", ["gene", "cell_line"]), ("m7b_pool", ["sgRNA", "cell_line"])]
)
def test_the_truth_of_a_fixed_cell_is_the_mean_of_its_rows(seven, name, factors):
    models, truth = seven
    implied = implied_truth(models[name], truth)
    means = models[name].data.groupby(factors)["mu_sc"].mean()
    for label, value in list(implied.scalars.items())[:60]:
        if label != "sigma":
            cell = tuple(part.split("[")[1].rstrip("]") for part in label.split(":"))
            assert value == pytest.approx(means[cell], abs=1e-12)
    assert len(implied.scalars) == len(means) + 1


def test_effects_of_guides_alone_hold_those_of_their_genes():
    data, truth = m7()
    implied = implied_truth(Model("log_fc ~ (1|sgRNA) + (1|cell_line)", data), truth)
    alpha = data.groupby("sgRNA").apply(
        lambda rows: (rows["mu_sc"] - rows["cell_line"].map(truth["1|cell_line"])).mean()
    )
    np.testing.assert_allclose(
        implied.effects["1|sgRNA"] - 1, alpha.reindex(implied.effects["1|sgRNA"].index), atol=1e-12
    )
    assert implied.left_out == ()
    assert implied.scalars["sigma"] == 0.3


def test_fixed_genes_are_contrasts_of_the_true_means():
    data, truth = m7()
    implied = implied_truth(Model("log_fc ~ gene + (1|cell_line)", data), truth)
    without_lines = data["mu_sc"] - data["cell_line"].map(truth["1|cell_line"])
    means = without_lines.groupby(data["gene"]).mean()
    assert implied.scalars["Intercept"] == pytest.approx(means["gene_0"])
    for gene in means.index[1:]:
        assert implied.scalars[f"gene[{gene}]"] == pytest.approx(means[gene] - means["gene_0"])


def test_means_of_effects_become_the_intercept_of_a_model_that_has_one():
    table = screen_design(genes=5, guides_per_gene=2, cell_lines=3)
    params = {"1|gene_sigma": 0.5, "1|gene_mu": -1.0, "1|cell_line_sigma": 1.0, "1|cell_line_mu": 0.25, "sigma": 0.3}
    data, truth = simulate("log_fc ~ 0 + (1|gene) + (1|cell_line)", table, params, random_seed=2)
    implied = implied_truth(Model("log_fc ~ (1|gene) + (1|cell_line)", data), truth)
    assert implied.scalars["Intercept"] == -0.75
    np.testing.assert_allclose(implied.effects["1|gene"], truth["1|gene"] + 1.0)
    assert implied.unused == ()
    same = implied_truth(Model("log_fc ~ 0 + (1|gene) + (1|cell_line)", data, priors=NOTEBOOK), truth)
    assert same.scalars["1|gene_mu"] == -1.0
    assert same.realized["1|gene_mu"] == pytest.approx(truth["1|gene"].mean())
    np.testing.assert_allclose(same.effects["1|gene"], truth["1|gene"])


def test_the_sum_of_means_is_judged_as_the_intercept(seven):
    models, truth = seven
    fit = fit_at_truth(models["m7c"], truth)
    row = recover(fit, truth).parameters.iloc[0]
    total = fit.idata["posterior"]["1|gene_mu"] + fit.idata["posterior"]["1|cell_line_mu"]
    assert row["truth"] == -1.0
    assert row["median"] == float(total.median())
    assert row["contraction"] == pytest.approx(1 - row["sd"] ** 2 / (1 + 0.2**2))


def test_a_coefficient_that_is_left_out_adds_to_sigma():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"x": rng.normal(size=50), "g": list("abcde") * 10})
    data, truth = simulate(
        "y ~ x + (1|g)", table, {"Intercept": 1, "x": 0.5, "1|g_sigma": 1, "sigma": 0.3}, random_seed=1
    )
    implied = implied_truth(Model("y ~ (1|g)", data), truth)
    assert implied.left_out == ("x",)
    assert implied.scalars["sigma"] == pytest.approx(np.sqrt(0.09 + 0.25 * table["x"].var(ddof=0)))


@pytest.mark.slow
def test_the_order_of_rows_and_of_the_truth_changes_nothing(seven):
    _, truth = seven
    data, _ = m7()
    shuffled = data.sample(frac=1, random_state=3)
    turned = {key: value[::-1] if isinstance(value, pd.Series) else value for key, value in reversed(truth.items())}
    for formula, priors in SEVEN.values():
        one = implied_truth(Model(formula, data, priors=priors), truth)
        other = implied_truth(Model(formula, shuffled, priors=priors), turned)
        assert one.scalars == pytest.approx(other.scalars)
        for slot, effects in one.effects.items():
            pd.testing.assert_series_equal(effects, other.effects[slot])


def test_levels_without_a_truth_are_passed_over(line):
    model, posteriors = line
    recovery = recover(fit_of(model, posteriors), {"1|g": {"a": -1.0, "c": 0.5}})
    assert recovery.levels["level"].to_list() == ["a", "c"]
    assert recovery.groups["n_levels"].to_list() == [2]


def test_many_fixed_coefficients_are_one_block():
    rng = np.random.default_rng(1)
    labels = [f"f{number:02d}" for number in range(15)]
    data = pd.DataFrame({"f": labels * 2, "y": rng.normal(size=30)})
    model = Model("y ~ f", data)
    truth = {"Intercept": 1.0} | {f"f[{label}]": float(number) for number, label in enumerate(labels) if number}
    recovery = recover(fit_at_truth(model, truth), truth)
    assert recovery.parameters["term"].to_list() == ["Intercept"]
    assert recovery.groups[["group", "term", "n_levels", "rows_per_level"]].iloc[0].to_list() == ["f", "fixed", 14, 2.0]


# --- messages and print-out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("truth", "text"),
    [
        (
            {"1|g": {"a": 1.0, "B": 2.0}},
            "the truth's '1|g' has levels that the model's data do not have: 'B'.\n"
            "'g' has 4 levels there, such as 'a', 'b', 'c'.\n"
            "Label the effects as the data do ('gene:sgRNA' has levels such as 'gene_0:sgRNA_0'), and leave out levels "
            "that were not observed.",
        ),
        (
            {"slope": 1.0, "1|h_sigma": 2.0},
            "the truth has 'slope', '1|h_sigma', and nothing of that is in the fitted model.\n"
            "The fit has 'Intercept', 'x', '1|g_sigma', 'sigma'.\n"
            "Name the true values as the posterior does: 'Intercept', '1|gene_sigma', '1|gene' (effects), 'sigma'.",
        ),
        (
            {},
            "the truth has no entries, and nothing of that is in the fitted model.\n"
            "The fit has 'Intercept', 'x', '1|g_sigma', 'sigma'.\n"
            "Name the true values as the posterior does: 'Intercept', '1|gene_sigma', '1|gene' (effects), 'sigma'.",
        ),
        *(
            (
                {"sigma": value},
                f"truth['sigma'] is {repr(value)[:200]}.\nTrue values are numbers, or effects by level: a Series or a "
                "dict.\nGive numbers that a float can hold.",
            )
            for value in (10**400, "much", {"a": object})
        ),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(line, truth, text):
    model, posteriors = line
    with pytest.raises(DataError) as caught:
        recover(fit_of(model, posteriors), truth)
    assert str(caught.value) == text


def test_the_foot_says_what_has_no_counterpart(line):
    model, posteriors = line
    foot = recover(fit_of(model, posteriors), {"x": 5.0, "sigma": 1.0, "nonsense": 1.0}).foot
    assert foot == (
        "1 of 2 true values lie outside their 90 % interval; chance alone would put 0.2 there on average, and between "
        "0 and 1 in 95 % of cases.",
        "No truth is given for Intercept, 1|g_sigma.",
        "No part of the model corresponds to nonsense.",
    )


def test_the_foot_names_sums_and_what_is_left_out(seven):
    models, truth = seven
    foot = recover(fit_at_truth(models["m7a"], truth), truth).foot
    assert foot[1:] == (
        "Effects are centred within their block before they are compared; so are their true values.",
        "The truth of 1|gene:cell_line is the sum of 1|gene, 1|cell_line.",
        "The model leaves out 1|gene:sgRNA.",
    )


def test_the_printout_has_both_tables_and_the_foot(seven):
    models, truth = seven
    recovery = recover(fit_at_truth(models["m7"], truth), truth)
    text = repr(recovery)
    assert text.startswith("Recovery of log_fc ~ 1 + (1 | gene) + (1 | gene:sgRNA) + (1 | cell_line)\nConverged: ")
    assert "\nParameters (90 % intervals):\n" in text
    assert "\nGroup effects (centred):\n" in text
    assert text.endswith("\n".join(map(wrapped, recovery.foot)))


def test_a_failed_fit_is_said_to_be_unreliable_first(line):
    model, posteriors = line
    recovery = recover(fit_of(model, posteriors, verdict="failed"), {"x": 2.0})
    head = repr(recovery).partition("\n\n")[0].replace("\n", " ")
    assert head.endswith("None of the numbers below can be relied on.")
    assert "None of the numbers below" in recovery._repr_html_()


def test_html_is_escaped():
    data = pd.DataFrame({"g": ["<script>", "b"] * 5, "x<b>": np.arange(10.0), "y": np.arange(10.0)})
    model = Model("y ~ `x<b>` + (1|g)", data)
    truth = {"Intercept": 0.0, "x<b>": 1.0, "1|g": {"<script>": 1.0, "b": -1.0}}
    html = recover(fit_at_truth(model, truth), truth)._repr_html_()
    assert "x<b>" not in html
    assert "x&lt;b&gt;" in html


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (0.12345, "sd", "0.123"), (-0.0001, "error", "0.000"), (0.0000123, "sd", "0.000012"), (0.0, "sd", "0.000"),
        (0.000000123, "sd", "1.2e-07"), (123.456, "sd", "123.5"), (1.5e7, "sd", "1.5e+07"), (np.nan, "sd", "-"),
        (np.inf, "sd", "inf"), (7, "n_levels", "7"), (3958.0, "ess_bulk", "3,958"), (None, "lme4", "-"),
        ("", "group", "-"), ("gene", "group", "gene"),
    ],
)  # fmt: skip
def test_cells_are_printed_short(value, name, text):
    assert column_text([value], name) == [text]


# --- lme4's estimates -------------------------------------------------------------------------------------------------


def test_lme4s_estimates_stand_beside_the_truth():
    """Against lme4 1.1-31 on the same rows: fixed effect, SDs and sigma of the published example."""
    data, truth = m7()
    model = Model("log_fc ~ (1 | gene) + (1 | cell_line)", data)
    table = recover(fit_at_truth(model, truth), truth).parameters.set_index(["group", "term"])["lme4"]
    expected = {
        ("", "Intercept"): -0.94109971,
        ("gene", "Intercept"): 0.53478077,
        ("cell_line", "Intercept"): 1.01986806,
        ("", "sigma"): 0.34215145,
    }
    assert table.to_dict() == pytest.approx(expected, rel=1e-4)


def test_lme4s_correlation_stands_beside_the_truth():
    rng = np.random.default_rng(5)
    level = np.repeat(np.arange(30), 8)
    table = pd.DataFrame({"g": [f"g{k}" for k in level], "x": rng.normal(size=240)})
    effects = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 30)[level]
    table["y"] = effects[:, 0] + effects[:, 1] * table["x"] + rng.normal(size=240)
    model = Model("y ~ x + (x | g)", table)
    found = reml_estimates(model)
    frame = varcorr(lmer("y ~ x + (x | g)", table, method="reml"))
    assert found["cor|g[1, x]"] == pytest.approx(frame["sdcor"].iloc[2], rel=1e-12)
    assert [found["1|g_sigma"], found["x|g_sigma"]] == frame["sdcor"].iloc[:2].to_list()


@pytest.mark.parametrize(
    ("formula", "settings"),
    [
        ("n ~ (1 | gene)", {"family": "poisson"}),
        ("log_fc ~ (1 | sgRNA:cell_line)", {}),
        ("log_fc ~ 0 + (1 | gene)", {"priors": {"1|gene_mu": Prior("Normal", mu=0, sigma=1)}}),
    ],
)
def test_where_lme4_has_no_answer_there_is_none(formula, settings):
    data, _ = m7()
    data = data.assign(n=np.arange(len(data)) % 3)
    assert reml_estimates(Model(formula, data, **settings)) == {}


def test_a_column_that_lme4_drops_has_no_reml_estimate():
    data, _ = m7()
    data = data.assign(n=np.arange(len(data)) % 3, twice=2.0 * (np.arange(len(data)) % 3))
    found = reml_estimates(Model("log_fc ~ n + twice + (1 | gene)", data))
    assert [name for name, value in found.items() if np.isnan(value)] == ["twice"]


def test_a_correlation_is_judged_by_the_name_in_the_foot():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"x": rng.normal(size=60), "g": np.repeat(list("abcdef"), 10), "y": rng.normal(size=60)})
    fit = sf.lmer("y ~ x + (x | g)", table, draws=50, random_seed=1)
    told = sf.recover(fit, {"cor|g": 0.4})
    assert not any("cor|g[1, x]" in sentence for sentence in told.foot)
    assert any("cor|g[1, x]" in sentence for sentence in sf.recover(fit, {"sigma": 1.0}).foot)
    pd.testing.assert_frame_equal(sf.recover(fit, {"cor|g[1, x]": 0.4}).parameters, told.parameters)
    assert told.parameters["truth"].tolist() == [0.4]
