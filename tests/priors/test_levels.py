"""Unordered levels have the priors of binomial models of each level against the first."""

import bambi
import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.families import FAMILIES
from speclet_formula.priors import PRESETS, Prior

RNG = np.random.default_rng(4)
N = 60
ROWS = pd.DataFrame({"x": RNG.normal(3.0, 2.0, N), "g": pd.Categorical([f"g{k % 6}" for k in range(N)])})
ROWS["y"] = pd.Categorical(np.array(["bus", "car", "train"])[RNG.choice(3, N, p=[0.2, 0.5, 0.3])])
ROWS[["a", "b", "c"]] = RNG.multinomial(9, [0.2, 0.5, 0.3], N)
RESPONSES = {"categorical": "y", "multinomial": "cbind(a, b, c)", "dirichlet_multinomial": "cbind(a, b, c)"}


def slots_of(formula, family, priors=None):
    return {slot.slot: slot.prior for slot in sf.Model(formula, ROWS, family=family, priors=priors).slots}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("family", RESPONSES)
def test_every_level_has_every_slot(family, preset):
    names = [f"{name}_{term}" for name in FAMILIES[family].per_level.parameters(
        ["bus", "car", "train"] if family == "categorical" else ["a", "b", "c"]
    ) for term in ("Intercept", "x", "1|g", "x|g", "cor|g")]  # fmt: skip
    assert list(slots_of(f"{RESPONSES[family]} ~ x + (x | g)", family, preset)) == names


def test_weak_is_that_of_a_binomial_model_of_two_levels():
    ours = slots_of("cbind(a, b, c) ~ x + (1 | g)", "multinomial")
    for level in "bc":
        theirs = slots_of(f"cbind({level}, a) ~ x + (1 | g)", "binomial")
        assert {name: ours[f"mu{level}_{name}"] for name in theirs} == theirs
    categorical = slots_of("y ~ x", "categorical")
    count = ROWS["y"].value_counts()
    for level in ("car", "train"):
        centre = float(categorical[f"mu{level}_Intercept"].parameters["mu"])
        assert centre == pytest.approx(np.log(count[level] / count["bus"]))
    concentrations = slots_of("cbind(a, b, c) ~ x", "dirichlet_multinomial")
    shares = ROWS[["a", "b", "c"]].sum() / ROWS[["a", "b", "c"]].to_numpy().sum()
    for level in "abc":
        centre = float(concentrations[f"a{level}_Intercept"].parameters["mu"])
        assert centre == pytest.approx(np.log(3 * shares[level]))


@pytest.mark.parametrize("family", RESPONSES)
def test_bambis_are_bambis(family):
    response = RESPONSES[family].replace("cbind", "counts")
    theirs = sf.from_bambi(bambi.Model(f"{response} ~ x + (1|g)", ROWS, family=family))
    ours = slots_of(f"{RESPONSES[family]} ~ x + (1 | g)", family, "bambi")
    stated = {slot.slot: slot.prior for slot in theirs.slots}
    assert list(stated) == list(ours)
    for name, prior in ours.items():
        inner = [p.parameters["sigma"] if name.endswith("|g") else p for p in (prior, stated[name])]
        assert inner[0].name == inner[1].name
        assert np.allclose(*(float(p.parameters["sigma"]) for p in inner), rtol=1e-6)


def test_brms_are_those_that_brms_states():
    """As brms 2.18's get_prior prints them for categorical() and multinomial()."""
    for family in ("categorical", "multinomial"):
        slots = slots_of(f"{RESPONSES[family]} ~ x + (1 | g)", family, "brms")
        for name, prior in slots.items():
            kind = name.partition("_")[2]
            wanted = {
                "Intercept": Prior("StudentT", nu=3, mu=0, sigma=2.5),
                "x": Prior("Flat"),
                "1|g": Prior("Normal", mu=0, sigma=Prior("HalfStudentT", nu=3, sigma=2.5)),
            }
            assert prior == wanted[kind]


def test_a_wildcard_stands_for_all_levels_and_a_levels_name_for_one():
    one, half = Prior("Normal", mu=0, sigma=1), Prior("HalfNormal", sigma=0.5)
    changed = {"b": one, "sd": half, "mutrain_b": Prior("Normal", mu=0, sigma=2)}
    with pytest.raises(sf.PriorError):
        slots_of("y ~ x", "categorical", {"b": one, "sd": half})  # there are no groups
    slots = slots_of("y ~ x + (1 | g)", "categorical", {"b": one, "sd": half})
    assert slots["mucar_x"] == slots["mutrain_x"] == one
    assert slots["mucar_1|g"].parameters["sigma"] == slots["mutrain_1|g"].parameters["sigma"] == half
    slots = slots_of("y ~ x + (1 | g)", "categorical", {"mutrain_b": changed["mutrain_b"]})
    assert slots["mutrain_x"] == changed["mutrain_b"] != slots["mucar_x"]
