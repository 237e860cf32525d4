"""Group terms with covariance structures or related levels in PyMC: covariances, and posteriors by other engines."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytensor.tensor as pt
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.posterior.draws import draws_of

FOLDER = Path(__file__).parents[2] / "data" / "r" / "textbook"
TERMS = {
    "cs": "cs(0 + Machine | Worker)",
    "homcs": "cs(0 + Machine | Worker, hom = TRUE)",
    "homdiag": "diag(0 + Machine | Worker, hom = TRUE)",
    "ar1": "ar1(0 + Machine | Worker)",
    "hetar1": "ar1(0 + Machine | Worker, hom = FALSE)",
}
SLOTS = [f"Machine[{letter}]|Worker" for letter in "ABC"]
SDS, PLACE = (2.0, 0.5, 1.5), 0.3  # where rho lies in its range
MOST_ERRORS = 5.0  # Monte Carlo errors of a difference: some 30 numbers are compared, a false alarm in 1e5 runs


@cache
def machines():
    return pd.read_csv(FOLDER / "Machines.csv")


def wanted(structure):
    """Return the covariance of one level's effects (3, 3)."""
    rho = -0.5 + 1.5 * PLACE if structure.endswith("cs") else -1 + 2 * PLACE
    apart = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    power = {"s": apart > 0, "g": np.where(apart, np.inf, 0), "1": apart}[structure[-1]].astype(float)
    sds = np.full(3, SDS[0]) if structure.startswith("hom") or structure == "ar1" else np.array(SDS)
    return np.outer(sds, sds) * rho**power


def given(structure, pymc_model):
    """Return the values of the variables behind one level's covariance."""
    free = {variable.name for variable in pymc_model.free_RVs}
    sds = {f"{slot}_sigma": sd for slot, sd in zip(SLOTS, SDS, strict=True)}
    assert {name for name in sds if name in free} == {
        f"{slot}_sigma" for slot in (SLOTS if structure in ("cs", "hetar1") else SLOTS[:1])
    }
    known = sds | {"cor|Worker_partial": PLACE}
    return {pymc_model[name]: np.array(value) for name, value in known.items() if name in free}


@pytest.mark.parametrize("structure", TERMS)
def test_multiples_of_sds_become_effects_with_the_structure(structure):
    priors = {slot: sf.Prior("Normal", mu=0, sigma=sf.Prior("HalfNormal", sigma=5), noncentered=True) for slot in SLOTS}
    pymc_model = sf.to_pymc(sf.Model(f"score ~ Machine + {TERMS[structure]}", machines(), priors=priors))
    values = given(structure, pymc_model)
    factor = np.empty((3, 3))
    for place in range(3):
        scores = {pymc_model[f"{slot}_offset"]: np.full(6, float(k == place)) for k, slot in enumerate(SLOTS)}
        for row, slot in enumerate(SLOTS):
            factor[row, place] = pymc_model[slot].eval(scores | values, on_unused_input="ignore")[0]
    np.testing.assert_allclose(factor @ factor.T, wanted(structure), rtol=1e-10, atol=1e-12)
    assert np.allclose(factor, np.tril(factor))


@pytest.mark.parametrize("structure", ["homcs", "homdiag", "hetar1"])
def test_effects_as_themselves_have_the_density_of_the_structure(structure):
    pymc_model = sf.to_pymc(sf.Model(f"score ~ Machine + {TERMS[structure]}", machines()))
    effects = np.random.default_rng(2).normal(size=(3, 6))
    rvs = [pymc_model[slot] for slot in SLOTS]
    density = sum(one.sum() for one in pymc_model.logp(vars=rvs, sum=False))
    values = {pymc_model.rvs_to_values[rv]: value for rv, value in zip(rvs, effects, strict=True)}
    for variable, value in given(structure, pymc_model).items():
        forward = np.log(value / (1 - value)) if variable.name.endswith("_partial") else np.log(value)
        values[pymc_model.rvs_to_values[variable]] = np.array(forward)
    found = density.eval(values, on_unused_input="ignore")
    expected = stats.multivariate_normal(np.zeros(3), wanted(structure)).logpdf(effects.T).sum()
    assert float(found) == pytest.approx(expected, rel=1e-10)


LINES = list("pqrs")
RELATED = pd.DataFrame(0.4 + np.diag([0.6, 1.1, 0.8, 0.5]), LINES, LINES)  # of "s" there is no row
SLOPES, MEANS = ["1|g", "x|g"], (0.7, 0.3)


def related_model(*, centred):
    rows = pd.DataFrame({"x": np.arange(8.0), "g": list("rqprqprq"), "y": 0.0})
    means = (sf.Prior("Normal", mu=0, sigma=1), MEANS[1])
    priors = {
        slot: sf.Prior("Normal", mu=mean, sigma=sf.Prior("HalfNormal", sigma=2), noncentered=not centred)
        for slot, mean in zip(SLOPES, means, strict=True)
    }
    model = sf.Model("y ~ 0 + (x | gr(g, cov = A))", rows, priors=priors, matrices={"A": RELATED})
    levels = list(model.design.mean.groups[0].levels)
    return sf.to_pymc(model), np.kron(
        np.outer(SDS[:2], SDS[:2]) * [[1, PLACE], [PLACE, 1]], RELATED.loc[levels, levels]
    )


def test_related_effects_as_themselves_have_the_density_of_their_covariance():
    pymc_model, covariance = related_model(centred=True)
    effects = np.random.default_rng(2).normal(size=(2, 4))
    rvs = [pymc_model[slot] for slot in SLOPES]
    density = sum(one.sum() for one in pymc_model.logp(vars=rvs, sum=False))
    others = {f"{slot}_sigma": np.log(sd) for slot, sd in zip(SLOPES, SDS, strict=False)}
    others |= {"1|g_mu": MEANS[0], "cor|g_partial": [np.log((1 + PLACE) / (1 - PLACE))]}
    values = {pymc_model.rvs_to_values[rv]: value for rv, value in zip(rvs, effects, strict=True)}
    values |= {pymc_model.rvs_to_values[pymc_model[name]]: np.array(value) for name, value in others.items()}
    expected = stats.multivariate_normal(np.repeat(MEANS, 4), covariance).logpdf(effects.ravel())
    assert float(density.eval(values, on_unused_input="ignore")) == pytest.approx(expected, rel=1e-10)


def test_multiples_of_sds_become_effects_of_related_levels():
    pymc_model, covariance = related_model(centred=False)
    values = {pymc_model[f"{slot}_sigma"]: np.array(sd) for slot, sd in zip(SLOPES, SDS, strict=False)}
    values |= {pymc_model["1|g_mu"]: np.array(MEANS[0]), pymc_model["cor|g_partial"]: np.array([(1 + PLACE) / 2])}
    made = pt.concatenate([pymc_model[slot] for slot in SLOPES])

    def effects(standard):
        scores = {pymc_model[f"{slot}_offset"]: part for slot, part in zip(SLOPES, standard, strict=True)}
        return made.eval(values | scores, on_unused_input="ignore")

    middle = effects(np.zeros((2, 4)))
    factor = np.column_stack([effects(unit.reshape(2, 4)) - middle for unit in np.eye(8)])
    np.testing.assert_allclose(middle, np.repeat(MEANS, 4))
    np.testing.assert_allclose(factor @ factor.T, covariance, rtol=1e-10)


def test_a_translated_structure_reads_back_as_itself():
    model = sf.Model(f"score ~ Machine + {TERMS['hetar1']}", machines())
    assert sf.from_bambi(sf.to_bambi(model)) is model


def _numbers(fit):
    """Return logarithms of SDs, Fisher's z of rho, fixed effects and a level's effects (chains, draws, numbers)."""
    draws, block = draws_of(fit), fit.model.design.mean.groups[0]
    columns = [
        np.log(draws.sds(block)),
        draws.coefficients(fit.model.design.mean),
        *(e[:, :2] for e in draws.effects(block)),
    ]
    if block.correlated:
        columns.append(np.arctanh(draws.correlation(block)[:, :1]))
    return draws.by_chain(np.column_stack(columns))


def _mean_and_error(values):
    import arviz as az

    ess = np.array([float(az.ess(values[..., k])) for k in range(values.shape[-1])])
    return values.mean(axis=(0, 1)), values.std(axis=(0, 1)) / np.sqrt(ess)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("formula", "table", "family", "method"),
    [
        (f"score ~ Machine + {TERMS['homcs']}", "Machines", "gaussian", "exact"),
        (f"score ~ Machine + {TERMS['hetar1']}", "Machines", "gaussian", "exact"),
        ("y ~ lbase * trt + lage + ar1(0 + visit | subject)", "epil", "poisson", "hmc"),
    ],
)
def test_the_posterior_is_that_of_the_other_engines(formula, table, family, method):
    model = sf.Model(formula, pd.read_csv(FOLDER / f"{table}.csv"), family=family)
    settings = {"draws": 2000, "chains": 4, "random_seed": 8, "progress": False}
    ours = _mean_and_error(_numbers(sf.fit(model, method=method, **settings)))
    theirs = _mean_and_error(_numbers(sf.fit(model, method="nuts", tune=2000, target_accept=0.99, **settings)))
    np.testing.assert_array_less(np.abs(ours[0] - theirs[0]), MOST_ERRORS * np.hypot(ours[1], theirs[1]))
