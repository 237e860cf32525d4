"""Columns that have a name which the package makes itself: each is itself, under its own name or in back-quotes."""

import sys
import threading

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.design import build_design, replay_design
from speclet_formula.formula.parse import parse_formula

OWN = [
    "Intercept", "chain", "draw", "sigma", "mu", "1|g", "x|g", "cor|g", "1|g_sigma", "g__factor_dim", "g__pair_dim",
    "h_dim", "h[q]", "__obs__",
]  # fmt: skip
ODD = ["x\n", "x`y", "len(x)", "(1|g)", "v1", "call1", "common", "True", "np", "1", "$x$", "a/b", "a:b"]


def table(name: str, role: str, n: int = 96) -> pd.DataFrame:
    """Return a table where one column has an odd name."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "g": np.tile(list("abcdef"), n // 6),
            "h": ["p", "q"] * (n // 2),
        }
    )
    data["y"] += data["x"] + data["g"].map(dict(zip("abcdef", rng.normal(size=6), strict=True)))
    return data.rename(columns={role: name})


def quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`").replace("\n", "\\n")
    return f"`{escaped}`"


@pytest.mark.parametrize("name", [*OWN, *ODD])
@pytest.mark.mostly_slow(every=4)
def test_a_column_of_any_name_gives_the_numbers_that_it_gives_under_a_plain_one(name: str) -> None:
    plain = sf.lmer("y ~ x + h + (1 + x | g)", table("x", "x"), method="reml")
    for role, formula in (
        ("x", "y ~ {q} + h + (1 + {q} | g)"),
        ("g", "y ~ x + h + (1 + x | {q})"),
        ("y", "{q} ~ x + h + (1 + x | g)"),
    ):
        fit = sf.lmer(formula.format(q=quoted(name)), table(name, role), method="reml")
        assert fit.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-9), role
        np.testing.assert_allclose(sf.fixef(fit)["estimate"], sf.fixef(plain)["estimate"], rtol=1e-9)
        np.testing.assert_array_equal(fit.model.design.mean.X, plain.model.design.mean.X)


@pytest.mark.parametrize("name", OWN)
def test_a_predictor_with_a_name_of_the_package_stands_in_back_quotes(name: str) -> None:
    text = f"y ~ {quoted(name)} + h + (1 | g)"
    if name in ("x|g", "cor|g", "g__pair_dim"):
        text = f"y ~ {quoted(name)} + h + (1 + x | g)"
    data = table(name, "x").assign(x=0.5 * np.arange(96))
    model = sf.Model(text, data)
    expected = ["Intercept", f"`{name}`", "h"]
    assert [term.name for term in model.design.mean.fixed] == expected
    assert {slot.slot for slot in model.slots} >= {"Intercept", f"`{name}`", "1|g", "sigma"}
    assert len({slot.slot for slot in model.slots}) == len(model.slots)


def test_a_column_called_intercept_leaves_the_intercept_in_the_posterior() -> None:
    data = table("Intercept", "x")
    fit = sf.lmer("y ~ Intercept + (1 | g)", data, draws=200, chains=2, random_seed=1)
    assert list(sf.fixef(fit)["term"]) == ["Intercept", "`Intercept`"]
    same = sf.lmer("y ~ x + (1 | g)", table("x", "x"), draws=200, chains=2, random_seed=1)
    np.testing.assert_allclose(sf.fixef(fit)["estimate"], sf.fixef(same)["estimate"], rtol=1e-9)


def test_a_group_s_slope_called_1_or_intercept_is_a_slope() -> None:
    for name in ("1", "Intercept"):
        design = build_design(parse_formula(f"y ~ (1 + `{name}` | g)"), table(name, "x"))
        assert design.mean.groups[0].columns == ("1", f"`{name}`")
        assert design.mean.groups[0].slots == ("1|g", f"`{name}`|g")


def test_a_parameter_s_terms_and_the_mean_s_are_told_apart() -> None:
    data = table("sigma_h", "x")
    model = sf.Model("y ~ sigma_h; sigma ~ h", data)
    assert [term.name for term in model.design.mean.fixed] == ["Intercept", "`sigma_h`"]
    response = sf.Model("sigma_h ~ 1; sigma ~ h", data)
    assert response.design.response_name == "`sigma_h`"


def test_a_term_that_is_the_response_is_refused() -> None:
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ x + y", table("x", "x"))
    assert str(caught.value) == (
        "the term 'y' has the name of the response.\nA response is not explained by itself.\n"
        "Rename the column, or leave the term out."
    )


def test_new_rows_get_the_columns_of_odd_names() -> None:
    data = table("a:b", "x").assign(a=1.0, b=np.arange(96.0))
    design = build_design(parse_formula("y ~ `a:b` + b + factor(h) + poly(b, 2)"), data)
    again = replay_design(design, data.iloc[::7])
    np.testing.assert_allclose(again.mean.X, design.mean.X[::7])


def test_weights_beside_a_column_called_weights() -> None:
    data = table("(weights)", "x")
    design = build_design(parse_formula("y ~ `(weights)`"), data, weights=np.arange(1.0, 97.0))
    np.testing.assert_array_equal(design.mean.X[:, 1], data["(weights)"])
    np.testing.assert_array_equal(design.weights, np.arange(1.0, 97.0))


@pytest.mark.slow
def test_models_are_built_in_threads_without_touching_what_they_share(capsys: pytest.CaptureFixture[str]) -> None:
    before, seen = sys.stdout, []
    data = table("x", "x")

    def build() -> None:
        for _ in range(10):
            sf.Model("y ~ x*h + poly(x, 2) + (1 | g)", data)
            seen.append(sys.stdout is before)

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.stdout is before
    assert seen == [True] * 40
    assert capsys.readouterr().out == ""


def test_a_group_that_is_called_like_another_s_sd_is_refused() -> None:
    data = table("g", "g").assign(g_sigma=list("pqr") * 32)
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ x + (1 | g) + (1 | g_sigma)", data)
    assert str(caught.value) == (
        "two things of the model's group terms have the name '1|g_sigma'.\n"
        "In the posterior an effect of g is called '1|g', its SD '1|g_sigma' and its mean '1|g_mu'.\n"
        "Rename a column that ends in _sigma, _mu or _offset."
    )
    assert sf.Model("y ~ x + (1 | g_sigma)", data).design.mean.groups[0].group == "g_sigma"
