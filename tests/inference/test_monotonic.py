"""Monotonic effects: posteriors against brute force, priors, what brms passes to Stan, the way through the verbs."""

import json
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import speclet_formula as sf
from speclet_formula.design import build_design
from speclet_formula.design.monotonic import condensed
from speclet_formula.formula.parse import parse_formula
from speclet_formula.inference.hmc.parameters import natural_of, parameters_of
from speclet_formula.model.model import replace_parts
from speclet_formula.posterior.draws import draws_in, draws_of
from speclet_formula.posterior.prior_draws import log_prior, prior_draws
from speclet_formula.recovery.parameters import scalars_of

R = Path(__file__).parents[1] / "data" / "r"
STANDARD_ERRORS = 5.0  # of a normal estimate: one false alarm in 10^6
PRIORS = {
    "mo(d)": sf.Prior("Normal", mu=0, sigma=1),
    "mo(d)_simplex": sf.Prior("Dirichlet", a=[2, 1]),
    "sigma": sf.Prior("Exponential", lam=1),
}
WIDE = {"Intercept": sf.Prior("Normal", mu=0, sigma=2)}


@cache
def table():
    rng = np.random.default_rng(8)
    rows = pd.DataFrame({"d": np.arange(40) % 3, "x": rng.normal(size=40).round(2)})
    mean = np.array([0.0, 0.2, 1.0])[rows["d"]]
    rows["y"] = (mean + 0.3 * rows["x"] + rng.normal(0, 0.6, 40)).round(2)
    rows["k"] = rng.poisson(np.exp(mean))
    rows["o"] = pd.Categorical(np.array(list("abc"))[np.digitize(rows["y"], [0, 1])], list("abc"), ordered=True)
    return rows


@cache
def fit_of(formula, family):
    own = PRIORS | ({} if family == "cumulative" else WIDE)
    own = own if family == "gaussian" else {name: prior for name, prior in own.items() if name != "sigma"}
    if family == "cumulative":
        own["threshold"] = sf.Prior("Normal", mu=0, sigma=2)
    return sf.fit(sf.Model(formula, table(), family=family, priors=own), draws=1500, random_seed=2)


def assert_moments(fit, weights, points):
    """Compare means with those of weighted points (by name), within so many Monte Carlo errors."""
    weights = np.exp(weights - weights.max())
    frame = pd.concat([sf.monotonic(fit), sf.fixef(fit)]).set_index("term")
    for name, values in points.items():
        expected = float((weights * values).sum() / weights.sum())
        ours = frame.loc[name]
        error = ours["std_error"] / np.sqrt(ours["ess_bulk"])
        assert abs(ours["estimate"] - expected) < STANDARD_ERRORS * error, name


def steps(b, share):
    return {
        "mo(d)": b, "mo(d)_simplex[1-0]": share, "mo(d)[1-0]": 2 * b * share, "mo(d)[2-1]": 2 * b * (1 - share),
    }  # fmt: skip


def centred_levels(share):
    """The column at each level, (3, ...), less its mean over the rows."""
    gone = 2 * np.stack([np.zeros_like(share), share, np.ones_like(share)])
    counts = np.bincount(table()["d"]) / len(table())
    return gone - np.tensordot(counts, gone, 1)


def share_prior(share):
    return stats.beta(2, 1).logpdf(share)


def test_of_a_gaussian_response_it_is_that_of_dense_algebra():
    fit, rows = fit_of("y ~ mo(d) + x", "gaussian"), table()
    assert fit.method == "hmc"
    x_prior = next(slot.prior for slot in fit.model.slots if slot.slot == "x").parameters["sigma"]
    weights, found = [], []
    for share in (np.arange(40) + 0.5) / 40:
        X = np.column_stack([np.ones(40), centred_levels(share)[rows["d"]], rows["x"] - rows["x"].mean()])
        prior = X @ np.diag([4.0, 1.0, float(x_prior) ** 2]) @ X.T
        for log_sigma in np.linspace(-1.3, 0.3, 24):
            covariance = prior + np.exp(2 * log_sigma) * np.eye(40)
            density = stats.multivariate_normal(np.zeros(40), covariance).logpdf(rows["y"])
            weights.append(density + share_prior(share) + stats.expon().logpdf(np.exp(log_sigma)) + log_sigma)
            mean = np.diag([4.0, 1.0, float(x_prior) ** 2]) @ X.T @ np.linalg.solve(covariance, rows["y"])
            found.append([share, mean[1]])
    share, b = np.array(found).T
    assert_moments(fit, np.array(weights), steps(b, share))


def grid(*sides):
    return [side.ravel() for side in np.meshgrid(*sides, indexing="ij")]


SHARES = (np.arange(60) + 0.5) / 60
SLOPES = np.linspace(-0.6, 1.8, 80)


def test_of_counts_it_is_that_of_brute_force():
    fit, rows = fit_of("k ~ mo(d)", "poisson"), table()
    a, b, share = grid(np.linspace(-1.2, 1.6, 80), SLOPES, SHARES)
    columns = centred_levels(share)
    weights = stats.norm(0, 2).logpdf(a) + stats.norm.logpdf(b) + share_prior(share)
    for level, column in enumerate(columns):
        own = rows.loc[rows["d"] == level, "k"]
        eta = a + b * column
        weights += own.sum() * eta - len(own) * np.exp(eta)
    assert_moments(fit, weights, steps(b, share) | {"Intercept": a + b * columns[0]})


def test_of_ordered_levels_thresholds_are_at_the_mean():
    fit, rows = fit_of("o ~ mo(d)", "cumulative"), table()
    first, second, b, share = grid(
        np.linspace(-3.5, 1.5, 30), np.linspace(-1, 5, 30), np.linspace(-1, 3, 30), (np.arange(24) + 0.5) / 24
    )
    weights = stats.norm(0, 2).logpdf(first) + stats.norm(0, 2).logpdf(second) + stats.norm.logpdf(b)
    weights += share_prior(share) + np.where(first < second, 0.0, -np.inf)
    columns = centred_levels(share)
    for level, column in enumerate(columns):
        counts = np.bincount(rows.loc[rows["d"] == level, "o"].cat.codes, minlength=3)
        ends = [0.0, special.expit(first - b * column), special.expit(second - b * column), 1.0]
        chances = [np.clip(above - below, 1e-300, None) for below, above in pairwise(ends)]
        weights += sum(count * np.log(chance) for count, chance in zip(counts, chances, strict=True))
    assert_moments(fit, weights, steps(b, share) | {"a|b": first - b * columns[0], "b|c": second - b * columns[0]})


def test_shares_have_the_density_of_their_prior():
    """Against numerical integration over theta, whose Jacobian a difference quotient gives."""
    model = sf.Model("y ~ mo(d)", table(), priors=PRIORS)
    parameters = parameters_of(replace_parts(model, design=condensed(model.design)))
    theta = np.column_stack([np.zeros(3), np.array([-1.0, 0.2, 2.0])])
    ahead, behind = (natural_of(parameters, theta + np.array([0, step])) for step in (1e-5, -1e-5))
    known, none = natural_of(parameters, theta), natural_of(parameters, theta[:1] * np.array([1, 0]))
    slope = (ahead.shares[0][:, 0] - behind.shares[0][:, 0]) / 2e-5
    density = share_prior(known.shares[0][:, 0]) + np.log(np.abs(slope))
    base = none.log_prior - share_prior(0.5) - np.log(np.sqrt(2) / 4)  # of sigma alone
    np.testing.assert_allclose(known.log_prior - base, density, rtol=0, atol=1e-9)


def test_priors_are_drawn_and_known_as_they_are_stated():
    model = sf.Model("y ~ mo(d) + x", table(), priors=PRIORS | WIDE)
    drawn = draws_in(prior_draws(model, 4000, random_seed=1))
    average, shares = drawn.steps(model.design.monotonic[0])
    assert stats.kstest(average[:, 0], "norm").pvalue > 1e-5
    assert stats.kstest(shares[:, 0], stats.beta(2, 1).cdf).pvalue > 1e-5
    scalars = {scalar.key: scalar for scalar in scalars_of(model, drawn)}
    for name in ("mo(d)[1-0]", "mo(d)[2-1]", "mo(d)", "mo(d)_simplex[1-0]", "Intercept"):
        # an SD from 4,000 draws is within 5 % of the truth but once in 10^4 times, also of a product
        assert np.std(scalars[name].draws) == pytest.approx(scalars[name].prior_sd, rel=0.08), name
    density = log_prior(model, drawn)[0]
    expected = stats.norm.logpdf(average[:, 0]) + share_prior(shares[:, 0])
    rest = sf.Model("y ~ x", table(), priors=WIDE | {"sigma": PRIORS["sigma"]})
    centre = model.design.mean.X.mean(axis=0)
    moved = drawn.coefficients(model.design.mean) @ centre
    expected += stats.norm(0, 2).logpdf(moved) + stats.expon.logpdf(drawn.parameter("sigma")[:, 0])
    sd = float(next(slot.prior for slot in rest.slots if slot.slot == "x").parameters["sigma"])
    expected += stats.norm(0, sd).logpdf(drawn.term(model.design.mean.fixed[-1])[:, 0])
    np.testing.assert_allclose(density, expected, rtol=0, atol=1e-8)


def test_what_brms_passes_to_stan():
    known = json.loads((R / "monotonic.json").read_text())
    rows = pd.DataFrame({"y": np.arange(6.0), "d": [3, 4, 5, 3, 4, 5]})
    levels = ["low", "mid", "high"]
    rows["o"] = pd.Categorical(np.array(levels)[[0, 1, 2, 2, 1, 0]], levels, ordered=True)
    design = build_design(parse_formula("y ~ mo(d) + mo(o)"), rows)
    np.testing.assert_array_equal(condensed(design).mean.X[:, 1:], np.column_stack([known["d"], known["o"]]))
    assert [len(term.columns) for term in design.monotonic] == known["steps"]
    assert (known["mo"], known["concentration"]) == ("return rows(scale) * sum(scale[1:i]);", [1, 1])
    assert known["effect"].startswith("mu[n] += (bsp[1]) * mo(simo_1, Xmo_1[n])")


def test_truths_are_stated_by_steps_or_by_shares():
    fit = fit_of("y ~ mo(d) + x", "gaussian")
    stated = {"Intercept": 0.0, "x": 0.3, "sigma": 0.6, "mo(d)": 0.5, "mo(d)_simplex": [0.2, 0.8]}
    single = {"Intercept": 0.0, "x": 0.3, "sigma": 0.6, "mo(d)[1-0]": 0.2, "mo(d)[2-1]": 0.8}
    for truth in (stated, single):
        rows = sf.recover(fit, truth).parameters.set_index("term")
        assert rows["truth"].round(12).to_dict() == single | {
            "mo(d)": 0.5, "mo(d)_simplex[1-0]": 0.2, "mo(d)_simplex[2-1]": 0.8,
        }  # fmt: skip
    made = [sf.simulate("y ~ mo(d) + x", table(), truth=truth, random_seed=1)[0]["y"] for truth in (stated, single)]
    pd.testing.assert_series_equal(*made)
    for wrong in ({"mo(d)_simplex": [0.2, 0.9]}, {"mo(d)_simplex": [0.2]}, {"mo(d)[1-0]": 0.2}, {"mo(d)": None}):
        with pytest.raises(sf.DataError, match="shares that add up to 1"):
            sf.simulate("y ~ mo(d) + x", table(), truth=stated | wrong, random_seed=1)


def test_effects_are_differences_between_levels():
    fit = fit_of("y ~ mo(d) + x", "gaussian")
    (term,) = fit.model.design.monotonic
    step = draws_of(fit).term(term)
    differences = sf.avg_comparisons(fit, "d").table.set_index("contrast")["estimate"]
    assert differences["1 - 0"] == pytest.approx(step[:, 0].mean(), rel=1e-9)
    assert differences["2 - 0"] == pytest.approx(step.sum(axis=1).mean(), rel=1e-9)


def test_other_engines_refuse_it_by_name():
    for method in ("exact", "reml", "ml"):
        with pytest.raises(sf.SamplingError, match=r"the steps of 'mo\(d\)' go one way, which method='hmc' keeps to"):
            sf.lmer("y ~ mo(d)", table(), method=method)
    with pytest.raises(sf.SamplingError, match=r"the steps of 'mo\(d\)' go one way"):
        sf.glmer("k ~ mo(d)", table(), family="poisson", method="laplace")
    with pytest.raises(sf.SamplingError, match="the average step, is not around zero"):
        sf.lmer("y ~ mo(d)", table(), priors={"mo(d)": sf.Prior("Normal", mu=1, sigma=1)}, method="hmc")


def test_pymc_has_the_density_of_the_parts():
    """By hand, at points of the unconstrained scale; log of sigma and the shares' own transform are PyMC's."""
    model = sf.Model("y ~ mo(d) + x", table(), priors=PRIORS | WIDE)
    translated = sf.to_pymc(model)
    density = translated.compile_fn(translated.logp(jacobian=False), mode="FAST_COMPILE")
    point, rows = translated.initial_point(), table()
    rng = np.random.default_rng(3)
    for _ in range(3):
        point = {name: rng.normal(size=np.shape(value)) for name, value in point.items()}
        a, b, slope = point["Intercept"], point["mo(d)_average"], point["x"]
        sigma, share = (
            np.exp(point["sigma_log__"]),
            special.softmax(np.append(point["mo(d)_simplex_simplex__"], -point["mo(d)_simplex_simplex__"].sum()))[0],
        )
        mean = a + b * centred_levels(share)[rows["d"]] + slope * (rows["x"] - rows["x"].mean())
        sd = float(next(slot.prior for slot in model.slots if slot.slot == "x").parameters["sigma"])
        expected = stats.norm(mean, sigma).logpdf(rows["y"]).sum() + stats.norm(0, 2).logpdf(a) + stats.norm.logpdf(b)
        expected += stats.norm(0, sd).logpdf(slope) + stats.expon.logpdf(sigma) + share_prior(share)
        assert float(density(point)) == pytest.approx(float(np.squeeze(expected)), rel=1e-10)
