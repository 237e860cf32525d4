"""Separation is found where a likelihood has no maximum, and nowhere else."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import speclet_formula as sf
from speclet_formula.design import build_design
from speclet_formula.formula.parse import parse_formula
from speclet_formula.model import inspect_design
from speclet_formula.model.collinearity import LARGEST_PROGRAM, REMEDY, WHY


def table(n=60):
    rng = np.random.default_rng(8)
    row = np.arange(n)
    data = pd.DataFrame({"x": rng.normal(size=n), "w": rng.normal(size=n), "f": [f"f{k}" for k in row % 3]})
    data["g"] = [f"g{k:02d}" for k in row // 6]
    data["y"] = rng.integers(0, 2, n)
    data["above"] = (data["x"] > 0.25).astype(int)
    data["below"] = 1 - data["above"]
    data["both"] = (data["x"] + data["w"] > 0).astype(int)
    data["pure"] = np.where(data["f"] == "f1", 1, data["y"])
    data["pair"] = np.where((data["f"] == "f1") & (data["w"] > 0), 0, data["y"])
    data["sign"] = np.where(data["w"] > 0, "plus", "minus")
    data["none"] = np.where(data["f"] == "f2", 0, 1 + data["y"])
    data["some"] = np.where(data["f"] == "f2", 0, 1)
    data["rest"] = 2
    data["own"] = (row // 6) % 2
    data["few"] = np.where(data["x"] > 1, 0, 1 + data["y"])
    data["step"] = np.maximum(data["x"], 1.0)
    return data


CASES = {
    ("pure ~ f", "bernoulli"): "'pure' is 1 in every row of one level of 'f': 'f1' (20 rows).",
    ("pair ~ f:sign", "bernoulli"): "'pair' is 0 in every row of one level of 'f:sign': 'f1:plus' (10 rows).",
    ("none ~ f + x", "poisson"): "'none' is 0 in every row of one level of 'f': 'f2' (20 rows).",
    ("cbind(some, rest) ~ f", "binomial"): "'cbind(some, rest)' has no success in every row of one level of 'f': 'f2' "
    "(20 rows).",
    ("cbind(rest, some) ~ f", "binomial"): "'cbind(rest, some)' has no failure in every row of one level of 'f': 'f2' "
    "(20 rows).",
    ("few ~ step", "poisson"): "The column 'step' separates 'few', which is 0 in each row where it is above 1.",
}


def found(formula, family, data=None):
    model = sf.Model(formula, table() if data is None else data, family=family)
    return [finding for finding in model.findings if finding.kind.startswith("separation")]


@pytest.mark.parametrize(("case", "what"), CASES.items())
def test_a_level_or_a_column_has_its_exact_words(case, what):
    (finding,) = found(*case)
    assert str(finding) == f"{what} {WHY} {REMEDY}"


@pytest.mark.parametrize(("response", "low"), [("above", "below"), ("below", "above")])
def test_a_column_that_separates_is_named_with_its_cut(response, low):
    data = table()
    (finding,) = found(f"{response} ~ x", "bernoulli")
    high = "above" if low == "below" else "below"
    cut = data.loc[data[response] == 1, "x"].agg("min" if low == "below" else "max")
    assert finding.what == (
        f"The column 'x' separates '{response}', which is 0 in each row where it is {low} {cut:g} and is 1 where it is "
        f"{high}."
    )


def test_a_combination_is_found_by_the_linear_program():
    (finding,) = found("both ~ x + w", "bernoulli")
    assert finding.what == "A combination of fixed columns separates 'both': 'x', 'w'."
    assert finding.remedy == (
        "Read them with their priors in mind (slots), and do not give them flat ones; or leave one of them out."
    )


def test_groups_of_one_answer_each():
    (finding,) = found("own ~ x + (1 | g)", "bernoulli")
    assert str(finding) == (
        "Each level of 'g' has only 0 or only 1 in 'own'. The likelihood rises without end with the SD of its "
        "intercepts, so that only its prior keeps it finite; lme4 ends anywhere. Leave (1 | g) out and fit one row for "
        "each level, or choose that SD's prior with care, priors={'1|g_sigma': ...}."
    )


SOUND = [
    ("y ~ x + w + f + (1 | g)", "bernoulli"),
    ("above ~ w", "bernoulli"),
    ("above ~ 0 + x", "bernoulli"),  # no intercept takes the cut up
    ("cbind(y, rest) ~ x + f", "binomial"),
    ("none ~ x", "poisson"),
    ("above ~ x", "gaussian"),
    ("few ~ x", "poisson"),  # zeros above a value, but what is below differs
]


@pytest.mark.parametrize("case", SOUND)
def test_what_has_a_maximum_is_not_reported(case):
    assert found(*case) == []


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.mostly_slow(every=3)
def test_the_program_agrees_with_a_likelihood_that_has_no_maximum(seed):
    """Oracle: Newton's steps for a logistic likelihood vanish at its maximum, and stay near 1 where it has none."""
    rng = np.random.default_rng(seed)
    n = 14
    data = pd.DataFrame({"a": rng.integers(-2, 3, n), "b": rng.integers(-2, 3, n), "c": rng.normal(size=n)})
    data["y"] = (data["a"] + data["b"] + rng.normal(0, 1.5, n) > 0).astype(int)
    if data["y"].nunique() == 1:
        data.loc[0, "y"] = 1 - data.loc[0, "y"]
    X = np.column_stack([np.ones(n), data[["a", "b", "c"]]])
    beta, step = np.zeros(4), np.zeros(4)
    for _ in range(16):
        mean = expit(X @ beta)
        curvature = X.T @ (X * (mean * (1 - mean))[:, None]) + 1e-12 * np.eye(4)
        step = np.linalg.solve(curvature, X.T @ (data["y"] - mean))
        beta = beta + step
    assert bool(found("y ~ a + b + c", "bernoulli", data)) == (np.abs(step).max() > 0.1)


def test_a_large_design_is_left_alone_by_the_program():
    n = LARGEST_PROGRAM // 3 + 1
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(size=n), "w": rng.normal(size=n)})
    data["y"] = (data["x"] + data["w"] > 0).astype(int)
    assert found("y ~ x + w", "bernoulli", data) == []
    assert len(found("y ~ x + w", "bernoulli", data.iloc[:1000])) == 1


def test_a_constant_response_and_none_at_all_are_no_separation():
    data = table().assign(y=1)
    assert [finding.kind for finding in sf.Model("y ~ f", data, family="bernoulli").findings] == ["constant_response"]
    design = build_design(parse_formula("y ~ x"), data, needs_response=False)
    assert inspect_design(design, support="binary") == ()
