"""Ten formulas for each package, on textbook data: spelled for it, run there, and the same model comes back.

lme4 and glmmTMB say it by their log-likelihood, brms by the data that it hands to Stan, Bambi by the formula that is
read back from its model.
"""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf

pytestmark = pytest.mark.slow
in_r = pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
FOLDER = Path(__file__).parents[1] / "data" / "r" / "textbook"
LME4 = [
    ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
    ("sleepstudy", "Reaction ~ poly(Days, 2) + (Days || Subject)"),
    ("Machines", "score ~ Machine + (1 | Worker/Machine)"),
    ("Machines", "score ~ 0 + Machine + (0 + Machine | Worker)"),
    ("Machines", 'score ~ Machine + (dummy(Machine, "B") | Worker)'),
    ("Machines", 'score ~ I(Machine == "B") + (0 + I(Machine == "C") | Worker)'),
    ("Machines", "score ~ Machine + (Machine || Worker)"),
    ("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
    ("cake", "angle ~ recipe * center(temp) + (1 | recipe:replicate)"),
    ("ergoStool", "effort ~ C(Type, sum) + (1 | Subject)"),
]
GLMM_TMB = [
    ("epil", "y ~ lbase * trt + ar1(0 + visit | subject)", "poisson"),
    ("epil", "y ~ lage + cs(0 + visit | subject)", "poisson"),
    ("epil", "y ~ offset(lbase) + trt + (1 | subject)", "negativebinomial"),
    ("grouseticks", "TICKS ~ year + height + (1 | location)", "poisson"),
    ("grouseticks", "TICKS ~ height + (height || location)", "poisson"),
    ("grouseticks", "TICKS ~ year + (1 | location)", "zero_inflated_poisson"),
    ("cbpp", "cbind(incidence, healthy) ~ period + (1 | herd)", "binomial"),
    ("cbpp", "cbind(incidence, healthy) ~ period + (1 | herd)", "beta_binomial"),
    ("Machines", "score ~ Machine + cs(0 + Machine | Worker)", "gaussian"),
    ("Machines", "score ~ 1 + ar1(0 + Machine | Worker)", "gaussian"),
]
BRMS = [
    *((table, formula, "gaussian") for table, formula in LME4[:7]),
    ("bcg", "se(y, sei) ~ latitude + (1 | alloc/trial)", "gaussian"),
    ("cbpp", "cbind(incidence, healthy) ~ period + (1 | herd)", "binomial"),
    ("grouseticks", ["TICKS ~ year + (1 | location)", "psi ~ height"], "zero_inflated_poisson"),
]
BAMBI = [
    ("sleepstudy", "Reaction ~ Days + (Days || Subject)", "gaussian"),
    ("sleepstudy", "Reaction ~ poly(Days, 2) + (1 | Subject)", "gaussian"),
    ("sleepstudy", "log(Reaction) ~ I(Days^2) + pmin(Days, 5) + (1 | Subject)", "gaussian"),
    ("Machines", "score ~ Machine + (1 | Worker/Machine)", "gaussian"),
    ("Machines", "score ~ 0 + Machine + (0 + Machine || Worker)", "gaussian"),
    ("Machines", 'score ~ relevel(Machine, "B") + (1 | Worker)', "gaussian"),
    ("ergoStool", "effort ~ C(Type, sum) + (1 | Subject)", "gaussian"),
    ("epil", "y ~ lbase * trt + offset(lage) + (1 | subject)", "negativebinomial"),
    ("cbpp", "cbind(incidence, healthy) ~ period + (1 | herd)", "binomial"),
    ("grouseticks", "TICKS ~ height + (1 | year/location)", "poisson"),
]


@cache
def table(name):
    return pd.read_csv(FOLDER / f"{name}.csv")


@cache
def model_of(name, formula, family="gaussian"):
    return sf.Model(list(formula) if isinstance(formula, tuple) else formula, table(name), family=family)


def named(case):
    return f"{case[0]}: {case[1]}"


def run_in_r(codes, folder, *packages):
    """Run code for R, each with its table, and return the numbers that each prints in a line of its own."""
    script = ["options(digits = 15)", *(f"suppressMessages(library({package}))" for package in packages)]
    for name, code in codes:
        script += [f'data <- read.csv("{FOLDER / f"{name}.csv"}", stringsAsFactors = TRUE)']
        script += [
            "for (n in c('Subject', 'replicate', 'Worker')) if (n %in% names(data)) data[[n]] <- factor(data[[n]])"
        ]
        script += [code]
    (folder / "all.R").write_text("\n".join(script))
    done = subprocess.run(["Rscript", folder / "all.R"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split()[1:] for line in done.stdout.split("\n") if line.startswith("@")]
    return [np.array(line, dtype=float) for line in lines]


def _needs(*packages):
    for package in packages:
        code = f"quit(status = !requireNamespace('{package}', quietly = TRUE))"
        if subprocess.run(["Rscript", "-e", code], check=False, capture_output=True).returncode:
            pytest.skip(f"{package} is not installed")


@in_r
def test_lme4_has_the_same_likelihoods(tmp_path):
    _needs("lme4")
    codes = []
    for case in LME4:
        *comments, call = sf.spelling(model_of(*case), "lme4").split("\n")
        for older in (re.search(r"# (diag\(.*\)) needs lme4 2.0; in lme4 1.1: (.*)", comment) for comment in comments):
            call = call if older is None else call.replace(older[1], older[2])
        codes.append((case[0], f'cat("@", c(logLik(suppressMessages({call}))), "\\n")'))
    found = run_in_r(codes, tmp_path, "lme4")
    ours = [sf.fit(model_of(*case), method="reml").log_likelihood for case in LME4]
    np.testing.assert_allclose(np.concatenate(found), ours, rtol=1e-6)


@in_r
def test_glmmtmb_has_the_same_likelihoods(tmp_path):
    _needs("glmmTMB", "lme4")
    codes, ours = [], []
    for name, formula, family in GLMM_TMB:
        model = model_of(name, tuple(formula) if isinstance(formula, list) else formula, family)
        *_, call = sf.spelling(model, "lme4").split("\n")
        call = re.sub(r"^(glmer|lmer)\(", "glmmTMB(", call.replace("glmer.nb(", "glmmTMB(family = nbinom2, "))
        codes.append((name, f'cat("@", c(logLik({call})), "\\n")'))
        ours.append(sf.fit(model, method="ml" if family == "gaussian" else "laplace").log_likelihood)
    found = run_in_r(codes, tmp_path, "lme4", "glmmTMB")
    np.testing.assert_allclose(np.concatenate(found), ours, rtol=1e-6)


@in_r
def test_brms_hands_the_same_columns_to_stan(tmp_path):
    """Rows, sums of squares of the fixed columns, and those of the group terms' with their levels."""
    _needs("brms", "lme4")
    sums = "unlist(lapply(d[grep('^Z_[0-9_]*$', names(d))], function(z) sum(z^2)))"
    counts = "unlist(d[grep('^N_[0-9]+$', names(d))])"
    codes, ours = [], []
    for name, formula, family in BRMS:
        model = model_of(name, tuple(formula) if isinstance(formula, list) else formula, family)
        *_, call = sf.spelling(model, "brms").split("\n")
        made = call.replace("brm(", "make_standata(", 1)
        codes.append((name, f'd <- {made}\ncat("@", d$N, sum(d$X^2), {sums}, {counts}, sum(d$se), "\\n")'))
        design = model.design
        squares = [square for block in design.mean.groups for square in (block.values**2).sum(axis=0)]
        levels = [len(block.levels) for block in design.mean.groups]
        errors = 0.0 if design.weights is None else (design.weights**-0.5).sum()
        ours.append([len(design.mean.X), (design.mean.X**2).sum(), *squares, *levels, errors])
    found = run_in_r(codes, tmp_path, "brms")
    for case, theirs, mine in zip(BRMS, found, ours, strict=True):
        np.testing.assert_allclose(np.sort(theirs), np.sort(mine), rtol=1e-6, err_msg=named(case))


@pytest.mark.parametrize("case", BAMBI, ids=named)
def test_bambi_s_model_reads_back_as_the_same(case):
    import bambi as bmb

    model = model_of(*case)
    *_, call = sf.spelling(model, "bambi").split("\n")
    data = table(case[0]).astype(dict.fromkeys(table(case[0]).columns[table(case[0]).dtypes == "str"], object))
    made = eval(call.removesuffix(".fit()"), {"bmb": bmb, "data": data, "np": np})
    back = sf.from_bambi(made)
    assert back.design.mean.columns == model.design.mean.columns
    np.testing.assert_allclose(back.design.mean.X, model.design.mean.X, atol=1e-12)
    assert [block.slots for block in back.design.mean.groups] == [block.slots for block in model.design.mean.groups]
    assert [block.levels for block in back.design.mean.groups] == [block.levels for block in model.design.mean.groups]
    np.testing.assert_allclose(back.design.response, model.design.response)
    method = "ml" if case[2] == "gaussian" else "laplace"
    assert sf.fit(back, method=method).log_likelihood == pytest.approx(sf.fit(model, method=method).log_likelihood)
