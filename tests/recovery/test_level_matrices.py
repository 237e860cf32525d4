"""Effects of related levels are drawn as their matrix says, known ones are found again, and fits are kept in files."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import speclet_formula as sf
from speclet_formula.posterior.prior_draws import prior_draws
from speclet_formula.prediction.responses import simulate_responses

Q = 30
LABELS = [f"l{k}" for k in range(Q)]
TRUTH = {"Intercept": 0.0, "x": 0.5, "1|line_sigma": 0.8, "x|line_sigma": 0.4, "cor|line": -0.4, "sigma": 0.5}
FORMULA = "y ~ x + (x | gr(line, precision = Q))"


def chain(q=Q):
    """Return a sparse precision of neighbours on a line."""
    return sparse.diags_array([np.full(q - 1, -0.9), np.full(q, 2.0), np.full(q - 1, -0.9)], offsets=[-1, 0, 1])


GIVEN = {"Q": sf.LevelMatrix(chain(), LABELS, "precision")}


def layout(n=240, seed=1):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"x": rng.normal(size=n), "line": np.array(LABELS)[rng.integers(0, Q - 2, n)]})


@pytest.fixture(scope="module")
def known():
    data, truth = sf.simulate(FORMULA, layout(), TRUTH, matrices=GIVEN, random_seed=2)
    return data, truth, sf.lmer(FORMULA, data, matrices=GIVEN, draws=500, random_seed=1, progress=False)


def whitened(effects, q=Q):
    """Return what is left of effects (..., q) once neighbours are taken out: independent, of the SD itself."""
    return np.asarray(effects @ np.linalg.cholesky(chain(q).toarray()))


def test_drawn_effects_are_related():
    """Of 3,000 levels an SD errs by 1.3 %, a correlation by 0.016 (five of each allowed); neighbours by 0.018."""
    q = 3000
    labels = [f"l{k}" for k in range(q)]
    rows = pd.DataFrame({"x": np.arange(q) % 2.0, "line": labels})
    given = {"Q": (chain(q), labels)}
    _, truth = sf.simulate(FORMULA, rows, TRUTH, matrices=given, random_seed=5)
    drawn = np.column_stack([whitened(truth[name][labels].to_numpy(), q) for name in ("1|line", "x|line")])
    np.testing.assert_allclose(drawn.std(axis=0), [0.8, 0.4], rtol=0.065)
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(-0.4, abs=0.08)
    raw = truth["1|line"][labels].to_numpy()
    inverse = np.linalg.inv(chain(50).toarray())
    assert np.corrcoef(raw[1:], raw[:-1])[0, 1] == pytest.approx(inverse[25, 26] / inverse[25, 25], abs=0.09)


def test_known_effects_are_found_again(known):
    _, truth, fit = known
    recovery = sf.recover(fit, truth)
    parameters = recovery.parameters
    assert parameters["term"].tolist() == ["Intercept", "x", "Intercept", "x", "Intercept, x", "sigma"]
    assert (parameters["error"].abs() < 5 * parameters["sd"]).all()
    assert parameters["lme4"].notna().all()
    observed = sorted(fit.model.data["line"].unique(), key=LABELS.index)
    A = np.linalg.inv(chain().toarray())
    places = [LABELS.index(level) for level in observed]
    effects = np.column_stack([truth[name][observed] for name in ("1|line", "x|line")])
    squares = effects.T @ np.linalg.solve(A[np.ix_(places, places)], effects) / len(observed)
    np.testing.assert_allclose(parameters["realized"].iloc[2:4], np.sqrt(np.diag(squares)), rtol=1e-9)
    assert parameters["realized"].iloc[4] == pytest.approx(squares[0, 1] / np.sqrt(squares[0, 0] * squares[1, 1]))
    assert (recovery.groups["rmse"] < recovery.groups["rmse_null"]).all()


def test_levels_without_rows_follow_their_relatives(known):
    _, _, fit = known
    effects = sf.ranef(fit)
    assert effects["grp"].tolist()[:Q] == [*sorted(LABELS[: Q - 2]), *LABELS[Q - 2 :]]
    last = effects[(effects["term"] == "Intercept")].set_index("grp")
    # l28 has the neighbour l27 alone, l29 that one: their means are 0.9 / 2 and more of it, but for Monte Carlo error
    share = np.linalg.inv(chain().toarray())
    assert last["condval"]["l28"] == pytest.approx(
        share[28, 27] / share[27, 27] * last["condval"]["l27"], abs=5 * last["condsd"]["l28"] / np.sqrt(1000)
    )


def test_prior_draws_and_new_responses_are_related(known):
    """Lag-one correlations of 400 draws of 30 levels err by less than 0.01: five of it are allowed."""
    _, _, fit = known
    drawn = prior_draws(fit.model, 400, random_seed=1)
    effects = drawn["1|line"].to_numpy()[0] / drawn["1|line_sigma"].to_numpy()[0][:, None]
    levels = list(fit.model.design.mean.groups[0].levels)
    turned = whitened(effects[:, [levels.index(label) for label in LABELS]])
    np.testing.assert_allclose(turned.std(), 1, rtol=0.05)
    assert abs(np.mean(turned[:, 1:] * turned[:, :-1])) < 0.05
    point = sf.lmer(FORMULA, fit.model.data, matrices=GIVEN, method="reml")
    for one in (fit, point):
        responses = simulate_responses(one, 300, random_seed=2).to_numpy()
        centred = responses - responses.mean(axis=1, keepdims=True)
        line = np.array([LABELS.index(name) for name in fit.model.data["line"]])
        first, second = (np.flatnonzero(line == level)[0] for level in (10, 11))
        assert np.corrcoef(centred[first], centred[second])[0, 1] > -0.3
        A, x = np.linalg.inv(chain().toarray()), fit.model.data["x"].to_numpy()
        S = point.estimates.covariances[0]
        between = A[np.ix_(line, line)] * (S[0, 0] + S[0, 1] * (x[:, None] + x) + S[1, 1] * np.outer(x, x))
        apart = ~np.eye(len(line), dtype=bool)
        slope = np.polyfit(between[apart], np.cov(centred)[apart], 1)[0]
        assert slope == pytest.approx(1, abs=0.4)


def test_a_file_holds_the_matrix(known, tmp_path):
    _, _, fit = known
    again = sf.load(sf.save(fit, tmp_path / "kin.fit"))
    relation = again.model.design.mean.groups[0].relation
    assert relation.matrix.digest == GIVEN["Q"].digest
    assert relation.matrix.role == "precision"
    pd.testing.assert_frame_equal(sf.ranef(again), sf.ranef(fit))
    whole = {"A": pd.DataFrame(np.linalg.inv(chain().toarray()), LABELS, LABELS)}
    point = sf.lmer("y ~ x + (1 | gr(line, cov = A))", fit.model.data, matrices=whole, method="reml")
    read = sf.load(sf.save(point, tmp_path / "point.fit"))
    np.testing.assert_array_equal(read.model.matrices["A"].matrix, point.model.matrices["A"].matrix)


def test_other_verbs_keep_the_matrix(known):
    data, _, fit = known
    assert str(sf.update(fit.model, ". ~ . - x").formula) == "y ~ 1 + (1 + x | gr(line, precision = Q))"
    assert sf.refit(fit, data["y"] + 1, draws=50, random_seed=1, progress=False).model.matrices.keys() == {"Q"}
    halves = sf.fit_by(FORMULA, data.assign(half=np.arange(len(data)) % 2), by="half", matrices=GIVEN, method="reml")
    assert halves.table["half"].nunique() == 2
    study = sf.study(FORMULA, layout(), TRUTH, nsim=3, matrices=GIVEN, method="reml", random_seed=1, progress=False)
    assert len(study.data_sets) == 3


def test_shares_of_variance_take_the_matrix_diagonal():
    """One row for each line: the marginal variances of effects are A's diagonal times the square of their SD."""
    A = np.diag(np.arange(1.0, 9.0)) + 0.1
    data = pd.DataFrame({"y": np.random.default_rng(1).normal(size=16), "line": np.tile(list("abcdefgh"), 2)})
    fit = sf.lmer("y ~ 1 + (1 | gr(line, cov = A))", data, matrices={"A": (A, list("abcdefgh"))}, method="ml")
    variance = fit.estimates.covariances[0][0, 0] * np.diag(A).mean()
    share = variance / (variance + fit.estimates.sigma**2)
    assert sf.icc(fit).set_index("measure")["estimate"]["adjusted"] == pytest.approx(share, rel=1e-9)
