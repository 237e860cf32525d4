"""Types of public names: every result's class is public, and a type checker reads calls as documentation has them."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import speclet_formula as sf

ROOT = Path(__file__).resolve().parents[1]
VERBS = [name for name in sf.__all__ if inspect.isfunction(getattr(sf, name))]

RIGHT = """
from typing import assert_type

import pandas as pd

import speclet_formula as sf

data, truth = sf.datasets.m7()
formula = "log_fc ~ (1|gene/sgRNA) + (1|cell_line)"

fit = sf.lmer(formula, data, random_seed=1)
assert_type(fit, sf.Fit)
assert_type(fit.diagnostics, sf.Diagnostics)
assert_type(sf.lmer(formula, data, method="reml"), sf.PointFit)
assert_type(sf.glmer("n ~ (1 | gene)", data, family="poisson"), sf.Fit)
assert_type(sf.glmer("n ~ (1 | gene)", data, family="poisson", method="laplace"), sf.PointFit)
model = sf.Model(formula, data, priors={"sigma": sf.Prior("HalfNormal", sigma=1)})
assert_type(sf.fit(model), sf.Fit)
assert_type(sf.fit(model, method="ml"), sf.PointFit)
assert_type(sf.loo(fit), sf.LeaveOneOut)
assert_type(sf.loo(fit, observations=100), sf.SampledLeaveOneOut)
assert_type(sf.kfold(fit, group="gene"), sf.KFold)
assert_type(sf.compare({"one": fit, "other": formula}, data), sf.Comparison)
assert_type(sf.anova(sf.lmer(formula, data, method="ml"), fit), sf.LikelihoodRatios)
assert_type(sf.recover(fit, truth), sf.Recovery)
assert_type(sf.recover({"one": fit}, truth), sf.Recoveries)
assert_type(sf.marginal_means(fit, "control", type="response"), sf.Means)
assert_type(sf.update(model, ". ~ . - (1 | cell_line)"), sf.Model)
assert_type(sf.update("y ~ x", ". ~ . + z"), sf.Formula)
assert_type(sf.study(formula, data, truth, nsim=10, cores=2), sf.Study)
more, drawn = sf.simulate(formula, data, truth, random_seed=1)
assert_type(more, pd.DataFrame)
assert_type(sf.simulate(fit, nsim=2, use_u=True), pd.DataFrame)
assert_type(sf.predict(fit, data, re_form=False, interval="prediction"), pd.DataFrame)
assert_type(sf.fixef(fit, ci_prob=0.9, ci_kind="hdi"), pd.DataFrame)
assert_type(sf.posterior_predictive(fit), sf.Predictive)
"""
WRONG = [  # each is refused where it stands
    'sf.lmer("y ~ x", data, method="remll")',
    'sf.glmer("y ~ x", data, family="poisson", method="laplacee")',
    'sf.fit(sf.Model("y ~ x", data), method="mll")',
    'sf.lmer("y ~ x", data, missing="dropp")',
    'sf.predict(fit, type="respons")',
    'sf.residuals(fit, "pearsen")',
    'sf.fixef(fit, ci_kind="hpd")',
    'sf.confint(fit, "walt")',
    'sf.lmer("y ~ x", data, darws=100)',
    'sf.lmer("y ~ x", data, method="ml", draws=100)',
    'sf.lmer("y ~ x", data, sampler="stan")',
    'sf.kfold(fit, by="gene")',
    "sf.loo(fit, rows=100)",
    'sf.simulate(fit, use_u="kept")',
    'sf.study("y ~ x", data, {}, n_sims=10).truth',
    "sf.loo(fit).subsampling_se",
]


@pytest.mark.parametrize("verb", VERBS)
def test_the_class_of_every_result_is_public(verb):
    names = re.findall(r"[A-Z]\w+", str(inspect.signature(getattr(sf, verb)).return_annotation).replace("'", ""))
    elsewhere = {"DataFrame", "Series", "DataArray", "DataTree", "Path", "Any", "Model", "Fitted", "AnnData"}
    assert {name for name in names if name not in elsewhere} <= set(sf.__all__)


def test_all_error_classes_are_public_and_in_one_file():
    classes = [sf.SpecletError, *sf.SpecletError.__subclasses__()]
    assert {kind.__name__ for kind in classes} == {name for name in sf.__all__ if name.endswith("Error")}
    assert {kind.__module__ for kind in classes} == {"speclet_formula.errors"}


def checked(folder, text):
    """Return what mypy says of a file that uses the package, a line each."""
    (folder / "example.py").write_text(text, encoding="utf-8")
    call = [
        sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--follow-imports", "silent",
        "--cache-dir", str(ROOT / ".mypy_cache"), str(folder / "example.py"),
    ]  # fmt: skip
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=900).stdout.splitlines()


@pytest.mark.slow
def test_a_type_checker_accepts_what_documentation_shows(tmp_path):
    assert checked(tmp_path, RIGHT)[-1].startswith("Success")


@pytest.mark.slow
def test_a_type_checker_refuses_what_is_misspelt(tmp_path):
    head = "import speclet_formula as sf\n\ndata, _ = sf.datasets.m7()\nfit = sf.lmer('y ~ x', data)\n"
    said = checked(tmp_path, head + "\n".join(WRONG) + "\n")
    lines = {int(number) for number in re.findall(r"example\.py:(\d+): error", "\n".join(said))}
    first = head.count("\n") + 1
    assert lines == set(range(first, first + len(WRONG)))
