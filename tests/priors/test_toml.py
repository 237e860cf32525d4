"""Priors from TOML files."""

import pytest

from speclet_formula.priors import Prior, read_priors

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
