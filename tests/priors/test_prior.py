"""Prior: what it holds, how it prints, when two are equal."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from speclet_formula.priors import Prior


@pytest.mark.parametrize(
    ("prior", "text", "short"),
    [
        (Prior("Normal", mu=0, sigma=2.5), 'Prior("Normal", mu=0, sigma=2.5)', "Normal(mu=0, sigma=2.5)"),
        (Prior("Normal", sigma=1, mu=0), 'Prior("Normal", mu=0, sigma=1)', "Normal(mu=0, sigma=1)"),
        (Prior("HalfNormal", sigma=1 / 3), f'Prior("HalfNormal", sigma={1 / 3!r})', "HalfNormal(sigma=0.3333)"),
        (Prior("HalfNormal", sigma=56325.4), 'Prior("HalfNormal", sigma=56325.4)', "HalfNormal(sigma=56325)"),
        (Prior("HalfNormal", sigma=1e-9), 'Prior("HalfNormal", sigma=1e-09)', "HalfNormal(sigma=1e-09)"),
        (Prior("Flat"), 'Prior("Flat")', "Flat()"),
        (
            Prior("Normal", mu=0, sigma=Prior("Exponential", lam=1), noncentered=False),
            'Prior("Normal", mu=0, sigma=Prior("Exponential", lam=1), noncentered=False)',
            "Normal(mu=0, sigma=Exponential(lam=1))",
        ),
        (
            Prior("Normal", mu=0, sigma=np.array([1, 2.5, 3, 4])),
            'Prior("Normal", mu=0, sigma=[1, 2.5, 3, 4])',
            "Normal(mu=0, sigma=[1, 2.5, 3, ... 4 values])",
        ),
    ],
)
def test_texts(prior, text, short):
    assert repr(prior) == text
    assert str(prior) == short
    assert eval(text) == prior  # what is printed can be typed


@given(mu=st.floats(-1e300, 1e300), sigma=st.floats(1e-300, 1e300))
def test_repr_gives_the_prior_back(mu, sigma):
    prior = Prior("Normal", mu=mu, sigma=sigma)
    assert eval(repr(prior)) == prior


def test_equality_and_hash():
    a, b = (Prior("Normal", mu=0, sigma=np.array([1.0, 2.0])) for _ in range(2))
    assert a == b
    assert hash(a) == hash(b)
    assert a != Prior("Normal", mu=0, sigma=[1, 3])
    assert a != Prior("Normal", mu=0, sigma=1)
    assert a != Prior("Normal", mu=0, sigma=[1, 2], noncentered=True)
    assert Prior("HalfNormal", sigma=1) != Prior("Exponential", lam=1)
    assert a != "Normal"
    assert len({a, b, Prior("Flat")}) == 2


def test_nothing_can_be_changed():
    values = np.array([1.0, 2.0])
    prior = Prior("Normal", mu=0, sigma=values)
    values[0] = 9
    assert prior.parameters["sigma"][0] == 1
    with pytest.raises(ValueError, match="read-only"):
        prior.parameters["sigma"][0] = 9
    with pytest.raises(TypeError):
        prior.parameters["mu"] = 1
    with pytest.raises(AttributeError):
        prior.name = "Cauchy"


def test_one_number_in_an_array_is_that_number():
    for value in (2, 2.0, np.float32(2), np.int64(2), [2], np.array(2), np.array([2.0])):
        assert type(Prior("HalfNormal", sigma=value).parameters["sigma"]) is float


@pytest.mark.parametrize(
    ("prior", "support"),
    [
        (Prior("Normal", mu=0, sigma=1), "real"),
        (Prior("LogNormal", mu=0, sigma=1), "positive"),
        (Prior("Beta", alpha=1, beta=1), "unit"),
        (Prior("LKJ", eta=1), "correlation"),
        (Prior("Uniform", lower=-1, upper=1), "real"),
        (Prior("Uniform", lower=0, upper=10), "positive"),
        (Prior("Uniform", lower=0.2, upper=1), "unit"),
        (Prior("Uniform", lower=Prior("Normal", mu=0, sigma=1), upper=1), "real"),
    ],
    ids=str,
)
def test_support(prior, support):
    assert prior.support == support


def test_hyperpriors_are_seen():
    assert Prior("Normal", mu=Prior("Normal", mu=0, sigma=1), sigma=1).has_hyperpriors
    assert not Prior("Normal", mu=0, sigma=[1, 2]).has_hyperpriors
