"""What a verdict says, for draws that go wrong in one way at a time."""

import doctest
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from speclet_formula.errors import SamplingError
from speclet_formula.posterior import diagnostics
from speclet_formula.posterior.convergence import mixing
from speclet_formula.posterior.diagnostics import diagnose, ess_limit, r_hat_limit
from tests.fakes import correlated_fit

LONGER = "Run longer (draws=1000)."
VARIANCES = " A group SD or correlation also gains from more levels, a tighter prior, or a simpler group term."
ENGINE = "Check the priors' scales against the data's, then use a simpler model or another engine (method=)."
HARDLY = "(should be at least 400): they hardly meet the posterior."
DIVERGED = (
    "Raise target_accept (0.95, then 0.99); if divergences stay, use tighter priors on the group SDs, fewer group "
    "terms, or method='exact' where the model is Gaussian."
)


def good(chains=4, draws=500, seed=0):
    return np.random.default_rng(seed).normal(size=(chains, draws))


def tree(variables, stats=None):
    groups = {"posterior": xr.Dataset({name: (("chain", "draw"), values) for name, values in variables.items()})}
    if stats is not None:
        groups["sample_stats"] = xr.Dataset({name: (("chain", "draw"), values) for name, values in stats.items()})
    return xr.DataTree.from_dict(groups)


def flags(count, shape=(4, 500)):
    return (np.arange(np.prod(shape)) < count).reshape(shape)


def shifted(by):
    """Four chains, one of them elsewhere."""
    return good() + np.array([by, 0, 0, 0])[:, None]


def slow():
    """Chains that move so little that few of their draws are news."""
    values = good()
    for place in range(1, 500):
        values[:, place] += 0.9 * values[:, place - 1]
    return values


def spoiled(bad):
    values = good()
    values[1, 2] = bad
    return values


CASES = {
    "one chain elsewhere": (
        tree({"1|gene_sigma": shifted(0.4)}),
        "doubtful",
        "R-hat of 1|gene_sigma is 1.02 (should be below 1.01): the chains have not agreed yet.",
        LONGER + VARIANCES,
    ),
    "one chain far away": (
        tree({"sigma": shifted(3)}),
        "failed",
        "R-hat of sigma is 1.47 (should be below 1.01): the chains have not agreed yet. The draws of sigma are worth "
        "7 independent ones for its middle (should be at least 400): estimates and intervals are unsteady.",
        LONGER,
    ),
    "stuck chains": (
        tree({"sigma": np.arange(4.0)[:, None] * np.ones((4, 500)), "x": good()}),
        "failed",
        "R-hat of sigma is above 100 (should be below 1.01): the chains have not agreed yet. The draws of sigma are "
        "worth 4 independent ones for its middle (should be at least 400): estimates and intervals are unsteady.",
        LONGER,
    ),
    "nothing moved": (
        tree({"sigma": np.ones((4, 500))}),
        "failed",
        "No parameter ever changed: the sampler did not move.",
        ENGINE,
    ),
    "one chain": (
        tree({"sigma": good(chains=1)}),
        "doubtful",
        "R-hat cannot be computed from one chain: nothing shows that another chain would agree.",
        "Run with chains=4.",
    ),
    "too few draws": (
        tree({"sigma": good(draws=3)}),
        "failed",
        "3 draws per chain are too few to judge: R-hat and effective sample size need 4 or more.",
        "Run with draws=1000.",
    ),
    "NaN": (
        tree({"sigma": spoiled(np.nan), "x": good()}),
        "failed",
        "1 parameter with draws that are NaN or infinite (sigma).",
        ENGINE,
    ),
    "infinite": (
        tree({name: spoiled(np.inf) for name in "abcd"} | {"x": good()}),
        "failed",
        "4 parameters with draws that are NaN or infinite (a, b, c, ...).",
        ENGINE,
    ),
    "one divergence": (
        tree({"sigma": good()}, {"diverging": flags(1)}),
        "doubtful",
        "1 divergence in 2,000 draws: the sampler could not follow the posterior everywhere, so that a part of it may "
        "be missing.",
        DIVERGED,
    ),
    "many divergences": (
        tree({"sigma": good()}, {"diverging": flags(201)}),
        "failed",
        "201 divergences in 2,000 draws: the sampler could not follow the posterior everywhere, so that a part of it "
        "may be missing.",
        DIVERGED,
    ),
}


@pytest.mark.parametrize(("idata", "verdict", "sentence", "remedy"), CASES.values(), ids=CASES)
def test_verdict_sentence_and_remedy(idata, verdict, sentence, remedy):
    found = diagnose(idata)
    assert (found.verdict, found.sentence, found.remedy) == (verdict, sentence, remedy)


def test_a_converged_fit_says_what_was_found():
    found = diagnose(tree({"sigma": good(), "Intercept": good(seed=1)}, {"diverging": flags(0)}))
    assert found.verdict == "converged"
    assert found.remedy == ""
    least = min(found.ess_bulk_min, found.ess_tail_min)
    assert found.sentence == (
        f"R-hat is at most {found.r_hat_max:.3f}, every parameter has {int(least):,} effective draws or more, and "
        "there are no divergences."
    )
    assert (found.chains, found.draws, found.divergences, found.n_not_finite) == (4, 500, 0, 0)


def test_slow_chains_are_doubtful_for_their_effective_draws():
    found = diagnose(tree({"cor|gene": slow()}))
    assert found.verdict in ("doubtful", "failed")
    assert "should be at least 400): estimates and intervals are unsteady." in found.sentence
    assert found.remedy.endswith(VARIANCES)
    assert found.ess_bulk_parameter == "cor|gene"


def test_advice_that_two_faults_share_is_given_once():
    wider = good(seed=1) * np.array([2.2, 1, 1, 1])[:, None]
    found = diagnose(tree({"Intercept": wider, "cor|gene": slow()}))
    assert (found.r_hat_parameter, found.ess_bulk_parameter) == ("Intercept", "cor|gene")
    assert found.remedy == LONGER + VARIANCES


def test_a_parameter_that_the_model_fixes_is_no_alarm():
    draws = tree({"sigma": good(), "fixed": np.full((4, 500), 2.0)})
    draws["posterior"]["fixed"].attrs["fixed"] = True
    assert diagnose(draws).verdict == "converged"


def test_a_parameter_that_stands_still_is_never_passed_over():
    """Coefficients that are drawn anew in each draw look perfect where all chains sit on one draw of the variances."""
    values = np.stack([good(), np.full((4, 500), 2.0)], axis=-1)
    posterior = xr.Dataset(
        {"1|g": (("chain", "draw", "g__factor_dim"), values), "sigma": (("chain", "draw"), np.full((4, 500), 1.0))},
        {"g__factor_dim": ["a", "b"]},
    )
    found = diagnose(xr.DataTree.from_dict({"posterior": posterior}))
    assert (found.verdict, found.remedy) == ("failed", ENGINE)
    assert found.sentence == "2 parameters never changed (1|g[b], sigma): the sampler did not move there."


@pytest.mark.parametrize(
    ("noted", "verdict", "sentence"),
    [
        (
            {"effective_proposals": 1.2, "pareto_k": 3.0},
            "failed",
            f"The proposals of the variances are worth 1 draws {HARDLY}",
        ),
        (
            {"effective_proposals": 399.0, "pareto_k": 0.2},
            "doubtful",
            f"The proposals of the variances are worth 399 draws {HARDLY}",
        ),
        (
            {"effective_proposals": 3000.0, "pareto_k": 0.81},
            "doubtful",
            "The proposals of the variances do not cover the posterior's tails (Pareto k 0.81, should be below 0.7).",
        ),
        ({"effective_proposals": 3000.0, "pareto_k": 0.69}, "converged", None),
    ],
)
def test_proposals_are_judged_as_well(noted, verdict, sentence):
    draws = tree({"sigma": good()}, {"accepted": flags(1500)})
    draws["sample_stats"].attrs.update(noted)
    found = diagnose(draws)
    assert found.verdict == verdict
    assert sentence in (None, found.sentence)


@pytest.mark.parametrize("name", ["maxdepth_reached", "reached_max_treedepth"])
def test_tree_depth_is_counted_and_mentioned_but_no_alarm(name):
    found = diagnose(tree({"sigma": good()}, {"diverging": flags(0), name: flags(12)}))
    assert (found.verdict, found.tree_depth_hits) == ("converged", 12)
    assert found.sentence.endswith(" 12 draws reached the greatest tree depth: slower, but not wrong.")


def test_the_worst_parameter_is_named_with_its_level():
    values = np.stack([good(), shifted(0.5), good(seed=2)], axis=-1)
    posterior = xr.Dataset(
        {"1|gene": (("chain", "draw", "gene__factor_dim"), values), "sigma": (("chain", "draw"), good(seed=3))},
        {"gene__factor_dim": ["TP53", "BRAF", "KRAS"]},
    )
    found = diagnose(xr.DataTree.from_dict({"posterior": posterior}))
    assert (found.r_hat_parameter, found.ess_bulk_parameter) == ("1|gene[BRAF]", "1|gene[BRAF]")


def test_dimensions_may_come_in_any_order():
    values = np.stack([good(), shifted(0.5)], axis=-1)
    posterior = xr.Dataset({"x": (("chain", "draw", "dim"), values)}, {"dim": ["a", "b"]})
    expected = diagnose(xr.DataTree.from_dict({"posterior": posterior}))
    assert diagnose(xr.DataTree.from_dict({"posterior": posterior.transpose("dim", "draw", "chain")})) == expected


def test_r_hat_just_above_the_limit_does_not_read_as_the_limit():
    for by in np.linspace(0.15, 0.3, 20):
        found = diagnose(tree({"sigma": shifted(by)}))
        if found.verdict == "doubtful":
            assert "is 1.01 (" not in found.sentence
            assert "is 1.0100 (" not in found.sentence


def test_a_fit_and_its_draws_have_the_same_verdict():
    fit = correlated_fit()
    assert diagnose(fit) == diagnose(fit.idata) == fit.diagnostics


@pytest.mark.parametrize(
    ("given", "kind"),
    [(xr.DataTree(), "DataTree"), (SimpleNamespace(idata={}), "dict"), (3, "int"), (tree({}), "DataTree")],
)
def test_without_draws_there_is_no_verdict(given, kind):
    with pytest.raises(SamplingError) as caught:
        diagnose(given)
    assert str(caught.value) == (
        f"there are no posterior draws in this {kind}.\n"
        "Diagnostics need a group 'posterior' with variables over the dimensions 'chain' and 'draw'.\n"
        "Hand over a fit, or the DataTree that a sampler made."
    )


def test_examples_run():
    assert doctest.testmod(diagnostics).failed == 0


@pytest.mark.slow
def test_the_limit_of_r_hat_leaves_room_for_chance():
    """15 tables of 1,000 parameters, each with a chance of 0.01: four alarms or more have a chance of 1e-5.

    The bound shows that the limit is not too low, the second assertion that it is not too high.
    """
    rng = np.random.default_rng(5)
    limit = r_hat_limit(4, 250, 1000)
    assert limit == pytest.approx(np.sqrt(1 + (stats.f.isf(5e-6, 7, 8 * 124) - 1) / 125))
    largest = np.array([mixing(rng.normal(size=(1000, 4, 250))).r_hat.max() for _ in range(15)])
    assert (largest > limit).sum() < 4
    assert (largest > 1 + 0.6 * (limit - 1)).sum() > 4
    assert r_hat_limit(4, 1000, 1000) == 1.01
    assert r_hat_limit(4, 1000, 1) == 1.01
    # Ten draws in two chains pass 1.86 by chance, which shows nothing.
    assert r_hat_limit(2, 5, 12) == 1.1


@pytest.mark.parametrize(("chains", "draws"), [(4, 250), (4, 1000), (20, 50), (2, 100), (8, 25)])
@pytest.mark.mostly_slow("8-25", "2-100")
def test_good_draws_are_seldom_doubted_however_few_or_spread(chains, draws):
    """60 fits of 10 parameters with independent draws, each doubted with a chance of 0.01: 6 or more with 3e-5."""
    found = mixing(np.random.default_rng(7).normal(size=(60 * 10, chains, draws)))
    r_hat = found.r_hat.reshape(60, 10).max(axis=1)
    least = np.minimum(found.ess_bulk, found.ess_tail).reshape(60, 10).min(axis=1)
    assert ((r_hat > r_hat_limit(chains, draws, 10)) | (least < ess_limit(chains, draws, 10))).sum() < 6


def test_the_limit_of_effective_draws_is_a_hundred_for_each_chain_of_a_usual_length():
    assert ess_limit(4, 1000, 20) == ess_limit(4, 250, 20) == 400
    assert ess_limit(4, 1000, 5000) == 400
    assert 400 < ess_limit(20, 50, 20) < 1000
    assert ess_limit(2, 100, 20) < 100
