"""What Bambi is told: plain words only, and the same model for it whatever the columns are called."""

import re

import bambi
import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.inference.nuts import _kept
from speclet_formula.inference.translation.names import bambi_names, is_plain, summed


def table(**renamed: str) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 60
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "f": rng.choice(["p", "q", "r"], n),
            "g": list("abcdef") * (n // 6),
            "k": rng.choice(["1", "2"], n),
        }
    )
    return data.rename(columns=renamed)


PLAIN = "y ~ x*f + log(z + 9) + offset(z) + (1 + x | g) + (0 + f | k); sigma ~ x + (1 | k)"
ODD = {
    "y": "mu", "x": "x`y", "f": "1|g", "g": "len(x)", "k": "a b", "z": "Intercept",
}  # fmt: skip


def odd_text() -> str:
    """Return the same formula with a back-quoted name for each column."""
    quoted = {plain: "`" + odd.replace("`", "\\`") + "`" for plain, odd in ODD.items()}
    return re.sub(r"\b[yxfgkz]\b", lambda found: quoted[found[0]], PLAIN)


@pytest.mark.parametrize("word", ["x", "log_fc", "Days", "gene2", "sgRNA_id"])
def test_a_plain_word_stays(word: str) -> None:
    assert is_plain(word)


@pytest.mark.parametrize(
    "name",
    [
        "", "1x", "x y", "x`y", "x.y", "größe", "x\n", "_x", "len(x)", "a:b", "True", "None", "lambda", "if", "C", "I",
        "S", "T", "bs", "scale", "log", "exp", "p", "offset", "censored", "truncated", "Intercept", "common", "hsgp",
        "mu", "sigma", "psi", "v1", "v23", "call7", "observed_value", "np", "chain", "draw", "Treatment", "Sum",
    ],
)  # fmt: skip
def test_all_else_is_told_by_a_number(name: str) -> None:
    assert not is_plain(name)


def test_bambi_s_formulas_hold_no_name_that_is_more_than_a_word() -> None:
    model = sf.Model(odd_text(), table(**ODD))
    formulas = sf.to_bambi(model).formula.get_all_formulas()
    assert len(formulas) == 2
    for text in formulas:
        assert re.fullmatch(r"(v\d+|sigma) ~ [v\dcal+|:~() ofset]+", text), text


@pytest.mark.slow
def test_the_posterior_has_our_names_and_the_density_is_that_of_plain_columns() -> None:
    priors = {"sigma_Intercept": sf.Prior("Normal", mu=0, sigma=1)}
    plain = sf.to_pymc(sf.Model(PLAIN, table(), priors=priors))
    odd = sf.to_pymc(sf.Model(odd_text(), table(**ODD), priors=priors))
    assert {variable.name for variable in odd.free_RVs} >= {
        "Intercept", "x`y", "x`y:1¦g", "log(Intercept + 9)", "1|len(x)_sigma", "x`y|len(x)_sigma",
        "1¦g[p]|a b_sigma", "sigma_x`y", "sigma_1|a b_sigma",
    }  # fmt: skip
    assert odd.coords["len(x)__factor_dim"] == tuple("abcdef")
    assert odd.coords["1¦g_dim"] == ("q", "r")
    mine, theirs = (model.point_logps() for model in (odd, plain))
    assert list(mine.values()) == pytest.approx(list(theirs.values()), rel=1e-6, abs=0.02)


def test_a_plain_model_is_told_as_it_is_written() -> None:
    model = sf.Model("y ~ x*f + poly(z, 2) + (1 + x | g)", table())
    translated = sf.to_bambi(model)
    assert translated.formula.main.startswith("y ~ 1 + x + f + call1(z) + x:f + (")
    assert "poly(z, 2)" in {variable.name for variable in translated.backend.model.free_RVs}


def test_bambi_codes_every_term_as_the_design_does() -> None:
    for right in ("x:f + f:k", "0 + f:k", "f:k:g", "x + z:f + poly(z, 2):k", "x:z + z:x:f"):
        model = sf.Model(f"y ~ {right}", table())
        component = sf.to_bambi(model).conditional_parameters["mu"]
        for name, term in bambi_names(model.design).fixed(model.design.mean).items():
            data = np.asarray(component.terms[name].data, dtype=float).reshape(60, -1)
            np.testing.assert_allclose(data, model.design.mean.X[:, term.start : term.stop], err_msg=f"{right}: {name}")


@pytest.mark.slow
def test_bambi_predicts_new_rows_of_odd_columns() -> None:
    model = sf.Model(odd_text().split(";")[0], table(**ODD))
    fit = sf.fit(model, method="exact", draws=5, chains=1, random_seed=1)
    new = table(**ODD).iloc[:4].drop(columns="mu")
    predicted = sf.to_bambi(model).predict(fit.idata, data=new, inplace=False)
    ours = sf.predict(fit, new)
    mean = predicted.posterior["mu"].mean(("chain", "draw"))
    np.testing.assert_allclose(mean, ours["estimate"], rtol=1e-6)


def test_a_long_sum_nests_little() -> None:
    parts = [f"v{number}" for number in range(1000)]
    text = summed(parts)
    depth = max(sum(1 if c == "(" else -1 for c in text[:end] if c in "()") for end in range(0, len(text), 7))
    assert depth < 12
    assert re.findall(r"v\d+", text) == parts


@pytest.mark.slow
def test_a_model_of_many_terms_is_read_without_deep_recursion() -> None:
    rng = np.random.default_rng(8)
    wide = pd.DataFrame(rng.normal(size=(12, 600)), columns=[f"x{place}" for place in range(600)])
    model = sf.Model("y ~ . + (1 | g)", wide.assign(y=rng.normal(size=12), g=list("abcd") * 3), missing="error")
    translated = sf.to_bambi(sf.Model("y ~ . - g + (1 | g)", model.data))
    assert len(translated.conditional_parameters["mu"].common_terms) == 600


def test_a_predictor_with_the_ending_of_a_helper_s_name_stays_in_the_posterior() -> None:
    model = sf.Model("y ~ x_offset + z_partial + (1 | g)", table(x="x_offset", z="z_partial"))
    kept = _kept(model, sf.to_pymc(model))
    assert {"x_offset", "z_partial", "1|g", "1|g_sigma"} <= set(kept)
    assert "1|g_offset" not in kept


def test_a_stranger_s_predictor_called_like_a_parameter_is_read() -> None:
    data = table(x="nu", z="alpha")[["y", "nu", "alpha"]]
    same = sf.from_bambi(bambi.Model("y ~ nu + alpha", data, family="t"))
    assert [term.name for term in same.design.mean.fixed] == ["Intercept", "`nu`", "alpha"]
    np.testing.assert_array_equal(same.design.mean.X[:, 1], data["nu"])
