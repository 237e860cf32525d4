"""An interrupt of NUTS ends as a KeyboardInterrupt, whatever the samplers make of it; no part of the draws is kept."""

import importlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import speclet_formula as sf
from speclet_formula.inference import nuts


def small_model() -> sf.Model:
    rng = np.random.default_rng(1)
    return sf.Model("y ~ x", pd.DataFrame({"x": rng.normal(size=20), "y": rng.normal(size=20)}))


def drawn(chains: int, draws: int, *, padded: bool = False) -> xr.DataTree:
    """What a sampler gives back, the last chain's second half perhaps filled up."""
    values = np.random.default_rng(2).normal(size=(chains, draws))
    if padded:
        values[-1, draws // 2 :] = np.nan
    posterior = xr.Dataset(dict.fromkeys(("Intercept", "x", "sigma"), (("chain", "draw"), values)))
    statistics = xr.Dataset({"diverging": (("chain", "draw"), np.zeros((chains, draws), dtype=bool))})
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": statistics})


INTERRUPTED = {
    "a chain is not there": lambda: drawn(1, 20),
    "draws are not there": lambda: drawn(2, 10),
    "a chain is filled up": lambda: drawn(2, 20, padded=True),
}


@pytest.mark.parametrize("answer", INTERRUPTED.values(), ids=INTERRUPTED)
def test_chains_that_are_not_whole_are_an_interrupt(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuts.pm, "sample", lambda **_settings: answer())
    with pytest.raises(KeyboardInterrupt):
        sf.fit(small_model(), method="nuts", chains=2, draws=20, tune=20)


@pytest.mark.parametrize(
    "after", [lambda: drawn(2, 20), lambda: [][0], lambda: int("x")], ids=["whole", "none", "error"]
)
def test_an_interrupt_that_a_sampler_swallows_is_raised(after: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def swallow(**_settings: Any) -> Any:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        try:
            return after()
        except IndexError as error:
            raise RuntimeError("no draws") from error

    monkeypatch.setattr(nuts.pm, "sample", swallow)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        sf.fit(small_model(), method="nuts", chains=2, draws=20, tune=20)
    assert signal.getsignal(signal.SIGINT) is before


def test_threads_sample_without_asking_for_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuts.pm, "sample", lambda **_settings: drawn(2, 20))
    with ThreadPoolExecutor(1) as pool:
        fit = pool.submit(sf.fit, small_model(), method="nuts", chains=2, draws=20, tune=20).result()
    assert fit.diagnostics.draws == 20


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "inner"), [("nutpie", "nutpie.sample"), ("pymc", "pymc.sampling.mcmc._mp_sample")])
def test_an_interrupt_ends_real_sampling(sampler: Any, inner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _, name = inner.rpartition(".")
    honest = getattr(importlib.import_module(module), name)

    def interrupted(*arguments: Any, **settings: Any) -> Any:
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        return honest(*arguments, **settings)

    monkeypatch.setattr(inner, interrupted)
    with pytest.raises(KeyboardInterrupt):
        sf.fit(
            small_model(), method="nuts", sampler=sampler, chains=2, cores=2, draws=1_000_000, tune=100, progress=False
        )
