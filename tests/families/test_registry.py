"""The names of families and links, what responses they take, and the exact text of each error."""

from typing import Any

import numpy as np
import pytest

from speclet_formula.errors import DataError
from speclet_formula.families import FAMILIES, check_response, resolve_family

NAMES = ", ".join(FAMILIES)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Negative_Binomial", "negativebinomial"),
        ("nbinom2", "negativebinomial"),
        ("negbinomial", "negativebinomial"),
        ("student", "t"),
        ("Student-T", "t"),
        ("Gamma", "gamma"),
        ("inverse.gaussian", "wald"),
        ("Beta", "beta"),
        ("beta_family", "beta"),
        ("betabinomial", "beta_binomial"),
        ("zi_poisson", "zero_inflated_poisson"),
        ("zip", "zero_inflated_poisson"),
        ("zero_inflated_negbinomial", "zero_inflated_negativebinomial"),
        ("hurdle_negbinomial", "hurdle_negativebinomial"),
        ("ziGamma", "hurdle_gamma"),
        ("asym_laplace", "asymmetriclaplace"),
        ("von_mises", "vonmises"),
        ("ordinal", "cumulative"),
    ],
)
def test_other_names_are_understood(given: str, name: str) -> None:
    assert resolve_family(given).name == name


def test_r_spells_links_its_own_way() -> None:
    assert resolve_family("inverse.gaussian", "1/mu^2") == resolve_family("wald")


def test_bambi_knows_every_family_and_link_here() -> None:
    """And the default links are Bambi's."""
    from bambi.defaults.families import BUILTIN_FAMILIES

    for name, known in FAMILIES.items():
        theirs = BUILTIN_FAMILIES[name]
        assert set(theirs["likelihood"]["params"]) == {known.parent, *known.parameters}
        assert theirs["likelihood"]["parent"] == known.parent
        assert theirs["link"][known.parent] == known.links[0]
        assert set(known.links) <= set(theirs["family"].SUPPORTED_LINKS[known.parent])


MESSAGES = [
    (
        lambda: resolve_family("gausian"),
        f"there is no family 'gausian'.\nFamilies: {NAMES}.\nNearest: gaussian.",
    ),
    (
        lambda: resolve_family("hurdle_nbinomial"),
        f"there is no family 'hurdle_nbinomial'.\nFamilies: {NAMES}.\nNearest: hurdle_negativebinomial.",
    ),
    (
        lambda: resolve_family("xyz"),
        f"there is no family 'xyz'.\nFamilies: {NAMES}.\nChoose the one that fits the response.",
    ),
    (
        lambda: resolve_family("skew_normal"),
        f"there is no family 'skew_normal'.\nFamilies: {NAMES}.\n"
        "Bambi has none: a skewed response above 0 may be 'gamma' or 'lognormal', outliers want 't'.",
    ),
    (
        lambda: resolve_family("quasipoisson"),
        f"there is no family 'quasipoisson'.\nFamilies: {NAMES}.\n"
        "A quasi-likelihood has no posterior: 'negativebinomial' is for counts that vary more.",
    ),
    (
        lambda: resolve_family("poisson", "logit"),
        "the family 'poisson' has no link 'logit'.\nIts links: log, identity.\nLeave link= out for its default, log.",
    ),
    (
        lambda: check_response(resolve_family("poisson"), np.array([1.0, -2.0]), "count", None),
        "'count' has 1 values that a poisson response cannot take, such as -2.\n"
        "A poisson response takes whole numbers from 0 on.\nChoose another family than 'poisson', or mend the column.",
    ),
    (
        lambda: check_response(resolve_family("gamma"), np.array([1.0, 0.0]), "weight", None),
        "'weight' has 1 values that a gamma response cannot take, such as 0.\n"
        "A gamma response takes numbers above 0.\n"
        "For zeros beside positive numbers take family='hurdle_gamma' or 'hurdle_lognormal'.",
    ),
    (
        lambda: check_response(resolve_family("wald"), np.array([1.0, -0.5]), "time", None),
        "'time' has 1 values that a wald response cannot take, such as -0.5.\n"
        "A wald response takes numbers above 0.\nChoose another family than 'wald', or mend the column.",
    ),
    (
        lambda: check_response(resolve_family("beta"), np.array([1.0, 0.2]), "share", None),
        "'share' has 1 values that a beta response cannot take, such as 1.\n"
        "A beta response takes numbers between 0 and 1, neither 0 nor 1 themselves.\n"
        "Shares of 0 or 1 mostly come from counts: cbind(successes, failures) with family='beta_binomial'.",
    ),
    (
        lambda: check_response(resolve_family("beta"), np.array([20.0, 0.2]), "share", None),
        "'share' has 1 values that a beta response cannot take, such as 20.\n"
        "A beta response takes numbers between 0 and 1, neither 0 nor 1 themselves.\n"
        "Choose another family than 'beta', or mend the column.",
    ),
    (
        lambda: check_response(resolve_family("vonmises"), np.array([1.0, 90.0]), "angle", None),
        "'angle' has 1 values that a vonmises response cannot take, such as 90.\n"
        "A vonmises response takes angles in radians, from -pi to pi.\n"
        "Choose another family than 'vonmises', or mend the column.",
    ),
    (
        lambda: check_response(resolve_family("hurdle_gamma"), np.array([1.0, -1.0]), "rain", None),
        "'rain' has 1 values that a hurdle_gamma response cannot take, such as -1.\n"
        "A hurdle_gamma response takes 0 and numbers above it.\n"
        "Choose another family than 'hurdle_gamma', or mend the column.",
    ),
    (
        lambda: check_response(resolve_family("hurdle_poisson"), np.array([1.0, 0.5]), "count", None),
        "'count' has 1 values that a hurdle_poisson response cannot take, such as 0.5.\n"
        "A hurdle_poisson response takes whole numbers from 0 on.\n"
        "Choose another family than 'hurdle_poisson', or mend the column.",
    ),
    (
        lambda: check_response(resolve_family("binomial"), np.array([1.0, 2.0]), "hits", None),
        "'hits' says nothing of the numbers of trials.\n"
        "A binomial response is cbind(successes, failures), or a proportion with the numbers of trials as weights, "
        "or single trials of 0 and 1.\n"
        "Write cbind(hits, trials - hits) for successes, or add weights='trials' for a proportion.",
    ),
    (
        lambda: check_response(resolve_family("binomial"), np.array([0.5, 0.2]), "hits / n", None),
        "'hits / n' says nothing of the numbers of trials.\n"
        "A binomial response is cbind(successes, failures), or a proportion with the numbers of trials as weights, "
        "or single trials of 0 and 1.\n"
        "Write weights='n', or cbind(hits, n - hits) ~ ...",
    ),
    (
        lambda: check_response(resolve_family("beta_binomial"), np.array([0.0, 1.0]), "hit", None),
        "'hit' says nothing of the numbers of trials.\n"
        "A beta_binomial response is cbind(successes, failures), or a proportion with the numbers of trials as "
        "weights.\n"
        "Write cbind(hit, trials - hit) for successes, or add weights='trials' for a proportion.",
    ),
    (
        lambda: check_response(resolve_family("poisson"), np.array([0.0, 1.0]), "cbind(s, f)", np.ones(2)),
        "'cbind(s, f)' does not fit the family 'poisson'.\n"
        "Successes out of trials have the families binomial, beta_binomial, zero_inflated_binomial.\n"
        "Choose one of these, or write the response as one column.",
    ),
]


@pytest.mark.parametrize(("action", "message"), MESSAGES)
def test_messages(action: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        action()
    assert str(caught.value) == message
