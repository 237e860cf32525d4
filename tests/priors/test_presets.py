"""The presets' numbers, worked out again from the data frame."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from speclet_formula.design import build_design
from speclet_formula.design.design import Merged
from speclet_formula.errors import PriorError
from speclet_formula.families import FAMILIES, resolve_family
from speclet_formula.formula.parse import parse_formula
from speclet_formula.model import Model
from speclet_formula.priors import PRESETS, Prior, resolve_priors, scales

# Of one linear predictor; unordered levels are in test_levels.
LINKS = [(name, link) for name, known in FAMILIES.items() if known.per_level is None for link in known.links]


def sigma_of(slot):
    """The scale of a slot's prior: of a group term, that of its SD's prior."""
    prior = slot.prior.parameters["sigma"] if slot.kind == "group" else slot.prior
    return prior.parameters["beta" if prior.name == "HalfCauchy" else "sigma"]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("family", "link"), LINKS)
@pytest.mark.mostly_slow(every=17)
def test_every_family_has_defaults(frame, preset, family, link):
    support = FAMILIES[family].support
    table = frame.assign(share=frame["hit"] * 0.5 + 0.2, grade=np.arange(len(frame)) % 4, angle=frame["y"] / 50)
    response = {
        "count": "count", "binary": "hit", "unit": "share", "angle": "angle", "ordinal": "grade",
        "proportion": "cbind(hit, count)",
    }.get(support, "y")  # fmt: skip
    model = Model(f"{response} ~ x + f + (1 + z | g)", table, family=family, link=link, priors=preset)
    slots = {slot.slot: slot for slot in model.slots}
    first = [] if support == "ordinal" else ["Intercept"]
    names = [*first, "x", "f", "1|g", "z|g", "cor|g", *FAMILIES[family].parameters]
    assert list(slots) == names
    numbers = [
        value for slot in slots.values() for value in slot.prior.parameters.values() if not isinstance(value, Prior)
    ]
    assert all(np.isfinite(value).all() for value in numbers)


def test_weak_on_the_identity_link(frame, slots_of):
    slots = slots_of("y ~ x + f + (1 + z | g)")
    sd = frame["y"].std()
    assert slots["Intercept"].prior == Prior("Normal", mu=frame["y"].mean(), sigma=10 * sd)
    assert slots["x"].prior.parameters["mu"] == 0
    assert sigma_of(slots["x"]) == pytest.approx(2.5 * sd / frame["x"].std())
    dummies = pd.get_dummies(frame["f"]).astype(float)[["b", "c"]]
    np.testing.assert_allclose(sigma_of(slots["f"]), 2.5 * sd / dummies.std())
    assert slots["1|g"].prior.parameters["sigma"].name == "HalfCauchy"
    assert sigma_of(slots["1|g"]) == pytest.approx(2 * sd)
    assert sigma_of(slots["z|g"]) == pytest.approx(2 * sd / frame["z"].std())
    assert slots["cor|g"].prior == Prior("LKJ", eta=2)
    assert slots["sigma"].prior.name == "HalfStudentT"
    assert slots["sigma"].prior.parameters["nu"] == 4
    assert sigma_of(slots["sigma"]) == pytest.approx(sd)


def test_weak_never_looks_at_a_predictors_mean(frame, slots_of):
    near = build_design(parse_formula("y ~ x + (1 + x | g)"), frame.assign(x=frame["x"] - 2000))
    shifted = resolve_priors(near, family=resolve_family("gaussian", "identity"))
    for slot in shifted:
        there = slots_of("y ~ x + (1 + x | g)")[slot.slot]
        if slot.kind != "cor":
            assert sigma_of(slot) == pytest.approx(sigma_of(there), rel=1e-9)


def what_is_left(column, *others):
    """The SD (n - 1) of the residuals of a column's regression on a constant and others."""
    design = np.column_stack([np.ones(len(column)), *(other / np.abs(other).max() for other in others)])
    return np.std(column - design @ np.linalg.lstsq(design, column, rcond=1e-14)[0], ddof=1)


def test_weak_scales_an_interaction_by_what_its_main_effects_leave(frame, slots_of):
    slots, unit = slots_of("y ~ x * f + z"), 2.5 * frame["y"].std()
    x, b, c = frame["x"], (frame["f"] == "b") * 1.0, (frame["f"] == "c") * 1.0
    np.testing.assert_allclose(
        sigma_of(slots["x:f"]), [unit / what_is_left(x * own, x, b, c) for own in (b, c)], rtol=1e-6
    )
    np.testing.assert_allclose(
        sigma_of(slots["f"]), [unit / what_is_left(own, x, x * b, x * c) for own in (b, c)], rtol=1e-6
    )
    assert sigma_of(slots["x"]) == pytest.approx(unit / what_is_left(x, b, c, x * b, x * c), rel=1e-6)
    assert sigma_of(slots["z"]) == pytest.approx(unit / frame["z"].std())


def test_weak_leaves_terms_alone_that_share_nothing_with_numbers(frame, slots_of):
    slots, unit = slots_of("y ~ f * h + x + offset(z)"), 2.5 * frame["y"].std()
    dummies = pd.get_dummies(frame["f"]).astype(float)[["b", "c"]]
    np.testing.assert_allclose(sigma_of(slots["f"]), unit / dummies.std())
    assert sigma_of(slots["x"]) == pytest.approx(unit / frame["x"].std())


@pytest.mark.parametrize("formula", ["y ~ x + scale(x)", "y ~ x + I(x + z) + z + x:z + I(x * z)"])
def test_columns_that_others_make_keep_their_own_scale(frame, slots_of, formula):
    slots, unit = slots_of(formula), 2.5 * frame["y"].std()
    assert sigma_of(slots["x"]) == pytest.approx(unit / frame["x"].std(), rel=3)
    assert all(sigma_of(slot) < 1e6 for slot in slots.values())


INTERACTIONS = ["x * f", "x * z", "x * f * h", "z * x + f:x", "x + I(x^2)", "I(x^2) + x", "f / x", "0 + f + f:x"]


@pytest.mark.parametrize("side", [*INTERACTIONS, "poly(x, 2) * f", "x * f + `z 2` * x"])
@pytest.mark.parametrize("parameter", ["", "sigma"])
@pytest.mark.mostly_slow(every=4)
def test_weak_scales_what_holds_for_all_x_alike_wherever_x_is_measured_from(frame, side, parameter):
    """The highest terms keep their prior; lower ones get a wider one, as what they mean at x = 0 is farther away."""
    before = "sigma_" if parameter else ""
    formula = f"y ~ 1\nsigma ~ {side}" if parameter else f"y ~ {side}"
    table = frame.assign(**{"z 2": frame["z"] + 0.1})
    near, far = (
        {slot.slot: sigma_of(slot) for slot in Model(formula, table.assign(x=frame["x"] + by)).slots}
        for by in (-frame["x"].mean(), 2000)
    )
    highest = {"x * z": ["x:z"], "x + I(x^2)": ["I(x^2)"], "I(x^2) + x": ["I(x^2)"], "f / x": ["f:x"],
               "0 + f + f:x": ["f:x"], "x * f": ["x:f"], "x * f * h": ["x:f:h"], "z * x + f:x": ["z:x"],
               "poly(x, 2) * f": ["poly(x, 2)", "f", "poly(x, 2):f"], "x * f + `z 2` * x": ["x:f"]}[side]  # fmt: skip
    for name in highest:
        np.testing.assert_allclose(far[before + name], near[before + name], rtol=1e-4)
    if "f" in near and "poly" not in side:
        assert np.min(np.asarray(far["f"]) / near["f"]) > 100


def test_merged_rows_and_inner_products_give_the_same_scales(frame, monkeypatch):
    design = build_design(parse_formula("y ~ x * f + z"), frame)
    term = next(term for term in design.mean.fixed if term.name == "x:f")
    whole = scales.own_sds(design.mean, term)
    twice = build_design(parse_formula("y ~ x * f + z"), pd.concat([frame, frame]))
    count = len(frame)
    doubled = Merged(np.full(count, 2.0), np.zeros(count))
    np.testing.assert_allclose(scales.own_sds(design.mean, term, doubled), scales.own_sds(twice.mean, term), rtol=1e-9)
    monkeypatch.setattr(scales, "_QUICK", 0)
    np.testing.assert_allclose(scales.own_sds(design.mean, term), whole, rtol=1e-6)
    np.testing.assert_allclose(scales.own_sds(design.mean, term, doubled), scales.own_sds(twice.mean, term), rtol=1e-9)


def test_weak_takes_the_offset_off(frame, slots_of):
    gaussian = slots_of("y ~ 1 + offset(depth)")["Intercept"].prior.parameters
    assert gaussian["mu"] == pytest.approx((frame["y"] - frame["depth"]).mean())
    poisson = slots_of("count ~ 1 + offset(log(depth))", family="poisson", link="log")
    expected = math.log(frame["count"].mean()) - np.log(frame["depth"]).mean()
    assert poisson["Intercept"].prior.parameters["mu"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("family", "response", "link", "linked"),
    [
        ("poisson", "count", "log", np.log),
        ("bernoulli", "hit", "logit", lambda p: np.log(p / (1 - p))),
        ("bernoulli", "hit", "probit", stats.norm.ppf),
        ("bernoulli", "hit", "cloglog", lambda p: np.log(-np.log(1 - p))),
    ],
)
def test_weak_on_links_without_units(frame, slots_of, family, response, link, linked):
    slots = slots_of(f"{response} ~ x + (1 + z | g)", family=family, link=link)
    assert slots["Intercept"].prior.parameters["mu"] == pytest.approx(linked(frame[response].mean()))
    assert sigma_of(slots["Intercept"]) == 2.5
    assert sigma_of(slots["x"]) == pytest.approx(2.5 / frame["x"].std())
    assert sigma_of(slots["1|g"]) == 1
    assert sigma_of(slots["z|g"]) == pytest.approx(1 / frame["z"].std())


def test_weak_on_the_inverse_link(frame, slots_of):
    """One SD of y moves 1 / y by sd / mean^2, to first order."""
    slots = slots_of("y ~ x + (1|g)", link="inverse")
    mean, sd = frame["y"].mean(), frame["y"].std()
    assert slots["Intercept"].prior.parameters["mu"] == pytest.approx(1 / mean)
    assert sigma_of(slots["Intercept"]) == pytest.approx(2.5 * sd / mean**2)
    assert slots["1|g"].prior.parameters["sigma"].name == "HalfNormal"
    assert sigma_of(slots["1|g"]) == pytest.approx(sd / mean**2)
    assert sigma_of(slots["sigma"]) == pytest.approx(sd)


def test_binomial_proportions_are_weighted_by_their_trials():
    data = pd.DataFrame({"hits": [1, 90], "misses": [9, 10]})
    design = build_design(parse_formula("cbind(hits, misses) ~ 1"), data)
    (slot,) = resolve_priors(design, family=resolve_family("binomial", "logit"))
    p = 91 / 110
    assert slot.prior.parameters["mu"] == pytest.approx(math.log(p / (1 - p)))


@pytest.mark.parametrize(
    ("response", "family", "link", "mu"),
    [
        ([0, 0, 0, 0], "poisson", "log", math.log(1 / 8)),
        ([0, 0, 0, 0], "bernoulli", "logit", math.log(1 / 7)),
        ([1, 1, 1, 1], "bernoulli", "logit", math.log(7)),
    ],
)
def test_a_mean_at_the_edge_moves_inside_by_half_an_observation(response, family, link, mu):
    design = build_design(parse_formula("y ~ 1"), pd.DataFrame({"y": response}))
    (slot,) = resolve_priors(design, family=resolve_family(family, link))
    assert slot.prior.parameters["mu"] == pytest.approx(mu)


def test_small_positive_means_stay_where_they_are():
    design = build_design(parse_formula("y ~ 1"), pd.DataFrame({"y": [1e-6, 3e-6]}))
    intercept, _ = resolve_priors(design, family=resolve_family("gaussian", "log"))
    assert intercept.prior.parameters["mu"] == pytest.approx(math.log(2e-6))


@pytest.mark.parametrize("preset", PRESETS)
def test_what_never_varies_counts_as_sd_one(frame, preset):
    """A constant response of 0.1, whose SD is a rounding error, and a constant column in a group block."""
    design = build_design(parse_formula("flat ~ 1 + (1 | g) + (0 + flat2 | h)"), frame.assign(flat2=0.1))
    slots = resolve_priors(design, family=resolve_family("gaussian", "identity"), priors=preset)
    if preset == "weak":
        assert [sigma_of(slot) for slot in slots] == [10, 2, 2, 1]
    assert design.response.std() != 1
    for slot in slots:
        prior = slot.prior.parameters["sigma"] if slot.kind == "group" else slot.prior
        scale = prior.parameters.get("sigma") or prior.parameters.get("beta") or 1 / prior.parameters["lam"]
        assert 0.5 < scale < 11


def test_brms(frame, slots_of):
    slots = slots_of("y ~ x + f + (1 + z | g)", "brms")
    median = frame["y"].median()
    spread = max(2.5, round(1.4826 * (frame["y"] - median).abs().median(), 1))
    assert spread > 2.5
    assert slots["Intercept"].prior == Prior("StudentT", nu=3, mu=round(median, 1), sigma=spread)
    assert slots["x"].prior == slots["f"].prior == Prior("Flat")
    for name in ("1|g", "z|g"):
        assert slots[name].prior == Prior("Normal", mu=0, sigma=Prior("HalfStudentT", nu=3, sigma=spread))
    assert slots["cor|g"].prior == Prior("LKJ", eta=1)
    assert slots["sigma"].prior == Prior("HalfStudentT", nu=3, sigma=spread)


def test_brms_transforms_counts_and_not_outcomes(frame, slots_of):
    counts = slots_of("count ~ 1 + (1|g)", "brms", family="negativebinomial", link="log")
    median = round(float(np.median(np.log(np.where(frame["count"] == 0, 0.1, frame["count"])))), 1)
    assert counts["Intercept"].prior == Prior("StudentT", nu=3, mu=median, sigma=2.5)
    assert counts["alpha"].prior == Prior("InverseGamma", alpha=0.4, beta=0.3)
    outcomes = slots_of("hit ~ 1", "brms", family="bernoulli", link="logit")
    assert outcomes["Intercept"].prior == Prior("StudentT", nu=3, mu=0, sigma=2.5)


def test_brms_on_a_response_that_has_no_logarithm():
    design = build_design(parse_formula("y ~ 1"), pd.DataFrame({"y": [-1.0, -2.0]}))
    intercept, _ = resolve_priors(design, family=resolve_family("gaussian", "log"), priors="brms")
    assert intercept.prior == Prior("StudentT", nu=3, mu=0, sigma=2.5)


R = Path(__file__).parents[1] / "data" / "r"
BRMS = pd.read_csv(R / "brms_priors.csv", keep_default_na=False)  # of brms 2.18.0, made by brms_priors.R
BRMS_DATA = pd.read_csv(R / "brms_priors_data.csv")
FAMILY_NAMES = {"student": "t", "Gamma": "gamma", "inverse.gaussian": "wald", "Beta": "beta", "von_mises": "vonmises",
                "negbinomial": "negativebinomial", "zero_inflated_negbinomial": "zero_inflated_negativebinomial",
                "hurdle_negbinomial": "hurdle_negativebinomial", "asym_laplace": "asymmetriclaplace"}  # fmt: skip
PARAMETERS = {"shape": "alpha", "phi": "kappa", "zi": "psi", "hu": "psi"}
OURS = {"student_t": ("StudentT", ("nu", "mu", "sigma")), "gamma": ("Gamma", ("alpha", "beta")),
        "normal": ("Normal", ("mu", "sigma")), "logistic": ("Logistic", ("mu", "s")),
        "beta": ("Beta", ("alpha", "beta"))}  # fmt: skip


def in_our_words(text, positive):
    """Read one of brms' priors; of something positive it is the half above 0."""
    name, numbers = text.rstrip(")").split("(")
    values = dict(zip(OURS[name][1], map(float, numbers.split(",")), strict=True))
    if name == "student_t" and positive:
        return Prior("HalfStudentT", nu=values["nu"], sigma=values["sigma"])
    return Prior(OURS[name][0], **values)


@pytest.mark.parametrize(("family", "link"), sorted(set(zip(BRMS["family"], BRMS["link"], strict=True))))
@pytest.mark.mostly_slow(every=3)
def test_brms_gives_brms_numbers(family, link):
    """The shape of negative binomials has InverseGamma(0.4, 0.3) in later versions; asymmetric Laplace other names."""
    table = BRMS[(BRMS["family"] == family) & (BRMS["link"] == link)]
    own = FAMILY_NAMES.get(family, family)
    names = PARAMETERS | ({"shape": "lam"} if own == "wald" else {})
    names |= {"kappa": "kappa"} if own == "vonmises" else {}
    trials = "trials(" in table["response"].iloc[0]
    response = "cbind(count, trials - count)" if trials else table["response"].iloc[0]
    settings = {
        "family": own,
        "priors": "brms",
        "link": {"1/mu^2": "inverse_squared", "tan_half": None}.get(link, link),
    }
    data = BRMS_DATA.assign(grade=pd.Categorical(BRMS_DATA["grade"], ordered=True))
    for formula, part in table.groupby("formula", sort=False):
        if own == "asymmetriclaplace" and formula:
            continue
        parameter = names.get(formula, formula)
        second = f"\n{parameter} ~ x + (1 | g)" if formula else ""
        model = Model(f"{response} ~ x + (1 + x | g){second}", data, **settings)
        slots = {slot.slot: slot.prior for slot in model.slots}
        for kind, text in zip(part["class"], part["prior"], strict=True):
            before = f"{parameter}_" if formula else ""
            if kind == "sd":
                assert slots[f"{before}1|g"].parameters["sigma"] == in_our_words(text, positive=True)
            elif kind == "Intercept":
                slot = "threshold" if own in ("cumulative", "sratio") else f"{before}Intercept"
                assert slots[slot] == in_our_words(text, positive=False), (formula, slot)
            elif not (kind == "shape" and "binomial" in own) and own != "asymmetriclaplace":
                assert slots[names.get(kind, kind)] == in_our_words(text, positive=True), kind


def test_brms_measures_what_the_formula_speaks_of():
    """As `get_prior` of the same data: a log-normal response by its logarithms, sigma by the response itself."""
    for family, link, kind, expected in [
        ("hurdle_lognormal", "identity", "Intercept", Prior("StudentT", nu=3, mu=3.5, sigma=2.5)),
        ("hurdle_lognormal", "identity", "sigma", Prior("HalfStudentT", nu=3, sigma=2.5)),
        ("gaussian", "log", "sigma", Prior("HalfStudentT", nu=3, sigma=21.2)),
    ]:
        response = "zero" if family == "hurdle_lognormal" else "y"
        model = Model(f"{response} ~ x", BRMS_DATA, family=family, link=link, priors="brms")
        assert {slot.slot: slot.prior for slot in model.slots}[kind] == expected


@pytest.mark.parametrize("family", ["bernoulli", "binomial", "beta", "beta_binomial"])
def test_rstanarm_widens_priors_for_probit(family):
    """By dnorm(0) / dlogis(0), as its default_scale rule does, on the intercept's and the slopes' priors."""
    response = {"bernoulli": "hit", "beta": "share"}.get(family, "cbind(count, trials - count)")
    by_link = {
        link: {slot.slot: slot.prior for slot in Model(
            f"{response} ~ x + (1 | g)", BRMS_DATA, family=family, link=link, priors="rstanarm").slots}
        for link in ("logit", "probit", "cloglog")
    }  # fmt: skip
    ratio = stats.norm.pdf(0) / stats.logistic.pdf(0)
    for name in ("Intercept", "x"):
        logit, probit, cloglog = (sigma_of_prior(by_link[link][name]) for link in ("logit", "probit", "cloglog"))
        assert probit == pytest.approx(ratio * logit)
        assert cloglog == pytest.approx(logit)
    assert by_link["probit"]["1|g"] == by_link["logit"]["1|g"]


def sigma_of_prior(prior):
    return float(np.squeeze(prior.parameters["sigma"]))


def test_rstanarm(frame, slots_of):
    slots = slots_of("y ~ x + f + (1 + z | g)", "rstanarm")
    sd = frame["y"].std()
    assert slots["Intercept"].prior == Prior("Normal", mu=frame["y"].mean(), sigma=2.5 * sd)
    assert sigma_of(slots["x"]) == pytest.approx(2.5 * sd / frame["x"].std())
    for prior in (slots["sigma"].prior, slots["1|g"].prior.parameters["sigma"], slots["z|g"].prior.parameters["sigma"]):
        assert prior.name == "Exponential"
        assert prior.parameters["lam"] == pytest.approx(1 / sd)
    assert slots["cor|g"].prior == Prior("LKJ", eta=1)
    counts = slots_of("count ~ x + (1|g)", "rstanarm", family="negativebinomial", link="log")
    assert counts["Intercept"].prior == Prior("Normal", mu=0, sigma=2.5)
    assert sigma_of(counts["x"]) == pytest.approx(2.5 / frame["x"].std())
    assert counts["1|g"].prior.parameters["sigma"] == counts["alpha"].prior == Prior("Exponential", lam=1)


def test_notebook(slots_of):
    slots = slots_of("y ~ x + f + (1 + z | g)", "notebook")
    assert slots["Intercept"].prior == slots["x"].prior == slots["f"].prior == Prior("Normal", mu=0, sigma=5)
    assert slots["1|g"].prior == Prior("Normal", mu=0, sigma=Prior("Exponential", lam=1))
    assert slots["sigma"].prior == Prior("Exponential", lam=1)
    assert slots["cor|g"].prior == Prior("LKJ", eta=2)


def test_an_unknown_link_has_no_defaults(slots_of):
    with pytest.raises(PriorError, match="no default priors for the link 'loglog'"):
        slots_of("y ~ x", link="loglog")


BAMBI = [
    ("y ~ x + f + z:f + f:h + (1|g) + (0 + z|g)", "gaussian", "identity"),
    ("y ~ 0 + f + (1|g)", "t", "identity"),
    ("y ~ 1 + offset(depth)", "gaussian", "identity"),
    ("hit ~ x + f + z:f + f:h + x:z + (1|g) + (0 + z|g)", "bernoulli", "logit"),
    ("y ~ x + f + (1|g)", "laplace", "identity"),
    ("y ~ x + f + (1|g)", "exgaussian", "identity"),
    ("hit ~ x + f + (1|g)", "bernoulli", "cloglog"),
    ("count ~ x + f + (1|g)", "negativebinomial", "log"),
]


@pytest.mark.slow  # importing bambi takes seconds
@pytest.mark.parametrize(("formula", "family", "link"), BAMBI)
@pytest.mark.filterwarnings("ignore")  # not ours: PyTensor and formulae warn of their own
def test_bambi_gives_bambis_numbers(frame, slots_of, formula, family, link):
    import bambi

    parameters = FAMILIES[family].parameters
    slots = slots_of(formula, "bambi", family=family, link=link)
    model = bambi.Model(formula, frame, family=family, link=link)
    model.build()
    component = model.components[model.family.likelihood.parent]
    theirs = {name: term.prior for name, term in component.terms.items() if getattr(term, "prior", None) is not None}
    theirs |= {name: model.components[name].prior for name in parameters}
    theirs.pop("offset(depth)", None)
    assert set(slots) == set(theirs)
    for name, slot in slots.items():
        assert_same_prior(slot.prior, theirs[name])


def assert_same_prior(ours, theirs):
    """The same distribution with the same numbers, hyperpriors included; Bambi leaves a group term's mean of 0 out."""
    assert ours.name == theirs.name
    for key, value in ours.parameters.items():
        if isinstance(value, Prior):
            assert_same_prior(value, theirs.args[key])
        else:
            np.testing.assert_allclose(value, np.asarray(theirs.args.get(key, 0.0)), rtol=1e-6)


@pytest.mark.parametrize(
    ("family", "response", "heavy"),
    [("t", "y", True), ("asymmetriclaplace", "y", True), ("lognormal", "y", True), ("gamma", "y", False),
     ("poisson", "count", False), ("bernoulli", "hit", False), ("vonmises", "angle", False)],
)  # fmt: skip
def test_weak_has_heavy_tails_where_a_mean_can_be_any_number(frame, family, response, heavy):
    """On the identity link."""
    table = frame.assign(angle=frame["y"] / 50)
    model = Model(f"{response} ~ x + (1 + z | g)", table, family=family, link="identity")
    slots = {slot.slot: slot for slot in model.slots}
    values = np.log(table[response]) if family == "lognormal" else table[response]
    assert sigma_of(slots["Intercept"]) == pytest.approx((10 if heavy else 2.5) * values.std())
    for slot, scale in (("1|g", 1), ("z|g", table["z"].std())):
        assert slots[slot].prior.parameters["sigma"].name == ("HalfCauchy" if heavy else "HalfNormal")
        assert sigma_of(slots[slot]) == pytest.approx((2 if heavy else 1) * values.std() / scale)


def numbers_of(prior):
    for value in prior.parameters.values():
        yield from numbers_of(value) if isinstance(value, Prior) else np.atleast_1d(value)


@pytest.mark.parametrize(("family", "link"), LINKS)
@pytest.mark.mostly_slow(every=5)
def test_weak_is_sensible_for_interactions_far_from_zero_and_formulas_of_parameters(frame, family, link):
    """No prior is degenerate: the scales lie within 10^5 of the unit on the link, times the SD of a column."""
    table = frame.assign(share=frame["hit"] * 0.5 + 0.2, grade=np.arange(len(frame)) % 4, angle=frame["y"] / 50)
    response = {
        "count": "count", "binary": "hit", "unit": "share", "angle": "angle", "ordinal": "grade",
        "proportion": "cbind(hit, count)",
    }.get(FAMILIES[family].support, "y")  # fmt: skip
    formula = f"{response} ~ x * f + z + I(z^2) + (1 + z | g)"
    parameters = [name for name in FAMILIES[family].parameters if name != "threshold"]
    for second in ("", *(f"\n{name} ~ x * f + (1 | g)" for name in parameters)):
        slots = {slot.slot: slot.prior for slot in Model(formula + second, table, family=family, link=link).slots}
        for name, prior in slots.items():
            values = np.array(list(numbers_of(prior)))
            assert np.isfinite(values).all(), name
            scales = np.atleast_1d(prior.parameters.get("sigma", 1.0)) if not name.endswith("|g") else values[1:]
            assert (scales > 0).all(), name
        unit = np.max(slots["z"].parameters["sigma"]) * frame["z"].std() / 2.5
        interaction = slots["x:f"].parameters["sigma"] * frame["x"].std() / unit
        assert ((interaction > 2.5) & (interaction < 25)).all()
        assert (slots["f"].parameters["sigma"] / unit > 100).all()  # it is meant at x = 0, 600 SDs away


def test_without_an_intercept_the_weak_priors_reach_from_zero_to_the_mean() -> None:
    table = pd.DataFrame({"y": [99.0, 101.0, 98.0, 102.0], "f": ["a", "a", "b", "b"], "g": ["p", "q", "p", "q"]})
    reach = np.hypot(np.std(table["y"], ddof=1), 100.0)
    cells = Model("y ~ 0 + f", table).slots[0].prior
    assert np.allclose(cells.parameters["sigma"], 2.5 * reach / np.std([0, 0, 1, 1], ddof=1))
    alone = Model("y ~ 0 + (1 | g)", table).slots[0].prior
    assert alone.parameters["sigma"].parameters["beta"] == pytest.approx(2 * reach)
    beside = Model("y ~ 0 + f + (1 | g)", table).slots[1].prior
    assert beside.parameters["sigma"].parameters["beta"] == pytest.approx(2 * np.std(table["y"], ddof=1))


LEVELS = pd.Categorical(["low"] * 2 + ["mid"] * 5 + ["top"] * 3, categories=["low", "mid", "top"], ordered=True)


def own_prior(family, response, name, priors="weak", link=None):
    """The prior of a family's parameter, or of the intercept."""
    model = Model("y ~ 1", pd.DataFrame({"y": response}), family=family, link=link, priors=priors)
    return next(slot.prior for slot in model.slots if slot.slot == name)


def test_weak_thresholds_lie_around_the_observed_shares():
    prior = own_prior("cumulative", LEVELS, "threshold")
    np.testing.assert_allclose(prior.parameters["mu"], [math.log(0.2 / 0.8), math.log(0.7 / 0.3)])
    assert prior.parameters["sigma"] == 2.5
    ratios = own_prior("sratio", LEVELS, "threshold", link="probit")  # 2 of 10 stop first, 5 of the other 8 second
    np.testing.assert_allclose(ratios.parameters["mu"], stats.norm.ppf([0.2, 5 / 8]))


@pytest.mark.parametrize(("family", "places"), [("cumulative", [-2.0, 2.0]), ("sratio", [0.0, 0.0])])
def test_bambis_thresholds(family, places):
    assert own_prior(family, LEVELS, "threshold", "bambi") == Prior("Normal", mu=places, sigma=1)


def test_an_ordinal_model_of_groups_alone_keeps_their_usual_prior():
    data = pd.DataFrame({"y": LEVELS, "g": list("aabbccddee")})
    slots = {slot.slot: slot for slot in Model("y ~ (1 | g)", data, family="cumulative").slots}
    assert sigma_of(slots["1|g"]) == 1


def test_what_weak_measures_of_a_response_with_zeros_or_logarithms():
    counts, amounts = np.array([0, 0, 3, 5, 7]), np.array([0.5, 1.0, 4.0, 9.0])
    assert own_prior("hurdle_poisson", counts, "Intercept").parameters["mu"] == pytest.approx(math.log(5))
    assert own_prior("zero_inflated_poisson", counts, "Intercept").parameters["mu"] == pytest.approx(math.log(5))
    logs = np.log(amounts)
    assert own_prior("lognormal", amounts, "Intercept").parameters["mu"] == pytest.approx(logs.mean())
    assert own_prior("lognormal", amounts, "sigma").parameters["sigma"] == pytest.approx(logs.std(ddof=1))
    with_zero = np.append(amounts, 0.0)
    assert own_prior("hurdle_lognormal", with_zero, "sigma").parameters["sigma"] == pytest.approx(logs.std(ddof=1))
    mean, sd = amounts.mean(), amounts.std(ddof=1)
    assert own_prior("wald", amounts, "lam").parameters["beta"] == pytest.approx(mean**3 / sd**2)
    assert own_prior("wald", amounts, "Intercept").parameters == {
        "mu": pytest.approx(mean**-2), "sigma": pytest.approx(2.5 * 2 * sd / mean**3)
    }  # fmt: skip
    assert own_prior("asymmetriclaplace", amounts, "b").parameters["beta"] == pytest.approx(math.sqrt(2) / sd)
    assert own_prior("laplace", amounts, "b").parameters["sigma"] == pytest.approx(sd / math.sqrt(2))
    assert own_prior("exgaussian", amounts, "nu").parameters["sigma"] == pytest.approx(sd)


@pytest.mark.parametrize(
    ("family", "name", "prior"),
    [
        ("gamma", "alpha", Prior("Gamma", alpha=0.01, beta=0.01)),
        ("weibull", "alpha", Prior("Gamma", alpha=0.01, beta=0.01)),
        ("wald", "lam", Prior("Gamma", alpha=0.01, beta=0.01)),
        ("hurdle_gamma", "psi", Prior("Beta", alpha=1, beta=1)),
        ("lognormal", "sigma", Prior("HalfStudentT", nu=3, sigma=2.5)),
        ("exgaussian", "sigma", Prior("HalfStudentT", nu=3, sigma=2.5)),
        ("exgaussian", "nu", Prior("Gamma", alpha=1, beta=0.1)),
        ("laplace", "b", Prior("HalfStudentT", nu=3, sigma=5.0)),  # of brms' sigma, b / 2
    ],
)
def test_brms_parameters(family, name, prior):
    """As brms 2.18's get_prior gives them."""
    assert own_prior(family, [0.5, 1.0, 2.0, 1.5], name, "brms") == prior


@pytest.mark.parametrize(
    ("family", "prior"),
    [
        ("gamma", Prior("HalfCauchy", beta=1)),
        ("weibull", Prior("HalfCauchy", beta=1)),
        ("hurdle_gamma", Prior("HalfCauchy", beta=1)),
    ],
)
def test_bambis_own_shapes(family, prior):
    assert own_prior(family, [0.5, 1.0, 2.0, 1.5], "alpha", "bambi") == prior
