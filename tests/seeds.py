"""Run the tests with other random numbers or other rounding: `pytest -p tests.seeds --shift-seeds 7 --rounding 1`.

A statistical test should pass with nearly every seed, not with the one that it states. With a shift of 1, 2, ... each
generator that the package makes from a seed gets another stream; data sets that are simulated from a seed of their own
stay as they are, and so do the random numbers of the tests themselves. A test that fails for more than a few shifts of
a thousand claims more than it can hold. Tests of exact draws, as of printed pages, fail under a shift by their nature.

With rounding of 1, 2, ... every value and gradient that an optimiser sees, and every log density that the exact engine
samples, is off by a few units in its last place, as from another processor's BLAS. No test may fail for that.
"""

import functools
import importlib
import pkgutil
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

UNITS = 4  # in the last place
DATA = ("speclet_formula.screens.datasets", "speclet_formula.screens.simulate")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shift-seeds", type=int, default=0, help="other random numbers for the package: 1, 2, ...")
    parser.addoption("--rounding", type=int, default=0, help="other rounding errors for the package: 1, 2, ...")


def pytest_configure(config: pytest.Config) -> None:
    shift = config.getoption("--shift-seeds")
    if shift:
        _shift_generators(shift)
        _shift_nuts(shift)
    rounding = config.getoption("--rounding")
    if rounding:
        _round_otherwise(rounding)


def _shift_generators(shift: int) -> None:
    original = np.random.default_rng

    def shifted(seed: Any = None) -> np.random.Generator:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        ours = caller.startswith("speclet_formula") and caller not in DATA
        if not ours or seed is None or isinstance(seed, np.random.Generator):
            return original(seed)
        if isinstance(seed, np.random.SeedSequence):
            return original(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, shift)))
        return original([*np.atleast_1d(seed), shift])

    np.random.default_rng = shifted


def _shift_nuts(shift: int) -> None:
    from speclet_formula.inference import nuts

    original = nuts.sample_nuts

    def shifted(model: Any, plan: Any) -> Any:
        seed = plan.random_seed
        return original(model, plan if seed is None else replace(plan, random_seed=seed + 1000 * shift))

    nuts.sample_nuts = shifted


def _round_otherwise(rounding: int) -> None:
    import speclet_formula

    def off(number: Any, point: Any) -> Any:
        # A machine rounds the same numbers in the same way each time.
        if isinstance(number, tuple):
            return tuple(off(part, point) for part in number)
        rng = np.random.default_rng([rounding, zlib.crc32(np.ascontiguousarray(point).tobytes())])
        return number * (1 + UNITS * np.finfo(float).eps * rng.standard_normal(np.shape(number)))

    def minimises(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def wrapped(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
            return original(lambda point: off(function(point), point), *arguments, **keywords)

        return wrapped

    def weighs(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def wrapped(marginal: Any, theta: np.ndarray) -> Any:
            return off(original(marginal, theta), theta)

        return wrapped

    names = [
        found.name
        for found in pkgutil.walk_packages(speclet_formula.__path__, "speclet_formula.")
        if not found.name.endswith("__main__")
    ]
    modules = [importlib.import_module(name) for name in names]
    for home, name, wrap in [
        ("minimum", "minimise", minimises),
        ("minimum", "descend", minimises),
        ("exact.density", "log_posterior", weighs),
    ]:
        original = getattr(sys.modules[f"speclet_formula.inference.{home}"], name)
        for module in modules:
            if getattr(module, name, None) is original:
                setattr(module, name, wrap(original))
