"""Models are spelled as mgcv writes them, and read from there; where R is at hand both are the same model."""

import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf

RE = [  # ours, mgcv's, the factors that group
    ("(1 | g)", 's(g, bs = "re")', "g"),
    ("(1 | g:h)", 's(g, h, bs = "re")', "gh"),
    ("(0 + x | g)", 's(g, x, bs = "re")', "g"),
    ("(1 | g/h)", 's(g, bs = "re") + s(g, h, bs = "re")', "gh"),
    ("(x || g)", 's(g, bs = "re") + s(g, x, bs = "re")', "g"),
    ("(0 + h || g)", 's(g, by = h, bs = "re")', "g"),
]


@pytest.fixture(scope="module")
def table():
    """Numbers x, z and id, factors f, g and h."""
    rng = np.random.default_rng(8)
    n = 240
    data = pd.DataFrame({"x": rng.uniform(0, 1, n).round(3), "z": rng.uniform(0, 1, n).round(3)})
    data = data.assign(g=rng.choice(list("abcdefgh"), n), h=rng.choice(list("pqr"), n), id=rng.integers(1, 9, n))
    data["f"] = rng.choice(["u", "v"], n)
    level = {key: rng.normal(0, [0.6, 0.8]) for key in "abcdefgh"}
    effects = np.array([level[key] for key in data["g"]])
    inner = {(g, h): rng.normal(0, 0.5) for g in "abcdefgh" for h in "pqr"}
    cells = [inner[key] for key in zip(data["g"], data["h"], strict=True)]
    mean = np.sin(5 * data["x"]) + data["z"] ** 2 * (data["f"] == "u") + effects[:, 0] + effects[:, 1] * data["x"]
    return data.assign(y=(mean + cells + rng.normal(0, 0.3, n)).round(4), w=rng.uniform(0.5, 2, n).round(2))


@pytest.mark.parametrize(("ours", "theirs", "factors"), RE)
def test_group_terms_are_smooths(ours, theirs, factors, table):
    spelled = sf.spelling(sf.Model(f"y ~ x + {ours}", table), "mgcv").splitlines()
    assert spelled[-1] == f'gam(y ~ 1 + x + {theirs}, data = data, method = "REML")'
    assert spelled[1:-1] == [f"data${name} <- factor(data${name})" for name in factors]
    read = sf.Model(f"y ~ x + {theirs}", table).formula
    assert read == sf.Model(f"y ~ x + {ours}", table).formula or ours == "(x || g)"


def test_the_factor_is_the_group_wherever_it_stands(table):
    """Where the data are known; else the first variable is, and the second may be of either kind."""
    known = sf.Model('y ~ s(x, g, bs = "re")', table).formula
    assert str(known) == "y ~ 1 + (0 + x | g)"
    assert str(sf.Model('y ~ s(x, factor(id), bs = "re")', table).formula) == "y ~ 1 + (0 + x | factor(id))"
    unknown = sf.spelling('y ~ s(g, x, bs = "re")', "lme4")
    assert "diag(0 + x | g, hom = TRUE)" in unknown
    assert sf.spelling('y ~ s(g, x, bs = "re")', "mgcv").splitlines()[-1].startswith('gam(y ~ 1 + s(g, x, bs = "re")')


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ('s(id, bs = "re")', "has no factor, and mgcv would shrink a slope common to all rows"),
        ('s(g, h, x, bs = "re")', "is not how random effects are written"),
        ('s(g, bs = "re", m = 2)', "is not how random effects are written"),
        ('s(g + 1, bs = "re")', "is not how random effects are written"),
        ('f:s(g, bs = "re")', "stands next to ':'"),
    ],
)
def test_what_is_no_random_effect_is_refused(wrong, problem, table):
    with pytest.raises(sf.FormulaError, match=problem):
        sf.Model(f"y ~ {wrong}", table)


@pytest.mark.parametrize(
    ("formula", "settings", "said"),
    [
        ("y ~ (x | g)", {}, "# not the same model: in mgcv the effects of (1 + x | g) are not correlated"),
        ("y ~ cs(0 + f | g)", {}, "# mgcv has no cs(0 + f | g): this is another model, without its structure"),
        ("y ~ (1 | mm(g, h))", {}, "# mgcv has no mm(): this is another model, without (1 | mm(g, h))"),
        (
            "y ~ (1 | gr(g, cov = A))",
            {},
            "# mgcv has no gr(g, cov = A): this is another model, with independent levels",
        ),
        ("y ~ x; sigma ~ x", {}, "# not the same model: mgcv has formulas of parameters in families of its own"),
        ("y ~ (1 + f || g)", {}, '# f is a number; of a factor write s(g, by = f, bs = "re")'),
        ("y ~ (0 + x:z | g)", {}, "# not the same model: x:z of (0 + x:z | g) is left out; make a column of it"),
        ("y ~ t2(x, z)", {}, "# nearly the same model: mgcv penalises constants"),
        ("y ~ x + (1 | x)", {}, "# x groups as a factor alone"),
        ("y ~ s(x)", {"family": "poisson"}, "# by REML; lme4 has ML here"),
        ("y ~ x", {"family": "cumulative"}, "# mgcv has no family like cumulative"),
    ],
)
def test_what_is_another_model_is_said(formula, settings, said):
    assert any(line.startswith(said) for line in sf.spelling(formula, "mgcv", **settings).splitlines())


def test_families_have_mgcvs_names(table):
    assert "family = nb," in sf.spelling("y ~ s(x)", "mgcv", family="negativebinomial")
    assert "family = betar," in sf.spelling("y ~ s(x)", "mgcv", family="beta")
    assert "family = scat," in sf.spelling("y ~ s(x)", "mgcv", family="t")
    weighted = sf.spelling(sf.Model("y ~ s(x)", table, weights="w"), "mgcv")
    assert weighted.endswith('gam(y ~ 1 + s(x), data = data, weights = w, method = "REML")')


SAME = [
    "y ~ s(x) + (1 | g)",
    'y ~ s(x, k = 6) + s(z, bs = "cr", k = 5) + (1 | g/h)',
    "y ~ x + (x || g)",
    "y ~ x + (0 + x | g) + (1 | h)",
    "y ~ f + s(x, by = f, k = 5) + (1 | id)",
    "y ~ s(x, by = z, k = 5) + (1 | g:h)",
    'y ~ s(x, bs = "cc", k = 6) + (1 | g)',
    "y ~ s(x, z, k = 12) + (1 | g)",
    "y ~ z + (0 + f || g)",
    'y ~ s(x, bs = "ps", k = 7) + z',
]
PRINTED = """
unpenalised <- function(b) { # sqrt|X'X| of the columns that no penalty sees
  X <- model.matrix(b); keep <- list(X[, seq_len(b$nsdf), drop = FALSE])
  for (s in b$smooth) {
    own <- X[, s$first.para:s$last.para, drop = FALSE]; m <- s$null.space.dim
    e <- eigen(Reduce(`+`, s$S), symmetric = TRUE)
    if (m > 0) keep <- c(keep, list(own %*% e$vectors[, ncol(own) - (m - 1):0, drop = FALSE]))
  }
  0.5 * as.numeric(determinant(crossprod(do.call(cbind, keep)))$modulus)
}
tight <- list(epsilon = 1e-10, newton = list(conv.tol = 1e-9))
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_ten_formulas_are_the_same_models_in_mgcv_and_read_back(table, tmp_path):
    """By REML: the score in one unit of volume of the fixed columns, and the fitted values."""
    table.to_csv(tmp_path / "data.csv", index=False)
    lines, fits = [PRINTED], []
    for formula in SAME:
        model = sf.Model(formula, table, weights="w" if formula.endswith("z") else None)
        *before, call = sf.spelling(model, "mgcv").splitlines()
        assert not any("same model" in line for line in before)
        own = call.removeprefix("gam(").partition(", data = data")[0]
        back = sf.Model(own, table.astype({"id": str}), weights="w" if formula.endswith("z") else None)
        fits.append((sf.fit(model, method="reml"), sf.fit(back, method="reml")))
        lines += [f'data <- read.csv("{tmp_path / "data.csv"}", stringsAsFactors = TRUE)', *before]
        lines += [f"b <- suppressWarnings({call.removesuffix(')')}, control = tight))"]
        lines += ['cat("@", format(c(-b$gcv.ubre + unpenalised(b), fitted(b)), digits = 15), "\\n")']
    (tmp_path / "all.R").write_text("\n".join(lines))
    done = subprocess.run(["Rscript", tmp_path / "all.R"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [np.array(line.split()[1:], dtype=float) for line in done.stdout.splitlines() if line.startswith("@")]
    for formula, (fit, back), (score, *fitted) in zip(SAME, fits, found, strict=True):
        X = fit.model.design.mean.X
        ours = fit.log_likelihood + 0.5 * np.linalg.slogdet(X.T @ X)[1]
        assert ours == pytest.approx(score, abs=1e-5), formula
        assert back.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-6), formula
        np.testing.assert_allclose(sf.fitted(fit)["estimate"], fitted, atol=1e-4, err_msg=formula)
