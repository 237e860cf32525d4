"""The slot table: order, kinds, sources, what a user's keys change, and TOML files of them."""

import numpy as np
import pytest

from speclet_formula.errors import PriorError
from speclet_formula.families import resolve_family
from speclet_formula.priors import Prior, read_priors, resolve_priors, slot_frame

HALF = Prior("HalfNormal", sigma=1)
WIDE = Prior("Normal", mu=0, sigma=10)
GROUP = Prior("Normal", mu=Prior("Normal", mu=-1, sigma=1), sigma=Prior("Exponential", lam=1))


def test_order_kinds_and_groups(slots_of):
    slots = slots_of("y ~ x + f + (1 + z | g) + (1 | f:h) + (0 + x || h)")
    assert [(slot.slot, slot.kind, slot.group) for slot in slots.values()] == [
        ("Intercept", "intercept", None),
        ("x", "b", None),
        ("f", "b", None),
        ("1|g", "group", "g"),
        ("z|g", "group", "g"),
        ("cor|g", "cor", "g"),
        ("1|f:h", "group", "f:h"),
        ("x|h", "group", "h"),
        ("sigma", "family", None),
    ]
    assert {slot.source for slot in slots.values()} == {"weak"}


def test_no_intercept_and_further_parameters(slots_of):
    assert list(slots_of("y ~ 0 + f", family="t")) == ["f", "sigma", "nu"]


def test_a_slot_beats_a_wildcard_and_a_short_cut_beats_its_slot(slots_of):
    changes = {
        "1|g_sigma": HALF,
        "1|g": GROUP,
        "sd": Prior("HalfCauchy", beta=1),
        "x": WIDE,
        "b": Prior("Cauchy", alpha=0, beta=1),
        "cor": Prior("LKJ", eta=5),
    }
    slots = slots_of("y ~ x + f + (1 + z | g)", changes)
    assert slots["x"].prior == WIDE
    assert slots["f"].prior == Prior("Cauchy", alpha=0, beta=1)
    assert slots["1|g"].prior == Prior("Normal", mu=GROUP.parameters["mu"], sigma=HALF)
    assert slots["z|g"].prior == Prior("Normal", mu=0, sigma=Prior("HalfCauchy", beta=1))
    assert slots["cor|g"].prior == Prior("LKJ", eta=5)
    sources = {name: slot.source for name, slot in slots.items()}
    assert sources == dict.fromkeys(slots, "user") | {"Intercept": "weak", "sigma": "weak"}


def test_group_means_are_kept(slots_of):
    for mu in (Prior("Normal", mu=-1, sigma=1), -1):
        prior = Prior("Normal", mu=mu, sigma=HALF, noncentered=True)
        assert slots_of("y ~ 0 + (1|g)", {"1|g": prior})["1|g"].prior == prior


def test_a_short_cut_keeps_the_rest(slots_of):
    before = slots_of("y ~ (1|g)")["1|g"].prior
    after = slots_of("y ~ (1|g)", {"1|g_mu": WIDE})["1|g"].prior
    assert after == Prior("Normal", mu=WIDE, sigma=before.parameters["sigma"])
    centred = {"1|g": Prior("Normal", mu=0, sigma=HALF, noncentered=False), "1|g_mu": WIDE}
    assert slots_of("y ~ (1|g)", centred)["1|g"].prior == Prior("Normal", mu=WIDE, sigma=HALF, noncentered=False)


@pytest.mark.parametrize("key", ["1|g", "1 | g", " 1| g "])
def test_spaces_are_forgiven(slots_of, key):
    assert slots_of("y ~ (1|g)", {key: GROUP})["1|g"].prior == GROUP
    assert slots_of("y ~ (1|g)", {f"{key}_sigma": HALF})["1|g"].prior.parameters["sigma"] == HALF


def test_a_term_called_b_is_a_slot_before_it_is_a_wildcard(frame):
    from speclet_formula.design import build_design
    from speclet_formula.formula.parse import parse_formula

    design = build_design(parse_formula("y ~ b + z"), frame.rename(columns={"x": "b"}))
    slots = resolve_priors(design, family=resolve_family("gaussian", "identity"), priors={"b": WIDE})
    assert [slot.source for slot in slots] == ["weak", "user", "weak", "weak"]


def test_tables_serve_as_priors(slots_of):
    table = {
        "name": "Normal",
        "mu": {"name": "Normal", "mu": -1, "sigma": 1},
        "sigma": {"name": "Exponential", "lam": 1},
        "noncentered": True,
    }
    slots = slots_of("y ~ f + (1|g)", {"1|g": table, "f": {"name": "Normal", "mu": 0, "sigma": [1, 2]}})
    assert slots["1|g"].prior == Prior("Normal", noncentered=True, **GROUP.parameters)
    np.testing.assert_equal(slots["f"].prior.parameters["sigma"], [1, 2])


def test_a_dict_can_start_from_a_preset(slots_of):
    slots = slots_of("y ~ x + (1|g)", {"preset": "notebook", "sigma": HALF})
    assert slots["x"].prior == Prior("Normal", mu=0, sigma=5)
    assert {name: slot.source for name, slot in slots.items()} == {
        "Intercept": "notebook",
        "x": "notebook",
        "1|g": "notebook",
        "sigma": "user",
    }


def test_what_was_given_is_left_alone(slots_of):
    changes = {"preset": "brms", "sigma": HALF}
    slots_of("y ~ x", changes)
    assert changes == {"preset": "brms", "sigma": HALF}


def test_a_bounded_prior_can_be_that_of_an_sd(slots_of):
    uniform = Prior("Uniform", lower=0, upper=3)
    assert slots_of("y ~ (1|g)", {"sd": uniform})["1|g"].prior.parameters["sigma"] == uniform
    with pytest.raises(PriorError, match="reaches below 0"):
        slots_of("y ~ (1|g)", {"sd": Prior("Uniform", lower=-1, upper=3)})


def test_slot_frame(slots_of):
    table = slot_frame(slots_of("y ~ x + (1|g)", {"1|g": GROUP, "x": WIDE, "preset": "notebook"}).values())
    assert table.to_dict("list") == {
        "slot": ["Intercept", "x", "1|g", "sigma"],
        "kind": ["intercept", "b", "group", "family"],
        "group": [None, None, "g", None],
        "prior": [
            "Normal(mu=0, sigma=5)",
            "Normal(mu=0, sigma=10)",
            "Normal(mu=Normal(mu=-1, sigma=1), sigma=Exponential(lam=1))",
            "Exponential(lam=1)",
        ],
        "source": ["notebook", "user", "user", "notebook"],
    }
    assert list(slot_frame([]).columns) == ["slot", "kind", "group", "prior", "source"]


TEXT = """\
preset = "notebook"

["1|g"]
name = "Normal"
mu = { name = "Normal", mu = -1, sigma = 1 }
sigma = { name = "Exponential", lam = 1 }
noncentered = false

[f]
name = "Normal"
mu = 0
sigma = [1, 2.5]

["poly(x, 2)"]
name = "Flat"
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "priors.toml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_read_priors(path):
    assert read_priors(path) == {
        "preset": "notebook",
        "1|g": Prior(
            "Normal", mu=Prior("Normal", mu=-1, sigma=1), sigma=Prior("Exponential", lam=1), noncentered=False
        ),
        "f": Prior("Normal", mu=0, sigma=[1, 2.5]),
        "poly(x, 2)": Prior("Flat"),
    }


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_file_can_be_the_priors_of_a_model(path, slots_of, kind):
    path.write_text(TEXT.split('["poly')[0], encoding="utf-8")
    slots = slots_of("y ~ f + (1|g)", kind(path))
    assert {name: slot.source for name, slot in slots.items()} == {
        "Intercept": "notebook",
        "f": "file priors.toml",
        "1|g": "file priors.toml",
        "sigma": "notebook",
    }
    assert slots["1|g"].prior.noncentered is False


def test_a_column_called_preset_can_have_a_prior(tmp_path):
    path = tmp_path / "priors.toml"
    path.write_text('[preset]\nname = "Flat"\n')
    assert read_priors(path) == {"preset": Prior("Flat")}
