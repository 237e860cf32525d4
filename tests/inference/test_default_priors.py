"""The priors that a model prints are the priors that are used: at x = 0, as in brms, rstanarm and Bambi."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula import Prior
from speclet_formula.posterior.draws import draws_in
from speclet_formula.posterior.prior_draws import prior_draws
from speclet_formula.prediction.sensitivity import log_prior

FORMULAS = ["y ~ x + (x | g)", "y ~ x * f + (x + f || g)", "y ~ 0 + (x | g)", "y ~ x + (0 + x | g) + (1 | f)"]


def table() -> pd.DataFrame:
    """Eight levels with six rows each; x lies 3.8 SDs from zero."""
    rng = np.random.default_rng(8)
    level, x = np.repeat(np.arange(8), 6), np.tile(np.arange(6.0), 8) + 4
    intercepts, slopes = rng.normal(0, 4, 8), rng.normal(0, 1.5, 8)
    y = 5 + intercepts[level] + (1 + slopes[level]) * x + rng.normal(0, 1, 48)
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{code}" for code in level], "f": np.tile(list("aab"), 16)})


TABLE = table()


def written(prior: Prior) -> str:
    """Write a prior as an inline table of TOML."""
    parts = [f'name = "{prior.name}"']
    for name, value in prior.parameters.items():
        number = written(value) if isinstance(value, Prior) else np.asarray(value, dtype=float).tolist()
        parts.append(f"{name} = {number}")
    return "{" + ", ".join(parts) + "}"


def draws(formula: str, priors: object) -> dict[str, np.ndarray]:
    fit = sf.lmer(formula, TABLE, priors=priors, draws=50, chains=2, random_seed=1, progress=False)
    return {str(name): values.to_numpy() for name, values in fit.idata["posterior"].data_vars.items()}


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.mostly_slow("y ~ x + (x | g)")
def test_printed_priors_typed_in_give_the_same_draws(formula, tmp_path):
    slots = sf.Model(formula, TABLE).slots
    typed = {slot.slot: eval(repr(slot.prior), {"Prior": Prior}) for slot in slots}
    file = tmp_path / "priors.toml"
    file.write_text("".join(f'"{slot.slot}" = {written(slot.prior)}\n' for slot in slots))
    default = draws(formula, None)
    for priors in (typed, file):
        found = draws(formula, priors)
        assert list(found) == list(default)
        for name, values in default.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_the_printed_priors_have_the_draws_and_the_density_that_checks_report():
    for priors in (None, {slot.slot: slot.prior for slot in sf.Model(FORMULAS[0], TABLE).slots}):
        model = sf.Model(FORMULAS[0], TABLE, priors=priors)
        found = prior_draws(model, 20, random_seed=3)
        scale, over = TABLE["y"].std(), TABLE["x"].std()
        b, a = found["x"].values, found["Intercept"].values
        sds = [found[f"{name}|g_sigma"].values for name in ("1", "x")]
        # LKJ(2) of two columns is 2 Beta(2, 2) - 1: its factor 1/2 and the half t density's 2 are one.
        expected = (
            stats.norm(TABLE["y"].mean(), 10 * scale).logpdf(a + TABLE["x"].mean() * b)
            + stats.norm(0, 2.5 * scale / over).logpdf(b)
            + log_group_prior(sds[0], scale)
            + log_group_prior(sds[1], scale / over)
            + stats.beta(2, 2).logpdf((found["cor|g"].values[..., 0] + 1) / 2)
            + stats.t(4, scale=scale).logpdf(found["sigma"].values)
        )
        np.testing.assert_allclose(log_prior(model, draws_in(found)), expected, rtol=1e-10)


def log_group_prior(sd: np.ndarray, scale: float) -> np.ndarray:
    return stats.halfcauchy(scale=2 * scale).logpdf(sd)


def by_hand(x: np.ndarray, proposals: int = 20_000) -> tuple[np.ndarray, np.ndarray, float]:
    """Return posterior means and SDs of the SDs and the correlation by importance sampling, and its ESS.

    Coefficients are integrated out of a dense normal density; the default priors of SDs hold at x = 0 of the x given.
    """
    rng, y = np.random.default_rng(5), TABLE["y"].to_numpy()
    scale, over, n = y.std(ddof=1), x.std(ddof=1), len(y)
    centre, spread = np.array([1.7, 0.2, -0.06, 0.15]), np.array([0.34, 0.34, 0.34, 0.14])
    z = centre + spread * rng.standard_t(6, (proposals, 4))
    a, b, r, sigma = np.exp(z[:, 0]), np.exp(z[:, 1]), np.tanh(z[:, 2]), np.exp(z[:, 3])
    same = TABLE["g"].to_numpy()[:, None] == TABLE["g"].to_numpy()
    fixed = (10 * scale) ** 2 + (2.5 * scale / over) ** 2 * np.outer(x - x.mean(), x - x.mean())
    parts = [np.ones((n, n)) * same, np.add.outer(x, x) * same, np.outer(x, x) * same, np.eye(n)]
    weights = np.stack([a**2, r * a * b, b**2, sigma**2])
    log_density = np.empty(proposals)
    for block in np.array_split(np.arange(proposals), 40):
        factor = np.linalg.cholesky(fixed + np.einsum("kp,kij->pij", weights[:, block], np.array(parts)))
        solved = np.linalg.solve(factor, np.broadcast_to(y - y.mean(), (len(block), n))[..., None])[..., 0]
        log_density[block] = -np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1) - (solved**2).sum(axis=1) / 2
    log_density += log_group_prior(a, scale) + log_group_prior(b, scale / over) + z[:, 0] + z[:, 1] + z[:, 3]
    log_density += stats.beta(2, 2).logpdf((r + 1) / 2) + np.log1p(-(r**2)) + stats.t(4, scale=scale).logpdf(sigma)
    log_density -= stats.t(6).logpdf((z - centre) / spread).sum(axis=1)
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    values = np.column_stack([a, b, r, sigma])
    means = weight @ values
    return means, np.sqrt(weight @ (values - means) ** 2), 1 / (weight**2).sum()


@pytest.mark.slow
def test_default_priors_of_group_intercepts_hold_at_zero():
    """Means within 0.12 of their posterior SDs: 5 standard errors with 3,000 effective draws on either side (10^-6)."""
    fit = sf.lmer(FORMULAS[0], TABLE, random_seed=2, progress=False)
    posterior = fit.idata["posterior"]
    found = np.array([float(posterior[name].mean()) for name in ("1|g_sigma", "x|g_sigma", "cor|g", "sigma")])
    means, sds, effective = by_hand(TABLE["x"].to_numpy())
    assert effective > 3000
    assert np.abs((found - means) / sds).max() < 0.12


def crossed() -> pd.DataFrame:
    """Sixty rows of two covariates, two factors and ten groups, all of which y depends on."""
    rng, row = np.random.default_rng(1), np.arange(60)
    data = pd.DataFrame({"x": rng.normal(0, 2, 60), "z": rng.normal(0, 0.5, 60), "f": rng.choice(list("abc"), 60)})
    data = data.assign(h=rng.choice(["u", "v"], 60), g=[f"g{code}" for code in row % 10])
    mean = 3 + 0.5 * data["x"] - data["z"] + 0.3 * data["x"] * data["z"] + (data["f"] == "b") * (1 + 0.6 * data["x"])
    mean += (data["h"] == "v") * 0.5 * data["x"] + 0.1 * data["x"] ** 2
    return data.assign(y=mean + rng.normal(0, 1, 10)[row % 10] + rng.normal(0, 1, 60))


SHIFTED = ["x*f", "x*z", "x*f*h", "x + I(x^2)", "x + (1|g)", "x*f + (1|g)", "x*z*f + (1|g)", "(x + I(x^2))*h"]


@pytest.mark.parametrize("side", SHIFTED)
@pytest.mark.mostly_slow("x + (1|g)", "x*z")
def test_what_x_is_measured_from_changes_nothing_by_default(side):
    """Fitted values, slopes and contrasts at the data move by less than 0.05 of their SDs; the seed is the same.

    With it the draws of the variances are nearly the same too, so that no noise of sampling lies between the two.
    """
    data = crossed()
    fits = [
        sf.lmer(f"y ~ {side}", data.assign(x=data["x"] + by), random_seed=1, progress=False) for by in (0.0, 2000.0)
    ]
    for table in (fitted, last_coefficient, slopes_of_x, contrasts_of_f):
        here, there = (table(fit) for fit in fits)
        assert len(here) == len(there)
        assert (np.abs(here["estimate"] - there["estimate"]) / here["std_error"]).max() < 0.05, table.__name__
        np.testing.assert_allclose(there["std_error"], here["std_error"], rtol=0.05)


def fitted(fit: sf.Fit) -> pd.DataFrame:
    return sf.fitted(fit)


def last_coefficient(fit: sf.Fit) -> pd.DataFrame:
    return sf.fixef(fit).iloc[-1:]


def slopes_of_x(fit: sf.Fit) -> pd.DataFrame:
    return sf.slopes(fit, "x").table


def contrasts_of_f(fit: sf.Fit) -> pd.DataFrame:
    return (
        sf.pairs(sf.marginal_means(fit, "f")).table
        if "f" in sf.fixef(fit)["term"].str[0].to_list()
        else slopes_of_x(fit)
    )


@pytest.mark.slow
def test_a_calendar_year_does_not_erase_an_interaction():
    """Distances like those of nlme's Orthodont: the slopes' difference is REML's, in years of age as of our era."""
    rng, n = np.random.default_rng(4), 27
    data = pd.DataFrame({"Subject": np.repeat([f"s{i}" for i in range(n)], 4), "age": np.tile([8, 10, 12, 14], n)})
    data["Sex"] = pd.Categorical(np.repeat(np.where(np.arange(n) < 16, "M", "F"), 4), ["M", "F"])
    slope = 0.78 - 0.3 * (data["Sex"] == "F")
    data["distance"] = 16 + slope * data["age"] + np.repeat(rng.normal(0, 1.8, n), 4) + rng.normal(0, 1.4, 4 * n)
    data["year"] = data["age"] + 1990
    reml = sf.fixef(sf.lmer("distance ~ age * Sex + (1 | Subject)", data, method="reml")).iloc[3]
    for column in ("age", "year"):
        fit = sf.lmer(f"distance ~ {column} * Sex + (1 | Subject)", data, random_seed=1, progress=False)
        found = sf.fixef(fit).iloc[3]
        # 4,000 draws: a standard error of 0.016 SDs
        assert found["estimate"] == pytest.approx(reml["estimate"], abs=0.1 * reml["std_error"])
        assert found["std_error"] == pytest.approx(reml["std_error"], rel=0.1)
