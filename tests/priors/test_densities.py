"""Log densities, draws and standard deviations against scipy.stats, and LKJ against integrals."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import integrate, stats

from speclet_formula.errors import PriorError
from speclet_formula.priors import Prior, draw, log_density, prior_sd

# Each prior beside the same distribution in SciPy's words.
ORACLES = [
    (Prior("Normal", mu=-1.5, sigma=0.7), stats.norm(-1.5, 0.7)),
    (Prior("StudentT", nu=3.5, mu=1, sigma=2), stats.t(3.5, 1, 2)),
    (Prior("StudentT", nu=1.5, mu=1, sigma=2), stats.t(1.5, 1, 2)),
    (Prior("Cauchy", alpha=-2, beta=0.5), stats.cauchy(-2, 0.5)),
    (Prior("Laplace", mu=0.5, b=1.3), stats.laplace(0.5, 1.3)),
    (Prior("Logistic", mu=2, s=0.4), stats.logistic(2, 0.4)),
    (Prior("Uniform", lower=-1, upper=3), stats.uniform(-1, 4)),
    (Prior("HalfNormal", sigma=2.5), stats.halfnorm(scale=2.5)),
    (Prior("HalfCauchy", beta=0.8), stats.halfcauchy(scale=0.8)),
    (Prior("Exponential", lam=1.7), stats.expon(scale=1 / 1.7)),
    (Prior("Gamma", alpha=2, beta=0.1), stats.gamma(2, scale=10)),
    (Prior("Gamma", mu=3, sigma=1.5), stats.gamma(4, scale=0.75)),
    (Prior("InverseGamma", alpha=2.7, beta=0.3), stats.invgamma(2.7, scale=0.3)),
    (Prior("InverseGamma", alpha=0.4, beta=0.3), stats.invgamma(0.4, scale=0.3)),
    (Prior("InverseGamma", mu=2, sigma=1), stats.invgamma(6, scale=10)),
    (Prior("LogNormal", mu=0.2, sigma=0.6), stats.lognorm(0.6, scale=np.exp(0.2))),
    (Prior("Beta", alpha=2, beta=5), stats.beta(2, 5)),
    (Prior("Beta", mu=0.25, sigma=0.25), stats.beta(0.5, 1.5)),
]
IDS = [str(prior) for prior, _ in ORACLES]


def half_t(nu, sigma):
    """The t distribution folded at zero, which SciPy lacks: log density and SD by quadrature."""
    base = stats.t(nu, 0, sigma)
    first, second = (integrate.quad(lambda x, k=k: 2 * x**k * base.pdf(x), 0, np.inf)[0] for k in (1, 2))
    return base, np.sqrt(second - first**2)


@pytest.mark.parametrize(("prior", "oracle"), ORACLES, ids=IDS)
def test_log_density_is_scipys(prior, oracle):
    points = np.concatenate([oracle.rvs(200, random_state=1), np.linspace(-4.03, 4.07, 40)])
    np.testing.assert_allclose(log_density(prior, points), oracle.logpdf(points), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("prior", "oracle"), ORACLES, ids=IDS)
def test_draws_follow_scipys_distribution(prior, oracle):
    # Kolmogorov-Smirnov at 1e-6 each: a false alarm in the 18 cases together has a chance of 2e-5.
    draws = draw(prior, np.random.default_rng(7), 4000)
    assert stats.kstest(draws, oracle.cdf).pvalue > 1e-6


@pytest.mark.parametrize(("prior", "oracle"), ORACLES, ids=IDS)
def test_sd_is_scipys(prior, oracle):
    if prior.name in ("Cauchy", "HalfCauchy"):  # the next test says what they are
        assert not np.isfinite(prior_sd(prior))
    else:
        np.testing.assert_allclose(prior_sd(prior), oracle.std(), rtol=1e-5)


@pytest.mark.parametrize("nu", [2.5, 4, 30])
def test_half_student_t_against_quadrature(nu):
    base, sd = half_t(nu, 1.4)
    prior = Prior("HalfStudentT", nu=nu, sigma=1.4)
    points = np.array([0.0, 0.3, 2.0, 40.0])
    np.testing.assert_allclose(log_density(prior, points), np.log(2) + base.logpdf(points), rtol=1e-12)
    np.testing.assert_allclose(prior_sd(prior), sd, rtol=1e-5)
    draws = draw(prior, np.random.default_rng(3), 4000)
    assert stats.kstest(draws, lambda x: 2 * base.cdf(x) - 1).pvalue > 1e-6


@pytest.mark.parametrize(
    ("prior", "sd"),
    [
        (Prior("Cauchy", alpha=0, beta=1), np.nan),
        (Prior("StudentT", nu=1, mu=0, sigma=1), np.nan),
        (Prior("StudentT", nu=2, mu=0, sigma=1), np.inf),
        (Prior("HalfStudentT", nu=2, sigma=1), np.inf),
        (Prior("HalfCauchy", beta=1), np.inf),
        (Prior("InverseGamma", alpha=2, beta=1), np.inf),
        (Prior("Flat"), np.inf),
        (Prior("HalfFlat"), np.inf),
    ],
    ids=str,
)
def test_sd_where_there_is_none(prior, sd):
    np.testing.assert_equal(prior_sd(prior), sd)


@pytest.mark.parametrize(
    ("prior", "outside"),
    [
        (Prior("HalfNormal", sigma=1), [-0.1, np.inf, np.nan]),
        (Prior("LogNormal", mu=0, sigma=1), [-1, 0, np.nan]),
        (Prior("InverseGamma", alpha=1, beta=1), [-1, 0]),
        (Prior("Beta", alpha=2, beta=2), [-0.1, 1.1]),
        (Prior("Uniform", lower=1, upper=2), [0.5, 2.5, np.nan]),
        (Prior("Normal", mu=0, sigma=1), [np.inf, np.nan]),
        (Prior("HalfFlat"), [-1]),
    ],
    ids=str,
)
def test_log_density_outside_the_support_is_minus_infinity(prior, outside):
    assert np.all(log_density(prior, np.array(outside)) == -np.inf)


def test_improper_priors_have_log_density_zero_and_no_draws():
    np.testing.assert_equal(log_density(Prior("Flat"), [-3.0, 1e9]), [0, 0])
    np.testing.assert_equal(log_density(Prior("HalfFlat"), [0.0, 1e9]), [0, 0])
    with pytest.raises(PriorError, match="improper"):
        draw(Prior("HalfFlat"), np.random.default_rng(1), 3)


def test_vector_parameters_broadcast():
    prior = Prior("Normal", mu=0, sigma=[1, 2, 4])
    np.testing.assert_allclose(log_density(prior, [1.0, 2.0, 4.0]), stats.norm(0, [1, 2, 4]).logpdf([1, 2, 4]))
    np.testing.assert_equal(prior_sd(prior), [1, 2, 4])
    draws = draw(prior, np.random.default_rng(2), (5, 400))
    assert draws.shape == (5, 400, 3)
    # 2000 draws each: the SD's standard error is 1.6 %; 10 % is more than six of them.
    np.testing.assert_allclose(draws.std(axis=(0, 1)), [1, 2, 4], rtol=0.1)
    # Each column of a t has its own denominator: scale mixtures drawn once would make them equal but for the scale.
    t = draw(Prior("StudentT", nu=3, mu=0, sigma=[1, 1]), np.random.default_rng(2))
    assert t.shape == (2,)
    assert t[0] != t[1]


@given(
    mu=st.floats(-1e3, 1e3), sigma=st.floats(1e-3, 1e3), nu=st.floats(0.1, 200), x=st.floats(-1e4, 1e4, allow_nan=False)
)
def test_student_t_at_any_point(mu, sigma, nu, x):
    np.testing.assert_allclose(
        log_density(Prior("StudentT", nu=nu, mu=mu, sigma=sigma), x), stats.t(nu, mu, sigma).logpdf(x), rtol=1e-8
    )


def test_a_prior_with_hyperpriors_has_no_density_of_its_own():
    prior = Prior("Normal", mu=0, sigma=Prior("Exponential", lam=1))
    rng = np.random.default_rng(1)
    for verb in (lambda: log_density(prior, 0.0), lambda: draw(prior, rng), lambda: prior_sd(prior)):
        with pytest.raises(PriorError, match="priors of their own"):
            verb()


def correlation(r):
    """A 2 x 2 correlation matrix."""
    return np.array([[1, r], [r, 1]])


@pytest.mark.parametrize("eta", [0.5, 1, 2, 7.3])
def test_lkj_of_two_is_a_stretched_beta(eta):
    prior = Prior("LKJ", eta=eta)
    oracle = stats.beta(eta, eta, loc=-1, scale=2)
    for r in (-0.93, -0.2, 0.0, 0.5, 0.99):
        assert log_density(prior, correlation(r)) == pytest.approx(oracle.logpdf(r), abs=1e-10)
    draws = draw(prior, np.random.default_rng(5), 4000)
    assert draws.shape == (4000, 2, 2)
    assert stats.kstest(draws[:, 0, 1], oracle.cdf).pvalue > 1e-6
    assert prior_sd(prior) == pytest.approx(oracle.std())


@pytest.mark.parametrize("eta", [1.0, 2.0, 4.0])
def test_lkj_of_three_integrates_to_one(eta):
    """Integrate det(R)^(eta - 1) over the cube of correlations: r23 in closed form given r12, r13, those by quadrature.

    Given r12 and r13, det = (1 - r12^2)(1 - r13^2)(1 - p^2) with p the partial correlation, and
    dr23 = sqrt((1 - r12^2)(1 - r13^2)) dp.
    """

    def side(r):
        return (1 - r**2) ** (eta - 1 + 0.5)

    edge = integrate.quad(side, -1, 1)[0]
    inner = integrate.quad(lambda p: (1 - p**2) ** (eta - 1), -1, 1)[0]
    assert float(log_density(Prior("LKJ", eta=eta), np.eye(3))) == pytest.approx(-np.log(edge**2 * inner), abs=1e-7)


def test_lkj_of_three_by_monte_carlo():
    """Uniform points in the cube: the mean density times the volume 8 is 1."""
    rng = np.random.default_rng(11)
    r = rng.uniform(-1, 1, (40_000, 3))
    matrices = np.ones((len(r), 3, 3))
    for k, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        matrices[:, i, j] = matrices[:, j, i] = r[:, k]
    density = 8 * np.exp(log_density(Prior("LKJ", eta=2), matrices))
    error = density.std() / np.sqrt(len(r))
    assert abs(density.mean() - 1) < 4.5 * error  # false alarm: 7e-6
    assert error < 0.01


@pytest.mark.parametrize(("eta", "dimension"), [(1, 3), (2, 3), (0.7, 5)])
def test_every_entry_of_an_lkj_draw_has_the_same_distribution(eta, dimension):
    prior = Prior("LKJ", eta=eta)
    draws = draw(prior, np.random.default_rng(13), 3000, dimension=dimension)
    a = eta + (dimension - 2) / 2
    oracle = stats.beta(a, a, loc=-1, scale=2)
    rows, columns = np.triu_indices(dimension, 1)
    assert np.all(np.isfinite(log_density(prior, draws)))
    for i, j in zip(rows, columns, strict=True):  # 16 tests at 1e-6
        assert stats.kstest(draws[:, i, j], oracle.cdf).pvalue > 1e-6
    assert prior_sd(prior, dimension=dimension) == pytest.approx(oracle.std())
    np.testing.assert_equal(np.diagonal(draws, axis1=1, axis2=2), 1)


def test_the_determinant_of_lkj_draws_has_the_mean_that_theory_gives():
    """E det under LKJ(eta) is the ratio of the constants at eta + 1 and eta, which ties draws to densities."""
    draws = draw(Prior("LKJ", eta=1.5), np.random.default_rng(17), 20_000, dimension=4)
    determinants = np.linalg.det(draws)
    here, there = (-float(log_density(Prior("LKJ", eta=eta), np.eye(4))) for eta in (1.5, 2.5))
    error = determinants.std() / np.sqrt(len(determinants))
    assert abs(determinants.mean() - np.exp(there - here)) < 4.5 * error  # false alarm: 7e-6


@pytest.mark.parametrize(
    "matrix",
    [
        correlation(1.2),
        np.array([[1, 0.5], [0.4, 1]]),
        np.array([[2, 0.5], [0.5, 1]]),
        # Positive determinant, two negative eigenvalues.
        np.array([[1, 3, 3], [3, 1, 3], [3, 3, 1]]),
    ],
)
def test_lkj_knows_what_is_no_correlation_matrix(matrix):
    assert log_density(Prior("LKJ", eta=2), matrix) == -np.inf


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda prior: pickle.loads(pickle.dumps(prior))])
def test_a_prior_survives_a_worker_process(copied):
    prior = Prior("Normal", mu=[0, 1], sigma=Prior("HalfNormal", sigma=1), noncentered=True)
    assert copied(prior) == prior
