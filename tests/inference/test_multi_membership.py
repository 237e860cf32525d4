"""Multi-membership terms by every engine: against lme4 with a hand-made Z, dense algebra and long NUTS."""

import json
from functools import cache
from pathlib import Path

import bambi
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.inference.algebra import equations, ordering
from speclet_formula.inference.exact.density import log_likelihood, marginal_of, natural
from speclet_formula.inference.reml.degrees_of_freedom import small_sample
from speclet_formula.posterior.draws import draws_of
from tests.inference.reml.test_kenward_roger import paper

FOLDER = Path(__file__).parents[1] / "data" / "r"
ANSWERS = json.loads((FOLDER / "multi_membership.json").read_text())  # by multi_membership.R
SLOPES = "(1 + x | mm(a, b, weights = cbind(u, v)))"


@cache
def table():
    return pd.read_csv(FOLDER / "multi_membership.csv")


def fit_of(term, kind):
    if kind == "poisson":
        return sf.glmer(f"k ~ x + {term}", table(), family="poisson", method="laplace")
    return sf.lmer(f"y ~ x + {term}", table(), method=kind)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer['term']} {answer['kind']}")
def test_estimates_are_those_of_lme4_with_a_hand_made_z(answer):
    fit = fit_of(answer["term"], answer["kind"])
    assert fit.log_likelihood == pytest.approx(answer["logLik"], rel=1e-7 if answer["kind"] == "poisson" else 1e-8)
    # both searches end within a thousandth of a standard error
    np.testing.assert_allclose(sf.fixef(fit)["estimate"], answer["fixef"], rtol=2e-4)
    frame = sf.varcorr(fit)
    names = frame["grp"].replace({"a:b": "pair"}).where(~frame["grp"].str.startswith("mm("), "f")
    ours = dict(zip(zip(names, frame["var2"].fillna(""), strict=True), frame["sdcor"], strict=True))
    theirs = dict(zip(zip(answer["grp"], answer["var2"], strict=True), answer["sdcor"], strict=True))
    assert ours == pytest.approx(theirs, rel=2e-4)
    modes = sf.ranef(fit)
    modes = modes[modes["grpvar"].str.startswith("mm(")].pivot(index="grp", columns="term", values="condval")
    np.testing.assert_allclose(modes.loc[answer["levels"]], np.transpose(answer["modes"]), atol=2e-4)


def memberships(levels, members=("a", "b"), weights=("u", "v")):
    """Return how much of each level rows have (n, levels), from the table alone."""
    shares = table()[list(weights)].to_numpy() if weights else np.ones((len(table()), len(members)))
    shares = shares / shares.sum(axis=1, keepdims=True)
    return sum(
        np.equal.outer(table()[name].to_numpy(), np.array(levels)) * shares[:, [place]]
        for place, name in enumerate(members)
    )


@pytest.mark.parametrize("most_dense", [150, 0])
def test_the_exact_density_is_that_of_dense_algebra(monkeypatch, most_dense):
    """In whole matrices, and in sparse ones."""
    monkeypatch.setattr(equations, "MOST_DENSE", most_dense)
    priors = {"Intercept": sf.Prior("Normal", mu=0, sigma=2), "x": sf.Prior("Normal", mu=0, sigma=3)}
    model = sf.Model("y ~ x + (1 | mm(a, b, weights = cbind(u, v))) + (1 | c)", table(), priors=priors)
    marginal = marginal_of(model)
    sds, partial, _ = natural(marginal.variances, np.random.default_rng(1).normal(0, 0.6, (4, 3)))
    block, single = model.design.mean.groups
    Z = memberships(block.levels)
    assert Z.sum() == pytest.approx(len(table()))
    same = np.equal.outer(table()["c"].to_numpy(), table()["c"].to_numpy())
    x = table()["x"].to_numpy()
    # the intercept is that at the mean of x
    known = 4.0 + 9.0 * np.outer(x - x.mean(), x - x.mean())
    first, second = (sds[:, list(column)].ravel() for column in marginal.variances.columns)
    expected = [
        stats.multivariate_normal(
            np.zeros(len(x)),
            sigma**2 * np.eye(len(x)) + one**2 * Z @ Z.T + other**2 * same + known,
        ).logpdf(table()["y"])
        for sigma, one, other in zip(sds[:, 0], first, second, strict=True)
    ]
    np.testing.assert_allclose(log_likelihood(marginal, sds, partial), expected, rtol=1e-9)
    assert single.levels == tuple(sorted(table()["c"].unique()))


def test_kenward_and_roger_is_that_of_the_paper():
    fit = sf.lmer(f"y ~ x + {SLOPES} + (1 | c)", table(), method="reml")
    adjusted, gradients, W = paper(fit)
    found = small_sample(fit, "kenward-roger")
    np.testing.assert_allclose(found.covariance, adjusted, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.gradients, gradients, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.uncertainty, W, rtol=1e-5, atol=1e-9)


def test_one_column_twice_is_an_ordinary_term():
    """Rows that name one level in both columns: the same likelihood and effects by each engine without draws."""
    data = table().assign(again=table()["a"])
    for family, response, methods in (("gaussian", "y", ("reml", "ml")), ("poisson", "k", ("laplace",))):
        for method in methods:
            fits = [
                sf.glmer(f"{response} ~ x + (x | {group})", data, family=family, method=method)
                for group in ("a", "mm(a, again)", "mm(a, again, weights = cbind(u, v))")
            ]
            for fit in fits[1:]:
                assert fit.log_likelihood == pytest.approx(fits[0].log_likelihood, rel=1e-9)
                np.testing.assert_allclose(sf.ranef(fit)["condval"], sf.ranef(fits[0])["condval"], atol=1e-4)


def test_a_corner_that_stays_sparse_is_not_held_whole(monkeypatch):
    """Of 220 genes in a circle each shares constructs with two: their whole matrix would be zeros but for these."""
    pair = np.repeat(np.arange(220), 8)
    names = np.array([f"g{place:03d}" for place in range(220)])
    data = pd.DataFrame({"a": names[pair], "b": names[(pair + 1) % 220], "c": np.arange(len(pair)) // 2})
    data["y"] = np.random.default_rng(1).normal(size=len(pair)) + np.sin(pair)
    model = sf.Model("y ~ 1 + (1 | mm(a, b)) + (1 | a:b) + (1 | c)", data)
    matrix = equations.build_system(model.design, means=()).equations.matrix
    assert matrix.corner < 100
    sparse = sf.fit(model, method="ml")
    monkeypatch.setattr(ordering, "SMALL_CORNER", 1000)
    other = sf.Model("y ~ 1 + (1 | mm(a, b)) + (1 | a:b) + (1 | c)", data.iloc[::-1])
    assert not hasattr(equations.build_system(other.design, means=()).equations, "matrix")  # by classes
    assert sf.fit(other, method="ml").log_likelihood == pytest.approx(sparse.log_likelihood, rel=1e-9)


def test_merged_rows_say_what_single_ones_say(tmp_path):
    rows = pd.concat([table()[["y", "a", "b", "u", "v"]]] * 3).assign(f=lambda data: np.where(data["y"] > 0, "p", "q"))
    rows["y"] += np.random.default_rng(1).normal(size=len(rows))
    rows.to_csv(tmp_path / "rows.csv", index=False)
    formula = "y ~ f + (1 | mm(a, b, weights = cbind(u, v)))"
    merged = sf.lmer(formula, sf.scan(tmp_path / "rows.csv", merge=True), method="reml")
    assert len(merged.model.design.response) < len(rows) / 2
    single = sf.lmer(formula, rows, method="reml")
    assert merged.log_likelihood == pytest.approx(single.log_likelihood, rel=1e-9)
    np.testing.assert_allclose(sf.ranef(merged)["condval"], sf.ranef(single)["condval"], atol=1e-4)


def test_sigma_has_members_too():
    """By Hamiltonian Monte Carlo: a level's effect on the logarithm of sigma, weighted as on the mean."""
    model = sf.Model(["y ~ x + (1 | mm(a, b))", "sigma ~ (1 | mm(a, b))"], table())
    block = model.design.varying["sigma"].groups[0]
    assert (block.prefix, block.shares.shape) == ("sigma_", (300, 2))
    assert "sigma_1|mm(a, b)" in {slot.slot for slot in model.slots}


def test_quadrature_is_refused():
    with pytest.raises(sf.SamplingError, match="nAGQ=5 does not serve"):
        sf.glmer("k ~ x + (1 | mm(a, b))", table(), family="poisson", method="laplace", nAGQ=5)


@pytest.mark.parametrize("as_columns", [False, True])
def test_in_pymc_a_row_has_what_its_levels_add_up_to(monkeypatch, as_columns):
    """Effects as numbers times a Z by hand; Bambi has two ways of multiplying them."""
    monkeypatch.setattr(bambi.config, "SPARSE_DOT", as_columns)
    model = sf.Model(f"y ~ 0 + {SLOPES} + (1 | c)", table())
    block, crossed = model.design.mean.groups
    effects = np.random.default_rng(3).normal(size=(2, len(block.levels)))
    pymc_model, others = sf.to_pymc(model), np.arange(len(crossed.levels)) / 10
    values = dict(zip([*map(pymc_model.__getitem__, block.slots)], effects, strict=True))
    values[pymc_model[crossed.slots[0]]] = others
    Z, X = memberships(block.levels), np.column_stack([np.ones(len(table())), table()["x"]])
    expected = ((Z @ effects.T) * X).sum(axis=1) + others[crossed.codes]
    np.testing.assert_allclose(pymc_model["mu"].eval(values, on_unused_input="ignore"), expected, atol=1e-12)


def test_bambi_lacks_it():
    with pytest.raises(sf.SpecletError, match=r"several levels of 'mm\(a, b\)', which Bambi lacks"):
        sf.to_bambi(sf.Model("y ~ x + (1 | mm(a, b))", table()))


PRIORS = {
    "Intercept": sf.Prior("Normal", mu=0, sigma=2),
    "x": sf.Prior("Normal", mu=0, sigma=1),
    "sd": sf.Prior("HalfNormal", sigma=1),
    "sigma": sf.Prior("HalfNormal", sigma=1),
}


@pytest.mark.slow
@pytest.mark.parametrize(("family", "method"), [("gaussian", "exact"), ("gaussian", "hmc"), ("poisson", "hmc")])
def test_the_posterior_is_that_of_long_nuts(family, method):
    """A PyMC model by hand: means of 25 numbers within 4.7 Monte Carlo errors of both; false alarms below 1e-4."""
    import pymc as pm

    response = "y" if family == "gaussian" else "k"
    priors = {name: one for name, one in PRIORS.items() if name != "sigma" or family == "gaussian"}
    formula = f"{response} ~ x + (1 | mm(a, b, weights = cbind(u, v))) + (1 | c)"
    model = sf.Model(formula, table(), family=family, priors=priors)
    block, single = model.design.mean.groups
    Z, x, c = memberships(block.levels), table()["x"].to_numpy(), pd.factorize(table()["c"], sort=True)[0]
    with pm.Model():
        centred, slope = pm.Normal("centred", 0, 2), pm.Normal("x", 0, 1)
        sds = pm.HalfNormal("sds", 1, shape=2)
        u, v = pm.Normal("u", 0, 1, shape=len(block.levels)), pm.Normal("v", 0, 1, shape=len(single.levels))
        eta = centred + slope * (x - x.mean()) + pm.math.dot(Z, sds[0] * u) + (sds[1] * v)[c]
        pm.Deterministic("effects", sds[0] * u)
        pm.Deterministic("Intercept", centred - slope * x.mean())
        if family == "gaussian":
            pm.Normal("y", eta, pm.HalfNormal("sigma", 1), observed=table()["y"].to_numpy())
        else:
            pm.Poisson("k", pm.math.exp(eta), observed=table()["k"].to_numpy())
        theirs = pm.sample(3000, tune=1500, chains=2, cores=1, random_seed=5, progressbar=False, target_accept=0.95)
    fit = sf.fit(model, method=method, draws=4000, random_seed=3, progress=False)
    draws = draws_of(fit)
    ours = np.column_stack(
        [draws.coefficients(model.design.mean), draws.sds(block), draws.sds(single), draws.effects(block)[0]]
    )
    posterior = theirs.posterior
    names = ("Intercept", "x", "sds", "effects")
    known = np.column_stack([posterior[name].to_numpy().reshape(6000, -1) for name in names])
    import arviz as az

    ess = min(float(az.ess(posterior)[name].min()) for name in names)
    error = known.std(axis=0) * np.hypot(1 / np.sqrt(ess), 1 / np.sqrt(fit.diagnostics.ess_bulk_min))
    np.testing.assert_array_less(np.abs(ours.mean(axis=0) - known.mean(axis=0)), 4.7 * error)
    np.testing.assert_allclose(ours.std(axis=0), known.std(axis=0), rtol=0.1)
