"""The reader of draws gives each part of a model its own, whatever stands behind: a posterior, priors, estimates."""

import numpy as np
import pytest

import speclet_formula as sf
from speclet_formula.errors import EstimateError, SamplingError
from speclet_formula.model import Model
from speclet_formula.posterior.draws import draws_in, draws_of, library_of, posterior_in, statistics_in, values_of
from speclet_formula.posterior.prior_draws import prior_draws
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data, sleepstudy_data


def flat(fit, name):
    """The draws of a variable, chain after chain, as numpy has them."""
    values = fit.idata["posterior"][name].to_numpy()
    return values.reshape(values.shape[0] * values.shape[1], -1)


def test_each_part_has_its_draws():
    fit = correlated_fit(chains=2, draws=5)
    draws, (block,) = draws_of(fit), fit.model.design.blocks
    assert (draws.chains, draws.length, len(draws)) == (2, 5, 10)
    np.testing.assert_array_equal(
        draws.coefficients(fit.model.design.mean), np.hstack([flat(fit, "Intercept"), flat(fit, "Days")])
    )
    for effects, slot in zip(draws.effects(block), ("1|Subject", "Days|Subject"), strict=True):
        np.testing.assert_array_equal(effects, flat(fit, slot))
    np.testing.assert_array_equal(
        draws.sds(block), np.hstack([flat(fit, "1|Subject_sigma"), flat(fit, "Days|Subject_sigma")])
    )
    np.testing.assert_array_equal(draws.correlation(block), flat(fit, "cor|Subject"))
    np.testing.assert_array_equal(draws.parameter("sigma"), flat(fit, "sigma"))


def test_covariances_are_made_of_sds_and_correlations():
    fit = correlated_fit(draws=3)
    draws, (block,) = draws_of(fit), fit.model.design.blocks
    for sds, (r,), found in zip(draws.sds(block), draws.correlation(block), draws.covariances(block), strict=True):
        np.testing.assert_allclose(found, np.diag(sds) @ [[1, r], [r, 1]] @ np.diag(sds), rtol=1e-14)


def test_a_block_without_correlations_has_none():
    fit = crossed_fit(draws=3)
    draws, block = draws_of(fit), fit.model.design.blocks[0]
    assert draws.correlation(block).shape == (12, 0)
    np.testing.assert_array_equal(draws.covariances(block)[:, 0, 0], draws.sds(block)[:, 0] ** 2)


def test_chains_are_parted_again():
    fit = correlated_fit(chains=3, draws=4)
    draws = draws_of(fit)
    np.testing.assert_array_equal(
        draws.by_chain(draws.parameter("sigma")[:, 0]), fit.idata["posterior"]["sigma"].to_numpy()
    )


def test_some_draws_are_read_like_all():
    fit = correlated_fit(chains=3, draws=4)
    draws, design = draws_of(fit), fit.model.design
    whole = draws.coefficients(design.mean)
    for chosen in (slice(0, 12, 5), np.array([7, 1, 1])):
        some = draws.take(chosen)
        assert (some.chains, len(some)) == (1, 3)
        np.testing.assert_array_equal(some.coefficients(design.mean), whole[chosen])
    fewer = draws.thinned(3)
    assert (fewer.chains, fewer.length) == (3, 2)
    np.testing.assert_array_equal(fewer.coefficients(design.mean), whole[[0, 3, 4, 7, 8, 11]])
    np.testing.assert_allclose(draws.mean().coefficients(design.mean), whole.mean(axis=0)[None], rtol=1e-14)
    assert draws.only(("sigma", "tau", "Days")).names == ("sigma", "Days")


def test_draws_from_priors_are_read_like_a_posterior():
    model = Model("Reaction ~ Days + (1 + Days | Subject)", sleepstudy_data())
    found = prior_draws(model, 7, random_seed=1)
    draws, (block,) = draws_in(found), model.design.blocks
    assert len(draws) == 7
    np.testing.assert_array_equal(draws.sds(block)[:, 1], found["Days|Subject_sigma"].to_numpy()[0])
    np.testing.assert_array_equal(draws.effects(block)[0], found["1|Subject"].to_numpy()[0])


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_an_estimate_is_a_single_draw(method):
    fit = sf.lmer("Reaction ~ Days + (1 + Days | Subject)", sleepstudy_data(), method=method)
    draws, points, (block,) = values_of(fit), fit.estimates, fit.model.design.blocks
    assert (draws.chains, draws.length) == (1, 1)
    np.testing.assert_array_equal(draws.coefficients(fit.model.design.mean), points.coefficients[None])
    np.testing.assert_array_equal(np.stack(draws.effects(block), axis=-1)[0], points.modes[0])
    np.testing.assert_allclose(draws.covariances(block)[0], points.covariances[0], rtol=1e-12)
    np.testing.assert_array_equal(draws.parameter("sigma"), [[points.sigma]])
    assert values_of(correlated_fit(draws=3)).length == 3


def test_the_covariance_of_an_sd_of_zero_is_zero():
    data = sleepstudy_data()
    data["none"] = np.random.default_rng(3).normal(size=len(data))
    fit = sf.lmer("Reaction ~ Days + (1 + none | Subject)", data, method="reml")
    (block,) = fit.model.design.blocks
    assert fit.singular
    np.testing.assert_allclose(values_of(fit).covariances(block)[0], fit.estimates.covariances[0], atol=1e-9)


def test_a_parameter_with_a_formula_has_its_own_coefficients():
    fit = fake_fit(Model(["log_fc ~ control + (1 | gene)", "sigma ~ control"], screen_data()), draws=3)
    np.testing.assert_array_equal(
        draws_of(fit).coefficients(fit.model.design.varying["sigma"]),
        np.hstack([flat(fit, "sigma_Intercept"), flat(fit, "sigma_control")]),
    )


def test_effects_that_were_not_kept_are_told_from_what_is_unknown():
    fit = crossed_fit(draws=3)
    draws = draws_in(fit.idata["posterior"].to_dataset().drop_vars("1|gene"))
    gene, line = fit.model.design.blocks
    assert (draws.keeps(gene), draws.keeps(line)) == (False, True)
    draws.require([line])
    for read in (lambda: draws.require([line, gene]), lambda: draws.effects(gene)):
        with pytest.raises(EstimateError) as caught:
            read()
        assert str(caught.value) == (
            "the fit kept no draws of '1|gene'.\nIt kept: 1|cell_line.\n"
            "Fit the model again with keep=('gene', 'cell_line'), or leave keep= out to keep all."
        )
    with pytest.raises(EstimateError, match=r"^the posterior holds no variable 'nu'\.\nIt holds: Intercept, control, "):
        draws.parameter("nu")
    with pytest.raises(EstimateError, match=r"^the posterior's 'sigma' has 1 elements for 2 of the model\.\n"):
        draws.variable("sigma", 2)


def test_a_fit_by_maximum_likelihood_has_no_draws():
    fit = sf.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy_data(), method="reml")
    for verb in (draws_of, sf.loo, sf.near_singular, sf.sensitivity):
        with pytest.raises(EstimateError, match=r"^a fit by REML has no draws\.\n"):
            verb(fit)


def test_what_a_sampler_tells_beside_the_draws():
    fit = correlated_fit(draws=3)
    flags, _ = statistics_in(fit.idata)
    assert "diverging" in flags
    assert library_of(fit) == "nutpie"
    assert statistics_in(type(fit.idata)()) == ({}, {})
    with pytest.raises(SamplingError, match=r"^there are no posterior draws in this DataTree\.\n"):
        posterior_in(type(fit.idata)())


def test_elements_are_named_as_a_reader_knows_them():
    fit = crossed_fit(draws=3)
    draws = draws_of(fit)
    assert draws.elements("sigma") == ("sigma",)
    assert draws.elements("1|cell_line") == tuple(f"1|cell_line[{line}]" for line in ("A375", "HEL", "KU812", "RVH421"))
    assert draws.take(slice(2)).elements("control") == ("control[other]",)
    point = sf.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy_data(), method="reml")
    assert values_of(point).elements("Days") == ("Days",)
