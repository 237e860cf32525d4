"""A seed is a whole number from 0 on, for whatever draws by it."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.common.seeds import checked_seed, generator
from tests.fakes import crossed_fit

LAYOUT = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
DRAWING = {
    "fit": lambda seed: sf.lmer("y ~ x", LAYOUT.assign(y=[1.0, 2.0, 4.0]), random_seed=seed, progress=False),
    "simulate": lambda seed: sf.simulate("y ~ x", LAYOUT, {"Intercept": 0, "x": 1, "sigma": 1}, random_seed=seed),
    "simulate_screen": lambda seed: sf.simulate_screen(genes=5, random_seed=seed),
    "predict": lambda seed: sf.predict(crossed_fit(), interval="prediction", random_seed=seed),
    "posterior_predictive": lambda seed: sf.posterior_predictive(crossed_fit(), 4, random_seed=seed),
    "kfold": lambda seed: sf.kfold(crossed_fit(), k=3, random_seed=seed),
    "loo": lambda seed: sf.loo(crossed_fit(), observations=20, random_seed=seed),
}


@pytest.mark.parametrize("act", DRAWING.values(), ids=DRAWING)
@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "1", True])
@pytest.mark.mostly_slow(every=3)
def test_what_is_no_seed_is_refused(act, seed):
    with pytest.raises(sf.DataError) as caught:
        act(seed)
    assert str(caught.value) == (
        f"random_seed={seed!r} is out of range.\n"
        "random_seed is a whole number from 0 to 2**63 - 1.\n"
        "Leave random_seed= out for a fresh one."
    )


def test_seeds_of_numpy_serve_and_none_is_fresh():
    assert (checked_seed(np.int64(3)), checked_seed(None)) == (3, None)
    assert generator(5).random() == np.random.default_rng(5).random()
    assert generator(None).random() != generator(None).random()


@pytest.mark.parametrize(("draws", "chains"), [(1000, 1_000_000), (10**11, 4)])
def test_draws_that_no_memory_holds_are_refused(draws, chains):
    with pytest.raises(sf.SamplingError) as caught:
        sf.lmer("y ~ x", LAYOUT.assign(y=[1.0, 2.0, 4.0]), draws=draws, chains=chains)
    assert str(caught.value) == (
        f"draws={draws:,}, chains={chains:,} are {draws * chains:,} draws.\n"
        "A fit keeps up to 10,000,000; some thousands serve every summary.\n"
        "Leave draws= and chains= out for 4 chains of 1,000."
    )
