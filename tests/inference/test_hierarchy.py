"""What priors say of coefficients, told apart from any engine."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.inference.algebra.layout import layout_of
from speclet_formula.inference.hierarchy import (
    first_precisions,
    group_means,
    group_priors,
    prior_means,
    rate_at_zero,
    slot_priors,
    why_not_normal,
)

ROWS = pd.DataFrame({"y": np.arange(12.0), "x": np.arange(12) % 5, "g": list("abcd") * 3})
AROUND = sf.Prior("Normal", mu=sf.Prior("Normal", mu=2, sigma=0.5), sigma=sf.Prior("Uniform", lower=1, upper=3))


def test_means_and_precisions_stand_where_the_coefficients_do() -> None:
    priors = {"x": sf.Prior("Normal", mu=3, sigma=2), "1|g": AROUND}
    model = sf.Model("y ~ 0 + x + (1 | g)", ROWS, priors=priors)
    slots, predictor = slot_priors(model), model.design.mean
    means = group_means(predictor, slots)
    assert means == ((0, 0),)
    assert first_precisions(predictor, slots, means).tolist() == [0.25, 4.0]
    # The slope, the groups' mean, and four effects around it.
    assert prior_means(predictor, slots, layout_of(model.design, means)).tolist() == [3, 2, 0, 0, 0, 0]
    found = group_priors(predictor, slots, (slots["sigma"],))
    assert [prior.name for prior in found.sd_priors] == [slots["sigma"].name, "Uniform"]
    assert (found.columns, found.ends) == (((1,),), {1: (1.0, 3.0)})


def test_partial_correlations_have_the_shapes_of_an_lkj() -> None:
    model = sf.Model("y ~ x + (x | g)", ROWS, priors={"cor|g": sf.Prior("LKJ", eta=3)})
    assert group_priors(model.design.mean, slot_priors(model)).partials == ((0, 0, 1, 3.0),)


@pytest.mark.parametrize(
    ("prior", "rate"),
    [(sf.Prior("HalfNormal", sigma=1), 1.0), (sf.Prior("Gamma", alpha=2, beta=1), 2.0)],
)
def test_densities_begin_as_powers(prior: sf.Prior, rate: float) -> None:
    assert rate_at_zero(prior, 1.0) == pytest.approx(rate, abs=1e-5)


def test_a_density_may_vanish_faster_than_any_power() -> None:
    assert rate_at_zero(sf.Prior("InverseGamma", alpha=3, beta=1), 1.0) > 1e4


def test_priors_that_are_not_normal_are_named() -> None:
    model = sf.Model("y ~ x + (1 | g)", ROWS, priors="brms")
    assert why_not_normal(model) == "the prior of 'Intercept' is StudentT, not Normal"
