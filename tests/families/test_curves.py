"""The curves of every family against differences of its own log density; a new family's are covered by themselves.

The compiled loops are held against the curves, and in the tails against many digits.
"""

import numpy as np
import pytest
from scipy import special

from speclet_formula.families import FAMILIES, draw_response, inverse_link, log_density, resolve_family
from speclet_formula.families.links import FORWARD_LINKS, MEANS, Observations

STEP = 1e-4  # of central differences, whose error is its square; exact derivatives differ by far less than TOLERANCE
TOLERANCE = 1e-5  # relative to one plus the derivative
TRIALS = np.array([3.0, 5.0, 1.0, 7.0, 4.0, 6.0])
WEIGHTS = np.array([0.5, 1.0, 2.0, 1.5, 0.7, 1.1])
CUTS = np.array([-0.9, 0.2, 1.1])
CURVES = {(name, link): curve for name, known in FAMILIES.items() for link, curve in known.curves.items()}


def case(name, link):
    """Return a family's curve, predictors that its link takes, a response that the family drew there, its numbers."""
    family, known = resolve_family(name, link), FAMILIES[name]
    eta = np.array([-1.2, -0.3, 0.1, 0.4, 0.9, 1.6])
    if link.startswith("inverse"):
        eta = np.array([0.6, 0.8, 1.0, 1.2, 1.5, 1.9])
    if link == "identity" and known.support != "real":
        eta = np.array([0.3, 0.35, 0.45, 0.6, 0.75, 0.9])
    numbers = np.array([2.2 + 1.7 * place if parameter.link == "log" else 0.6
                        for place, parameter in enumerate(known.own_parameters)])  # fmt: skip
    if known.is_ordinal:
        numbers = CUTS
    trials = TRIALS if known.support == "proportion" else None
    weights = WEIGHTS if known.weights == "variance" else None
    mean, named = inverse_link(family, eta), named_of(name, numbers)
    y = draw_response(family, np.random.default_rng(7), mean, named, trials=trials, weights=weights)
    return known.curves[link], eta, Observations(y, trials, 1.0 if weights is None else weights), numbers, weights


def named_of(name, numbers):
    """Return the parameters as the family's own functions take them."""
    known = FAMILIES[name]
    return {"threshold": numbers} if known.is_ordinal else dict(zip(known.parameters, numbers, strict=True))


def density(name, link, eta, observed, numbers, weights):
    """The log density of the family's own definition."""
    family, named = resolve_family(name, link), named_of(name, numbers)
    mean = inverse_link(family, eta)
    return log_density(family, observed.response, mean, named, trials=observed.trials, weights=weights)


@pytest.mark.parametrize(("name", "link"), list(CURVES))
def test_value_and_slopes_are_those_of_the_density(name, link):
    curve, eta, observed, parameters, weights = case(name, link)

    def of(x):
        return density(name, link, x, observed, parameters, weights)

    found = curve.slopes(eta, observed, parameters)
    assert np.sum(found.value) + curve.constant(observed, parameters) == pytest.approx(of(eta).sum(), rel=1e-11)
    first = (of(eta + STEP) - of(eta - STEP)) / (2 * STEP)
    np.testing.assert_allclose(np.broadcast_to(found.first, 6), first, rtol=TOLERANCE, atol=TOLERANCE)
    ahead, behind = (curve.slopes(eta + step, observed, parameters) for step in (STEP, -STEP))
    for order in (2, 3):
        slope = (np.broadcast_to(ahead[order - 1], 6) - behind[order - 1]) / (2 * STEP)
        np.testing.assert_allclose(np.broadcast_to(found[order], 6), slope, rtol=TOLERANCE * 10, atol=TOLERANCE)


def moved_by(name, numbers, place, step):
    """Return the numbers with one of them moved on its link's scale."""
    known = FAMILIES[name]
    link = None if known.is_ordinal else known.own_parameters[place].link
    forward, back = {"log": (np.log, np.exp), "logit": (special.logit, special.expit), None: (float, float)}[link]
    moved = numbers.copy()
    moved[place] = back(forward(numbers[place]) + step)
    return moved


WITH_PARAMETERS = [
    (name, link, place)
    for name, link in CURVES
    for place in range(len(CUTS) if FAMILIES[name].is_ordinal else len(FAMILIES[name].own_parameters))
]


@pytest.mark.parametrize(("name", "link", "place"), WITH_PARAMETERS)
def test_drifts_are_derivatives_by_a_parameter_on_its_links_scale(name, link, place):
    curve, eta, observed, parameters, _ = case(name, link)
    moved = [moved_by(name, parameters, place, step) for step in (STEP, -STEP)]
    ahead, behind = (curve.slopes(eta, observed, one) for one in moved)
    total = [np.sum(s.value) + curve.constant(observed, one) for s, one in zip((ahead, behind), moved, strict=True)]
    drift = curve.drifts(eta, observed, parameters)[place]
    assert np.sum(drift.value) == pytest.approx((total[0] - total[1]) / (2 * STEP), rel=TOLERANCE, abs=TOLERANCE)
    for order in (1, 2):
        slope = (np.broadcast_to(ahead[order], 6) - behind[order]) / (2 * STEP)
        np.testing.assert_allclose(np.broadcast_to(drift[order], 6), slope, rtol=TOLERANCE * 10, atol=TOLERANCE)


@pytest.mark.parametrize(("name", "link"), list(CURVES))
def test_a_compiled_loop_gives_the_same(name, link):
    curve, eta, observed, parameters, _ = case(name, link)
    out = np.full((4, 6), np.nan)
    curve.compiled(eta, *observed.arrays, parameters, out)
    for row, slopes in zip(out, curve.slopes(eta, observed, parameters), strict=True):
        np.testing.assert_allclose(row, np.broadcast_to(slopes, 6), rtol=1e-10, atol=1e-12)


# By mpmath 1.3 with 80 to 400 digits: family, link, eta, response, trials, numbers; the part of the log density that
# eta changes, and its derivatives by Taylor's series.
IN_THE_TAILS = [
    ('bernoulli', 'logit', -700.0, 1.0, 1.0, [],
     [-700, 1, -9.859676543759771e-305, -9.859676543759771e-305]),
    ('bernoulli', 'logit', -40.0, 1.0, 1.0, [],
     [-40, 1, -4.248354255291589e-18, -4.248354255291589e-18]),
    ('bernoulli', 'logit', 40.0, 1.0, 1.0, [],
     [-4.248354255291589e-18, 4.248354255291589e-18, -4.248354255291589e-18, 4.248354255291589e-18]),
    ('bernoulli', 'logit', 700.0, 1.0, 1.0, [],
     [-9.859676543759771e-305, 9.859676543759771e-305, -9.859676543759771e-305, 9.859676543759771e-305]),
    ('bernoulli', 'probit', -60.0, 1.0, 1.0, [],
     [-1805.013560680567, 60.01665742024112, -0.9997226841165853, 9.228501819619018e-06]),
    ('bernoulli', 'probit', -31.0, 1.0, 1.0, [],
     [-484.8539636271793, 31.03219127677772, -0.9989658584100466, 6.630681287049457e-05]),
    ('bernoulli', 'probit', -29.0, 1.0, 1.0, [],
     [-424.7874199097301, 29.03440123773633, -0.9988193395112325, 8.085119774858829e-05]),
    ('bernoulli', 'probit', -6.0, 1.0, 1.0, [],
     [-20.73676894997471, 6.158482604544599, -0.9760123632108332, 0.006953537499164312]),
    ('bernoulli', 'probit', 6.0, 1.0, 1.0, [],
     [-9.865876455243758e-10, 6.075882855817676e-09, -3.645529717182241e-08, 2.12655900618113e-07]),
    ('bernoulli', 'probit', 30.0, 1.0, 1.0, [],
     [-4.906713927148187e-198, 1.473646134878548e-196, -4.420938404635642e-195, 1.324807875255814e-193]),
    ('bernoulli', 'cloglog', -40.0, 1.0, 1.0, [],
     [-40, 1, -2.124177127645794e-18, -2.124177127645794e-18]),
    ('bernoulli', 'cloglog', -9.3, 1.0, 1.0, [],
     [-9.300045711767474, 0.9999542885807934, -4.571072267407013e-05, -4.57093296090544e-05]),
    ('bernoulli', 'cloglog', -9.0, 1.0, 1.0, [],
     [-9.000061704267461, 0.9999382963671216, -6.170236371338362e-05, -6.169982538343003e-05]),
    ('bernoulli', 'cloglog', 3.0, 1.0, 1.0, [],
     [-1.892178696628463e-09, 3.800542511235663e-08, -7.253539457077387e-07, 1.3080410198944e-05]),
    ('bernoulli', 'cloglog', 5.0, 1.0, 1.0, [],
     [-3.507389196464623e-65, 5.205427108495624e-63, -7.673484545415308e-61, 1.123447059347969e-58]),
    ('negativebinomial', 'log', 2.0, 5.0, 1.0, [1000000000.0],
     [2.610943891423144, -2.389056081277781, -7.389056026679631, -7.389055917483333]),
    ('negativebinomial', 'log', 30.0, 5.0, 1.0, [0.001],
     [-34.57568415018967, -0.0009999999999995321, -4.67974724671697e-16, 4.679747246716969e-16]),
    ('zero_inflated_poisson', 'log', 3.0, 0.0, 1.0, [0.6],
     [-0.9162907290358869, -5.700813739886098e-08, 1.088030907998189e-06, -1.962061489546864e-05]),
    ('zero_inflated_poisson', 'log', -30.0, 0.0, 1.0, [0.6],
     [-5.614573781303999e-14, -5.614573781303895e-14, -5.614573781303684e-14, -5.614573781303264e-14]),
    ('hurdle_poisson', 'log', -20.0, 3.0, 1.0, [0.6],
     [-40.00000000103058, 1.999999998969423, -1.030576811927338e-09, -1.030576812635397e-09]),
    ('hurdle_poisson', 'log', 5.0, 3.0, 1.0, [0.6],
     [-133.4131591025766, -145.4131591025766, -148.4131591025766, -148.4131591025766]),
    ('beta', 'logit', 1.0, 0.25, 1.0, [0.01],
     [-10.83917283151824, -0.4642919971882002, -0.3922314608561612, 0.1821237550805555]),
    ('beta', 'logit', -1.0, 0.25, 1.0, [10000.0],
     [-79229.43697613572, -193.6524489987249, -2055.91287447866, -1782.410428187601]),
    ('beta', 'logit', -8.0, 0.001, 1.0, [30.0],
     [-75.88589074705543, 0.9698767345228914, -0.03027056849476067, -0.03056247870465104]),
    ('beta_binomial', 'logit', 0.5, 3.0, 10.0, [100000000.0],
     [175.9660382021499, -3.224592983983038, -2.350036757588623, 0.5755682765586415]),
    ('beta_binomial', 'logit', 0.5, 60.0, 100.0, [2.5],
     [301.1074690173951, -0.2052842127356714, -0.8610438755580896, 0.3366929383062633]),
    ('cumulative', 'logit', -8.0, 1.0, 1.0, [-0.5, 0.5],
     [-7.959431524534572, 0.9992437943850212, -0.0007558586682219662, -0.0007551651293636826]),
    ('cumulative', 'logit', 9.0, 1.0, 1.0, [-0.5, 0.5],
     [-8.958953442087841, -0.9997217267944342, -0.0002782262210726445, 0.0002781322697615171]),
    ('cumulative', 'probit', -8.0, 1.0, 1.0, [-0.5, 0.5],
     [-31.07618802808785, 7.628673492401576, -0.9841680542980001, 0.003629005829337894]),
    ('cumulative', 'probit', 9.0, 1.0, 1.0, [-0.5, 0.5],
     [-39.19750714141429, -8.614485879119671, -0.9873002322643005, -0.002688448325086812]),
    ('cumulative', 'cloglog', -3.0, 1.0, 1.0, [-0.5, 0.5],
     [-12.18249396151431, 12.18249394373032, -12.18249429902856, 12.18248757218189]),
    ('cumulative', 'cloglog', 9.0, 1.0, 1.0, [-0.5, 0.5],
     [-8.958814304797272, -0.9998608412790687, -0.0001391573424134846, 0.0001391545853777998]),
    ('vonmises', 'identity', 0.300000001, 0.3, 1.0, [3.0],
     [-1.50000008168766e-18, -3.000000081687659e-09, -3, 3.000000081687659e-09]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "link", "eta", "response", "trials", "numbers", "expected"), IN_THE_TAILS)
def test_compiled_loops_keep_their_digits_in_the_tails(name, link, eta, response, trials, numbers, expected):
    observed = Observations(np.array([response]), np.array([trials]), 1.0)
    out = np.empty((4, 1))
    CURVES[name, link].compiled(np.array([eta]), *observed.arrays, np.array(numbers), out)
    np.testing.assert_allclose(out[:, 0], expected, rtol=1e-9, atol=1e-11 * min(1.0, np.max(np.abs(expected))))


def test_every_family_has_its_usual_link():
    rows = {(name, FAMILIES[name].links[0]) for name in ("bernoulli", "binomial", "poisson", "negativebinomial", "t")}
    assert rows <= set(CURVES)
    assert ("gaussian", "identity") not in CURVES  # its likelihood is known exactly


@pytest.mark.parametrize("link", list(MEANS))
def test_a_link_undoes_its_inverse(link):
    eta = np.array([0.2, 0.4, 0.7])
    np.testing.assert_allclose(FORWARD_LINKS[link](MEANS[link](eta).value), eta, rtol=1e-12)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_shares_near_0_and_1_keep_their_digits(link):
    eta = np.array([-30.0, 5.0]) if link != "cloglog" else np.array([-30.0, 3.0])
    observed = Observations(np.array([1.0, 0.0]), None, 1.0)
    found = CURVES["bernoulli", link].slopes(eta, observed, np.zeros(0))
    lower = {"logit": special.log_expit, "probit": special.log_ndtr, "cloglog": lambda x: x}[link](-30.0)
    upper = {"logit": lambda: special.log_expit(-5.0), "probit": lambda: special.log_ndtr(-5.0),
             "cloglog": lambda: -np.exp(3.0)}[link]()  # fmt: skip
    np.testing.assert_allclose(found.value, [lower, upper], rtol=1e-11)
    assert (found.second <= 0).all()


def test_a_negative_binomial_with_a_huge_alpha_is_a_poisson_response():
    eta, observed = np.array([0.3, 2.0, 8.0]), Observations(np.array([0.0, 9.0, 3000.0]), None, 1.0)
    for alpha in (1e7, 1e10, 1e13):
        curve, poisson = CURVES["negativebinomial", "log"], CURVES["poisson", "log"]
        total = np.sum(curve.slopes(eta, observed, np.array([alpha])).value) + curve.constant(
            observed, np.array([alpha])
        )
        expected = np.sum(poisson.slopes(eta, observed, np.zeros(0)).value) + poisson.constant(observed, np.zeros(0))
        assert total == pytest.approx(expected, abs=1e-7 + 1e7 / alpha)
        (drift,) = curve.drifts(eta, observed, np.array([alpha]))
        # d log density / d log alpha = ((y - mean)^2 - y) / (2 alpha) + O(1 / alpha^2), by Taylor's series
        mean = np.exp(eta)
        by_hand = -((observed.response - mean) ** 2 - observed.response) / (2 * alpha)
        np.testing.assert_allclose(drift.value, by_hand, atol=1e-10 + 1e11 / alpha**2 * 3)
