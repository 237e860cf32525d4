"""What a verdict says, for draws that go wrong in one way at a time."""

import doctest
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from speclet_formula.convergence import mixing
from speclet_formula.diagnostics import diagnose, judging
from speclet_formula.diagnostics.findings import r_hat_limit
from speclet_formula.errors import SamplingError
from tests.fakes import correlated_fit

LONGER = "Run longer (draws=1000)."
VARIANCES = " A group SD or correlation also gains from more levels, a tighter prior, or a simpler group term."
ENGINE = "Check the priors' scales against the data's, then use a simpler model or another engine (method=)."
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


def test_a_parameter_that_the_model_fixes_is_no_alarm():
    assert diagnose(tree({"sigma": good(), "fixed": np.full((4, 500), 2.0)})).verdict == "converged"


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
    assert doctest.testmod(judging).failed == 0


def test_the_limit_of_r_hat_leaves_room_for_chance():
    """100 tables of 1,000 parameters, each with a chance of 0.01: six alarms or more have a chance of 6e-4.

    The seed is fixed; the bound shows that the limit is not too low, the second assertion that it is not too high.
    """
    rng = np.random.default_rng(5)
    limit = r_hat_limit(4, 250, 1000)
    assert limit == pytest.approx(np.sqrt(1 + (stats.f.isf(5e-6, 7, 8 * 124) - 1) / 125))
    largest = np.array([mixing(rng.normal(size=(1000, 4, 250))).r_hat.max() for _ in range(100)])
    assert (largest > limit).sum() < 6
    assert (largest > 1 + 0.6 * (limit - 1)).sum() > 50
    assert r_hat_limit(4, 1000, 1000) == 1.01
    assert r_hat_limit(4, 50, 100) == 1.01
