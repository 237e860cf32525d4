"""The picture holds the residuals and the means that the frames hold."""

import numpy as np
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.errors import DataError
from tests.fakes import screen_data, sleepstudy_data


@pytest.fixture(scope="module")
def fit():
    return sf.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy_data(), method="reml")


def points(axis):
    return axis.collections[0].get_offsets().T


def test_residuals_stand_against_means_and_normal_quantiles(fit):
    picture = sf.plot_residuals(fit, random_seed=1)
    first, second = picture.figure.axes
    means, left = points(first)
    np.testing.assert_allclose(means + left, sleepstudy_data()["Reaction"], rtol=1e-12)
    expected, quantiles = points(second)
    drawn = sf.residuals(fit, "quantile", random_seed=1)
    np.testing.assert_array_equal(quantiles, np.sort(drawn))
    np.testing.assert_allclose(stats.norm.cdf(expected), (np.arange(180) + 0.5) / 180, rtol=1e-9)
    assert f"beyond 2 SDs: {(drawn.abs() > 2).sum()} " in picture.alt


def test_a_group_has_a_panel_of_its_values(fit):
    axis = sf.plot_residuals(fit, "Subject").figure.axes[2]
    medians = axis.collections[-1].get_offsets()[:, 0].tolist()
    assert len(medians) == 18
    assert medians == sorted(medians)


def test_messages(fit):
    with pytest.raises(DataError) as error:
        sf.plot_residuals(fit, "subject")
    assert str(error.value) == (
        "the model's table has no column 'subject'.\nIts columns: Reaction, Days, Subject.\nNearest: 'Subject'."
    )


def test_counts_have_them_too():
    data = screen_data().assign(n=np.random.default_rng(1).poisson(3, 48))
    fit = sf.glmer("n ~ (1 | gene)", data, family="poisson", method="laplace")
    assert "Residuals of 48 rows" in sf.plot_residuals(fit, "gene").alt


def test_a_statistic_is_drawn_among_those_of_the_replicates():
    fit = sf.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy_data(), method="reml")
    check = sf.posterior_predictive(fit, 60, statistics={"one": lambda y: 1.0}, random_seed=1)
    (axis,) = sf.plot_predictive(check, statistic="largest").figure.axes
    (line,) = axis.lines
    assert line.get_xdata()[0] == sleepstudy_data()["Reaction"].max()
    assert sum(patch.get_height() for patch in axis.patches) == 60
    (axis,) = sf.plot_predictive(check, statistic="one").figure.axes
    assert len(axis.lines) == 2
    assert sf.plot(fit, "predictive", statistic="sd").alt.startswith("Predictive check at the estimates: the observed")
