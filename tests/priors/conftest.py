"""Designs that the tests of priors share."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from speclet_formula.design import Design, build_design
from speclet_formula.families import resolve_family
from speclet_formula.formula.parse import parse_formula
from speclet_formula.priors import Slot, resolve_priors


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    """Sixty rows: a response around 50, a covariate far from 0, a factor of unequal cells, groups, counts, outcomes."""
    rng = np.random.default_rng(20)
    n = 60
    return pd.DataFrame(
        {
            "y": rng.normal(50, 4, n),
            "x": rng.normal(2000, 3, n),
            "z": rng.normal(0, 2, n),
            "f": pd.Categorical(np.repeat(["a", "b", "c"], [30, 20, 10])),
            "h": pd.Categorical(np.tile(["u", "v"], n // 2)),
            "g": np.array([f"g{i % 6}" for i in range(n)]),
            "depth": rng.uniform(1, 3, n),
            "count": rng.poisson(7, n),
            "hit": rng.binomial(1, 0.3, n),
            "flat": np.full(n, 0.1),
        }
    )


@pytest.fixture(scope="session")
def design_of(frame: pd.DataFrame) -> Callable[[str], Design]:
    """Give the design of a formula for the shared rows."""
    return lambda text: build_design(parse_formula(text), frame)


@pytest.fixture(scope="session")
def slots_of(design_of: Callable[[str], Design]) -> Callable[..., dict[str, Slot]]:
    """Give the slots of a formula by name, for a Gaussian response unless told otherwise."""

    def resolve(text: str, priors=None, *, family="gaussian", link=None) -> dict[str, Slot]:
        chosen = resolve_family(family) if link is None else replace(resolve_family(family), link=link)
        slots = resolve_priors(design_of(text), family=chosen, priors=priors)
        return {slot.slot: slot for slot in slots}

    return resolve
