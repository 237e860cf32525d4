"""A damaged saved fit is refused by a `DataError`, or is a fit that prints and that every table can be made of.

`FUZZ_FITS=10000 python -m pytest tests/fuzz/test_damaged_fits.py` damages as many; without it a few.
"""

import os
import random
import warnings

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError, SpecletError
from speclet_formula.posterior.save import load, save
from tests.fakes import fake_fit
from tests.fuzz.checks import watched
from tests.fuzz.damage import DAMAGES

COUNT = int(os.environ.get("FUZZ_FITS", "200"))
VERBS = (repr, sf.fixef, sf.ranef, sf.varcorr, sf.fitted, sf.tidy)


def table():
    rng = np.random.default_rng(4)
    n = 36
    return pd.DataFrame(
        {
            "y": rng.normal(size=n).round(3), "x": rng.normal(size=n).round(3), "n": rng.integers(0, 9, n),
            "g": pd.Categorical(np.tile(list("cab"), 12), categories=list("cab")), "h": np.repeat(list("pqrs"), 9),
            "o": pd.Categorical(rng.choice(["low", "mid", "high"], n), ["low", "mid", "high"], ordered=True),
            "k": pd.array(rng.integers(1, 4, n), dtype="Int64"), "w": rng.uniform(1, 2, n),
        }
    )  # fmt: skip


def fits():
    """One small fit of each kind, by name."""
    data, few = table(), {"chains": 2, "draws": 8}
    some = data.assign(y=data["y"].where(data.index > 2))
    exact = {"method": "exact", "random_seed": 1, "progress": False, **few}
    hyper = {"1|g": sf.Prior("Normal", mu=sf.Prior("Normal", mu=0, sigma=1), sigma=sf.Prior("HalfNormal", sigma=1))}
    return {
        "exact": sf.lmer("y ~ x + h + (1 + x | g)", data, **exact),
        "keep": sf.lmer("y ~ x + (1 | g/h)", data, keep=(), **exact),
        "reml": sf.lmer("y ~ x + k + (1 + x | g) + (0 + x || h)", data, method="reml"),
        "dropped": sf.lmer("y ~ x + v + (1 | g)", data.assign(v=2 * data["x"]), method="reml"),
        "weights": sf.lmer("y ~ x + (1 | h)", some, method="ml", weights=data["w"].to_numpy(), missing="drop"),
        "laplace": sf.glmer("n ~ poly(x, 2) + (1 | h)", data, family="poisson", method="laplace"),
        "nuts": fake_fit(sf.Model("n ~ x*h + (1 | g)", data, family="poisson"), **few),
        "hyperprior": fake_fit(sf.Model("y ~ x + (1 | g)", data, priors=hyper), **few),
        "sigma": fake_fit(sf.Model(["y ~ x + (1 | g)", "sigma ~ h + (1 | g)"], data), **few),
        "ordinal": fake_fit(sf.Model("o ~ x + (1 | h)", data, family="cumulative"), **few),
    }


def outcomes(fit):
    """What each verb does: a result, or one of our errors."""
    found = []
    for verb in VERBS:
        try:
            verb(fit)
        except SpecletError as error:
            found.append(type(error))
        else:
            found.append(None)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of each kind of fit, and what the verbs do with the fit that comes back."""
    folder = tmp_path_factory.mktemp("fits")
    found = {}
    for name, fit in fits().items():
        path = save(fit, folder / f"{name}.fit")
        found[name] = (path.read_bytes(), outcomes(load(path)))
        assert found[name][1] == outcomes(fit)
    return found


def check(path, content, usual):
    """Hold a damaged file to the promise; say whether it was loaded."""
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of huge numbers that are possible draws
        try:
            with watched(code=False):
                fit = load(path)
        except DataError:
            return False
        assert outcomes(fit) == usual
    return True


@pytest.mark.slow
def test_damaged_fits_are_refused_or_usable(whole, tmp_path):
    names, loaded = list(whole), 0
    for seed in range(COUNT):
        rng = random.Random(seed)
        content, usual = whole[names[seed % len(names)]]
        damage = rng.choice(DAMAGES)
        try:
            loaded += check(tmp_path / "damaged.fit", damage(rng, content), usual)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {names[seed % len(names)]}, {damage.__name__}") from error
    assert loaded < COUNT / 2, "most damages show"
