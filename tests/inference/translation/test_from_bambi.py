"""Models read from Bambi against Bambi's own PyMC models: the same log density at the same values.

Bambi builds its model from its own formula, data and priors; nothing of this package's is on that side.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import bambi as bmb
import numpy as np
import pandas as pd
import pytest
from formulae.transforms import BSpline
from scipy import stats

import speclet_formula as sf

N = 60
RNG = np.random.default_rng(3)
TABLE = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(3.0, 1.0, N),
        "my col": RNG.normal(size=N),
        "pos": RNG.gamma(2.0, 1.0, N),
        "g": [f"g{i % 5}" for i in range(N)],
        "h": [f"h{i % 3}" for i in range(N)],
        "dose": np.arange(N) % 4,
        # Without an order: Bambi's reference is "drug", the alphabet's first.
        "arm": pd.Categorical([["vehicle", "drug", "other"][i % 3] for i in range(N)], ["vehicle", "drug", "other"]),
        "sex": pd.Categorical(RNG.choice(["m", "f"], N), ["m", "f"], ordered=True),
        "won": RNG.choice(["yes", "no"], N),
        "n": 5 + np.arange(N) % 3,
        "count": RNG.poisson(3.0, N),
        "status": RNG.choice(["none", "right", "left"], N),
        "grade": pd.Categorical(RNG.choice(["lo", "mi", "hi"], N), ["lo", "mi", "hi"], ordered=True),
    }
)
TABLE["s"] = RNG.binomial(TABLE["n"], 0.4)
TABLE["share"] = RNG.uniform(0.1, 0.9, N)
TABLE["z"] = TABLE["x"] - TABLE["x"].mean()
# As Bambi makes them itself, though not without a warning of pandas'.
TABLE[["g", "h", "won", "status"]] = TABLE[["g", "h", "won", "status"]].astype("category")


def twice(values: Any) -> Any:
    return 2 * values


def group_prior(**arguments: Any) -> Any:
    return bmb.Prior("Normal", mu=0, sigma=bmb.Prior("Exponential", lam=2), **arguments)


@dataclass
class Case:
    """A Bambi model, the formula that it has here, and the terms that are called otherwise here."""

    formula: Any
    expected: str
    family: str = "gaussian"
    arguments: dict[str, Any] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)


CASES = {
    "crossed intercepts": Case("y ~ (1|g) + (1|h)", "y ~ 1 + (1 | g) + (1 | h)"),
    "slopes": Case("y ~ x + (x|g)", "y ~ 1 + x + (1 + x || g)"),
    "categorical slopes": Case("y ~ x + (x + arm|g)", "y ~ 1 + x + (1 + x + arm || g)"),
    "nested, with cells that have no row": Case("y ~ (1|g) + (1|g:arm:h)", "y ~ 1 + (1 | g) + (1 | g:arm:h)"),
    "no intercept": Case("y ~ 0 + arm + x + (0 + x|g)", "y ~ 0 + arm + x + (0 + x | g)"),
    "factors": Case(
        "y ~ arm*sex + C(dose)", "y ~ 1 + arm + sex + factor(dose) + arm:sex", renamed={"C(dose)": "factor(dose)"}
    ),
    "calls": Case(
        "np.log(pos) ~ {x ** 2} + np.sqrt(pos):sex + bs(x, df=4) + center(x) + twice(x) + np.power(pos, 1.5)"
        " + `my col`",
        "log(pos) ~ 1 + I(x^2) + bs(x, df = 4) + center(x) + twice(x) + np.power(pos, 1.5) + `my col` + sqrt(pos):sex",
        arguments={"extra_namespace": {"twice": twice}},
        renamed={"I(x ** 2)": "I(x^2)", "np.sqrt(pos):sex": "sqrt(pos):sex", "bs(x, df=4)": "bs(x, df = 4)"},
    ),
    "binomial": Case("p(s, n) ~ x + (1|g)", "cbind(s, n - s) ~ 1 + x + (1 | g)", "binomial"),
    "binomial, one number of trials": Case("proportion(s, 9) ~ arm", "cbind(s, 9 - s) ~ 1 + arm", "binomial"),
    "bernoulli of labels, whose first level Bambi counts": Case(
        "won ~ x", "won ~ 1 + x", "bernoulli", {"link": "probit"}
    ),
    "bernoulli of a named label": Case("won['yes'] ~ x", "won ~ 1 + x", "bernoulli"),
    "poisson with an offset": Case(
        "count ~ x + offset(np.log(n))", "count ~ 1 + x + offset(log(n))", "poisson"
    ),
    "negative binomial": Case("count ~ x + (1|h)", "count ~ 1 + x + (1 | h)", "negativebinomial"),
    "t": Case("y ~ x", "y ~ 1 + x", "t"),
    "censored": Case("censored(pos, status) ~ z", "censored(pos, status) ~ 1 + z"),
    "truncated": Case("truncated(y, -10, 10) ~ z", "truncated(y, -10, 10) ~ 1 + z"),
    "ordered levels": Case("grade ~ 0 + (1|g)", "grade ~ 1 + (1 | g)", "cumulative"),
    "stopping ratio": Case("grade ~ 0 + center(x)", "grade ~ 1 + center(x)", "sratio"),
    "own priors": Case(
        "y ~ x + arm + (1|g) + (1|h)",
        "y ~ 1 + x + arm + (1 | g) + (1 | h)",
        arguments={
            "priors": {
                "Intercept": bmb.Prior("StudentT", nu=3, mu=1, sigma=2),
                "x": bmb.Prior("Normal"),  # PyMC's own mean and SD
                "arm": bmb.Prior("Normal", mu=[1.0, 2.0], sigma=np.array([3.0, 4.0])),
                "sigma": bmb.Prior("Gamma", mu=1, sigma=0.5),
                "1|g": group_prior(noncentered=False),
                "1|h": group_prior(noncentered=True),
            }
        },
    ),
    "flat priors": Case("y ~ x + (1|g)", "y ~ 1 + x + (1 | g)", arguments={"auto_scale": False}),
    "centred group effects around a mean": Case(
        "y ~ 0 + (1|g)",
        "y ~ 0 + (1 | g)",
        arguments={
            "noncentered": False,
            "priors": {"1|g": bmb.Prior("Normal", mu=3, sigma=bmb.Prior("HalfNormal", sigma=1))},
        },
    ),
    "predictors that are centred already": Case(
        "y ~ z", "y ~ 1 + z", arguments={"center_predictors": False}
    ),
    "one prior of all fixed terms": Case(
        "y ~ x + arm", "y ~ 1 + x + arm", arguments={"priors": {"common": bmb.Prior("Laplace", mu=0, b=2)}}
    ),
    "an interaction alone": Case("y ~ arm:sex", "y ~ 1 + sex + arm:sex"),
    "laplace": Case("y ~ x + (1|g)", "y ~ 1 + x + (1 | g)", "laplace"),
    "a formula of nu": Case(bmb.Formula("y ~ x", "nu ~ x"), "y ~ 1 + x; nu ~ 1 + x", "exgaussian"),
    "a formula of kappa": Case(
        bmb.Formula("share ~ x + (1|g)", "kappa ~ z"), "share ~ 1 + x + (1 | g); kappa ~ 1 + z", "beta"
    ),
    "a formula of psi": Case(
        bmb.Formula("count ~ x", "psi ~ z + (1|h)"), "count ~ 1 + x; psi ~ 1 + z + (1 | h)", "zero_inflated_poisson"
    ),
    "a formula of sigma": Case(
        bmb.Formula("y ~ x + (1|g)", "sigma ~ 0 + arm + (x|g)"),
        "y ~ 1 + x + (1 | g); sigma ~ 0 + arm + (1 + x || g)",
    ),
}  # fmt: skip


def bambi_model(case: Case) -> Any:
    model = bmb.Model(case.formula, TABLE, family=case.family, **case.arguments)
    model.build()
    return model


def spelled(
    values: dict[str, np.ndarray], theirs: Any, ours: Any, renamed: dict[str, str]
) -> tuple[dict[str, Any], float]:
    """Return the values by the names here, and what the priors of effects that are not here come to.

    An effect that Bambi splits by columns is one variable for each column here, levels without a row are not here, and
    an offset is an effect where this package samples the effects themselves.
    """
    here: dict[str, Any] = {}
    extra = 0.0
    for name, value in values.items():
        whole, _, part = name.partition("|")
        label = whole
        for theirs_name, own in renamed.items():
            label = own if label == theirs_name else label
        if not part:
            here[label] = value
            continue
        levels = theirs.coords.get(f"{whole}__expr_dim") if np.ndim(value) > (not part.endswith("_sigma")) else None
        columns = [label] if levels is None else [f"{label}[{level}]" for level in levels]
        for column, one in zip(columns, [value] if levels is None else np.transpose(value), strict=True):
            own = f"{column}|{part}"
            if part.endswith("_sigma"):
                here[own] = one
                continue
            factor = part.removesuffix("_offset")
            levels = list(theirs.coords[f"{factor}__factor_dim"])
            kept = list(ours.coords[f"{factor}__factor_dim"])
            here[own] = np.array([one[levels.index(level)] for level in kept])
            left = [one[k] for k, level in enumerate(levels) if level not in kept]
            extra += float(stats.norm.logpdf(left).sum())
    return here, extra


@pytest.mark.parametrize("name", CASES)
@pytest.mark.mostly_slow("crossed intercepts", "slopes", "poisson with an offset", "stopping ratio")
def test_the_log_density_is_that_of_bambis_own_model(name: str) -> None:
    case = CASES[name]
    source = bambi_model(case)
    read = sf.from_bambi(source)
    assert str(read.formula) == case.expected
    theirs, ours = source.backend.model, sf.to_pymc(read)
    density, own_density = theirs.compile_logp(mode="FAST_COMPILE"), ours.compile_logp(mode="FAST_COMPILE")
    rng = np.random.default_rng(5)
    for _ in range(2):
        point = {key: np.asarray(rng.normal(0, 0.3, np.shape(value))) for key, value in theirs.initial_point().items()}
        values = {variable.name: point[theirs.rvs_to_values[variable].name] for variable in theirs.free_RVs}
        here, extra = spelled(values, theirs, ours, case.renamed)
        jacobian = 0.0
        own_point = {}
        for variable in ours.free_RVs:
            wanted, target = variable.name, ours.rvs_to_values[variable].name
            if wanted == "threshold_offset":
                wanted = "threshold"
            if wanted in here:
                own_point[target] = here.pop(wanted)
            else:  # sampled as the effect itself: u = sigma * offset
                log_sd = here[f"{wanted}_sigma"] if f"{wanted}_sigma" in here else own_point[f"{wanted}_sigma_log__"]
                own_point[target] = np.exp(log_sd) * here.pop(f"{wanted}_offset")
                jacobian += len(own_point[target]) * float(log_sd)
        assert not here
        # The same sums in another order.
        assert own_density(own_point) + jacobian + extra == pytest.approx(density(point), rel=1e-9)


def test_every_prior_is_stated() -> None:
    read = sf.from_bambi(bmb.Model("y ~ x + (x|g)", TABLE))
    assert {slot.source for slot in read.slots} == {"user"}
    prior = next(slot.prior for slot in read.slots if slot.slot == "sigma")
    assert prior == sf.Prior("HalfStudentT", nu=4, sigma=float(np.std(TABLE["y"])))  # Bambi's default


def test_rows_with_missing_values_are_left_out_as_in_bambi() -> None:
    holed = TABLE.assign(x=TABLE["x"].where(TABLE["x"].index != 4))
    assert sf.from_bambi(bmb.Model("y ~ x", holed, dropna=True)).n_dropped == 1


def test_scale_keeps_the_sd_that_bambi_divides_by() -> None:
    read = sf.from_bambi(bmb.Model("y ~ scale(x)", TABLE))
    expected = (TABLE["x"] - TABLE["x"].mean()) / TABLE["x"].std(ddof=0)
    assert read.design.mean.X[:, 1] == pytest.approx(expected.to_numpy(), abs=1e-12)


def test_splines_keep_their_columns_where_formulae_centres_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As formulae does from 0.8 on, which Bambi 0.21 does not take: other coefficients under the same name."""
    model = sf.Model("y ~ bs(x, df = 4)", TABLE)
    own = bmb.Model("y ~ bs(x, df=4)", TABLE)
    own.build()
    dropped = BSpline.eval
    monkeypatch.setattr(BSpline, "eval", lambda self, x: (made := dropped(self, x)) - made.mean(axis=0))
    centred = bmb.Model("y ~ bs(x, df=4)", TABLE)
    centred.build()
    translated = sf.to_bambi(model)
    translated.build()
    names = {own: "bs(x, df=4)", centred: "bs(x, df=4)", translated: "call1(x)"}
    columns = [np.asarray(of.conditional_parameters["mu"].terms[name].data) for of, name in names.items()]
    assert np.abs(columns[0] - columns[1]).max() > 0.1
    assert columns[2] == pytest.approx(columns[0], abs=1e-12)
    assert model.design.mean.X[:, 1:] == pytest.approx(columns[0], abs=1e-12)
    with pytest.raises(sf.FormulaError, match=re.escape("'bs(x, df=4)' of the Bambi model would have other columns")):
        sf.from_bambi(centred)


def test_a_number_from_beside_the_formula_is_written_into_it() -> None:
    read = sf.from_bambi(bmb.Model("y ~ I(x - shift)", TABLE, extra_namespace={"shift": -2.5}))
    assert str(read.formula) == "y ~ 1 + I(x - -2.5)"


def test_a_translation_reads_back_as_the_model_that_it_was_made_from() -> None:
    model = sf.Model("y ~ x + (1 + x | g)", TABLE)
    assert sf.from_bambi(sf.to_bambi(model)) is model


def changed_translation() -> Any:
    translated = sf.to_bambi(sf.Model("y ~ x", TABLE))
    translated.set_priors({"x": bmb.Prior("Normal", mu=0, sigma=1)})
    return translated


def custom_family() -> Any:
    likelihood = bmb.Likelihood("Normal", params=["mu", "sigma"], parent="mu")
    family = bmb.Family("gaussian", likelihood, {"mu": "identity", "sigma": "log"})
    return bmb.Model("y ~ x", TABLE, family=family, priors={"sigma": bmb.Prior("HalfNormal", sigma=1)})


def with_prior(formula: str, name: str, prior: Any, **arguments: Any) -> Any:
    return lambda: bmb.Model(formula, TABLE, priors={name: prior}, **arguments)


HALF = bmb.Prior("HalfNormal", sigma=1)
OTHER = "Give it another prior with model.set_priors(...), or fit the Bambi model itself."
CALLS = (
    "Calls that are read: numpy's functions, I or {...}, C(x), C(x, Sum), center, scale, bs, poly, and functions of "
    "your own."
)
COLUMNS = "Make its columns in the table first, and name them in the formula."

ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "no model": (
        lambda: "y ~ x",
        sf.DataError,
        "a str is not a Bambi model.\n"
        "from_bambi reads a bambi.Model, built or not.\n"
        "Write sf.from_bambi(bambi.Model(formula, data)).",
    ),
    "a changed translation": (
        changed_translation,
        sf.PriorError,
        "the priors of this Bambi model were changed with set_priors after to_bambi had made it.\n"
        "A model that to_bambi made reads back as the Model that it was made from, with that Model's priors.\n"
        "Give the priors to the Model: sf.Model(formula, data, priors={...}).",
    ),
    "a custom family": (
        custom_family,
        sf.DataError,
        "the family 'gaussian' of the Bambi model is a custom one.\n"
        "Families that Bambi has by name can be read: 'gaussian', 'poisson', ...\n"
        "Fit the Bambi model itself, or choose one of them: bambi.Model(..., family='gaussian').",
    ),
    "potentials": (
        lambda: bmb.Model("y ~ x", TABLE, potentials=[("x", lambda x: -(x**2))]),
        sf.PriorError,
        "the Bambi model has potentials: 1.\n"
        "A model here has a prior for each of its parameters, and no other factors.\n"
        "Leave potentials= out, or fit the Bambi model itself.",
    ),
    "a Gaussian process": (
        lambda: bmb.Model("y ~ hsgp(x, m=5, c=2)", TABLE),
        sf.FormulaError,
        "the Gaussian process 'hsgp(x, m=5, c=2)' of the Bambi model scales its variable, and not its box.\n"
        "Gaussian processes here are those of hsgp(x, m=20, c=2.5, scale=False), of one variable.\n"
        "Write it so, or fit the Bambi model itself.",
    ),
    "a weighted response": (
        lambda: bmb.Model("weighted(y, n) ~ x", TABLE),
        sf.FormulaError,
        "the response 'weighted(y, n)' is weighted.\n"
        "A response here is a column, an expression, p(successes, trials), censored(...) or truncated(...).\n"
        "Fit the Bambi model itself, or leave it out: weights= of Model divide the variance, and multiply no density.",
    ),
    "a constrained response": (
        lambda: bmb.Model("constrained(y, -10, 10) ~ z", TABLE),
        sf.FormulaError,
        "the response 'constrained(y, -10, 10)' is constrained.\n"
        "A response here is a column, an expression, p(successes, trials), censored(...) or truncated(...).\n"
        "Fit the Bambi model itself, or leave it out.",
    ),
    "one level of three": (
        lambda: bmb.Model("arm['drug'] ~ x", TABLE, family="bernoulli"),
        sf.FormulaError,
        "the response 'arm[drug]' is one level of several.\n"
        "A response of labels has two levels here.\n"
        "Make the column first: data['is_drug'] = data['arm'] == 'drug'.",
    ),
    "other contrasts": (
        lambda: bmb.Model("y ~ S(arm, 'other')", TABLE),
        sf.FormulaError,
        f"'S(arm, 'other')' of the Bambi model's formula has no counterpart here.\n{CALLS}\n{COLUMNS}",
    ),
    "what a formula cannot hold": (
        lambda: bmb.Model("y ~ by(x, w)", TABLE, extra_namespace={"by": lambda x, w: x * w, "w": np.arange(N)}),
        sf.FormulaError,
        "'w' in the Bambi model's formula is neither a column nor a number.\n"
        "Calls take columns, numbers, texts and TRUE or FALSE.\n"
        "Make the column in the table first, and name it in the formula.",
    ),
    "an interaction that R codes otherwise": (
        lambda: bmb.Model("y ~ (sex:x|g)", TABLE),
        sf.FormulaError,
        "'sex:x|g' of the Bambi model would have other columns here.\n"
        "A Bambi model is read if all its columns come out the same from the formula in R's grammar.\n"
        "Make the columns in the table first and name them in the formula, or fit the Bambi model itself.",
    ),
    "a parameter that is fixed": (
        with_prior("y ~ x", "sigma", 2.0),
        sf.PriorError,
        "'sigma' is fixed at 2.0 in the Bambi model.\n"
        "Here every parameter is estimated, and has a prior.\n"
        "Give it a narrow prior: model.set_priors({'sigma': bmb.Prior('Gamma', mu=2.0, sigma=0.02)}).",
    ),
    "a distribution that is not here": (
        with_prior("y ~ x", "x", bmb.Prior("SkewNormal", alpha=2)),
        sf.PriorError,
        "the prior of 'x' in the Bambi model, SkewNormal(alpha: 2.0), cannot be read: 'SkewNormal' is not a "
        "distribution that a prior can have.\n"
        "The distributions are Beta, Cauchy, Dirichlet, Exponential, Flat, Gamma, HalfCauchy, HalfFlat, HalfNormal, "
        "HalfStudentT, InverseGamma, LKJ, Laplace, LogNormal, Logistic, Normal, StudentT, Uniform.\n" + OTHER,
    ),
    "a parameter that PyMC drops": (
        with_prior("y ~ x", "x", bmb.Prior("Normal", mean=2)),
        sf.PriorError,
        "the prior of 'x' in the Bambi model, Normal(mean: 2.0), cannot be read: Normal has no parameter 'mean'.\n"
        "Normal takes mu, sigma.\n" + OTHER,
    ),
    "a prior's own function": (
        with_prior("y ~ x", "x", bmb.Prior("Normal", dist=twice)),
        sf.PriorError,
        "the prior of 'x' in the Bambi model is built by a function of its own, twice.\n"
        "Priors that are read have a name and numbers: Normal, StudentT, HalfNormal, ...\n"
        "Give it a named prior with model.set_priors(...), or fit the Bambi model itself.",
    ),
    "group effects that are not Normal": (
        with_prior("y ~ (1|g)", "1|g", bmb.Prior("StudentT", nu=3, sigma=HALF), noncentered=False),
        sf.PriorError,
        "the effects of '1|g' in the Bambi model are StudentT.\n"
        "Group effects are Normal here, as in lme4.\n"
        "Give them a Normal prior with model.set_priors(...), or fit the Bambi model itself.",
    ),
    "a mean that Bambi leaves out": (
        with_prior("y ~ (1|g)", "1|g", bmb.Prior("Normal", mu=3, sigma=HALF)),
        sf.PriorError,
        "the prior of '1|g' has a mean, Normal(mu: 3.0, sigma: HalfNormal(sigma: 1.0)), which Bambi leaves out of a "
        "model that is not centred.\n"
        "A group term's mean counts here, whichever way it is sampled.\n"
        "Say which is meant: bmb.Prior(..., noncentered=False) for the mean, or mu=0 for none.",
    ),
    "an intercept where predictors are zero": (
        with_prior("y ~ x", "Intercept", bmb.Prior("Normal", mu=0, sigma=1), center_predictors=False),
        sf.PriorError,
        "the Bambi model's prior of the intercept, Normal(mu=0, sigma=1), holds where the predictors are zero.\n"
        "Here the intercept has a prior at the predictors' means.\n"
        "Centre the predictors in the Bambi model's formula, center(x), or leave center_predictors=False out.",
    ),
    "thresholds where predictors are zero": (
        with_prior("grade ~ 0 + x", "threshold", bmb.Prior("Normal", mu=0, sigma=2), family="sratio"),
        sf.PriorError,
        "the Bambi model's prior of thresholds, Normal(mu=0, sigma=2), holds where the predictors are zero.\n"
        "Here thresholds have a prior at the predictors' means.\n"
        "Centre the predictors in the Bambi model's formula, center(x).",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_read_is_said_in_three_parts(name: str) -> None:
    make, kind, text = ERRORS[name]
    model = make()
    with pytest.raises(kind) as caught:
        sf.from_bambi(model)
    assert str(caught.value) == text


def test_a_gaussian_process_has_the_waves_and_the_density_of_bambis():
    """The columns are PyMC's but for their size, and the model of to_bambi has the density of Bambi's own."""
    name = "hsgp(x, m=5, c=2, cov='Matern52', scale=False)"
    given = {"sigma": bmb.Prior("HalfNormal", sigma=2), "ell": bmb.Prior("InverseGamma", alpha=3, beta=2)}
    theirs = bmb.Model(f"y ~ {name}", TABLE, priors={name: given})
    model = sf.from_bambi(theirs)
    (block,) = model.design.mean.groups
    assert str(model.formula) == 'y ~ 1 + gp(x, m = 5, c = 2, cov = "matern52")'
    priors = {slot.slot: str(slot.prior) for slot in model.slots}
    assert priors["1|gp(x)"] == "Normal(mu=0, sigma=HalfNormal(sigma=2))"
    assert priors["ell|gp(x)"] == "InverseGamma(alpha=3, beta=2)"
    theirs.build()
    term = theirs.conditional_parameters["mu"].terms[name]
    phi, _ = term.hsgp.prior_linearized(np.asarray(term.data_centered))
    np.testing.assert_allclose(phi.eval() * np.sqrt(block.structure.reach), block.values, atol=1e-12)
    raw, numbers = np.array([0.3, -0.5, 1.0, 0.2, -1.2]), {"Intercept": 0.4, "sigma": 0.9}
    own = {**numbers, f"{name}_sigma": 1.3, f"{name}_ell": 0.7, f"{name}_weights_raw": raw}
    waves = {f"{place}|gp(x)_offset": [value] for place, value in enumerate(raw, 1)}
    ours = {**numbers, "1|gp(x)_sigma": 1.3, "ell|gp(x)": 0.7, **waves}
    assert _density(sf.to_pymc(model), ours) == pytest.approx(_density(theirs.backend.model, own), rel=1e-9)


def _density(model, values):
    """Return the log density of a PyMC model at values on their own scales."""
    assert {variable.name for variable in model.free_RVs} == set(values)
    points = {}
    for variable in model.free_RVs:
        transform, value = model.rvs_to_transforms[variable], np.asarray(values[variable.name], dtype=float)
        inner = value if transform is None else transform.forward(value, *variable.owner.inputs).eval()
        points[model.rvs_to_values[variable].name] = inner
    return float(model.compile_fn(model.logp(jacobian=False), inputs=model.value_vars)(points))
