"""Spelled code is run where R is at hand; the model must be the one that is spelled: its log-likelihood is ours.

The exact texts stand in `test_calls`, which need no R.
"""

import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.families.links import INVERSE_LINKS
from speclet_formula.families.registry import FAMILIES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed"),
]
N = 400
PRINTED = """
numbers <- function(name, values) cat("@", name, unname(unlist(values)), "\\n")
shown <- function(m) {
    if (inherits(m, "glmmTMB")) {
        numbers("mu", fixef(m)$cond); numbers("disp", fixef(m)$disp); numbers("zi", fixef(m)$zi)
    } else numbers("mu", if (isS4(m)) lme4::fixef(m) else coef(m))
    numbers("loglik", logLik(m)); numbers("df", attr(logLik(m), "df"))
}
"""
# family, link, the parameter with a formula, what glmmTMB's dispersion is to the parameter
CASES = [
    ("gaussian", "identity", "sigma"),
    ("gamma", "log", "alpha"),
    ("gamma", "inverse", "alpha"),
    ("beta", "logit", "kappa"),
    ("beta", "cloglog", "kappa"),
    ("beta_binomial", "probit", "kappa"),
    ("negativebinomial", "log", "alpha"),
    ("zero_inflated_poisson", "log", "psi"),
    ("zero_inflated_binomial", "logit", "psi"),
    ("zero_inflated_negativebinomial", "log", "psi"),
    ("zero_inflated_negativebinomial", "log", "alpha"),
    ("hurdle_poisson", "log", "psi"),
    ("hurdle_negativebinomial", "log", "psi"),
    ("hurdle_gamma", "log", "psi"),
    ("hurdle_gamma", "log", "alpha"),
    ("hurdle_gamma", "inverse", None),
]


def _simulated(family: str, link: str) -> pd.DataFrame:
    """Draw rows whose response depends on x, and its other parameters a little on z."""
    rng = np.random.default_rng(11)
    x, z = rng.uniform(0, 1, N), rng.uniform(0, 1, N)
    eta = (2.0 if link == "inverse" else 0.8) + 0.7 * x
    if link == "cloglog":
        eta -= 1.0
    values = {"sigma": np.exp(0.2 + 0.4 * z), "psi": 1 / (1 + np.exp(-0.6 - 0.8 * z))}
    values |= dict.fromkeys(("alpha", "kappa", "nu", "lam", "b"), np.exp(1.0 + 0.5 * z))
    known = FAMILIES[family]
    parameters = {name: values[name] for name in known.parameters}
    trials = np.full(N, 12)
    mean = eta / 4 if known.support == "angle" else INVERSE_LINKS[link](eta)
    y = known.simulate(rng, mean, parameters, trials)
    return pd.DataFrame({"y": y, "x": x, "z": z, "f": trials - y, "off": rng.uniform(-0.5, 0.5, N)})


def _in_r(fits: dict[str, tuple[str, pd.DataFrame]], folder) -> dict[str, dict[str, np.ndarray]]:
    """Run code spelled for R, each with its data; the last line of each is the fit."""
    script = ["options(digits = 15)", PRINTED]
    for place, (code, frame) in enumerate(fits.values()):
        frame.to_csv(folder / f"{place}.csv", index=False)
        *before, call = code.split("\n")
        script += [f'data <- read.csv("{folder / f"{place}.csv"}", stringsAsFactors = TRUE)', *before]
        script += ['cat("# fit\\n")', f"shown(suppressWarnings({call}))"]
    (folder / "all.R").write_text("\n".join(script))
    done = subprocess.run(["Rscript", folder / "all.R"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    parts = [part.split("\n") for part in done.stdout.split("# fit\n")[1:]]
    lines = ([line.split()[1:] for line in part if line.startswith("@")] for part in parts)
    found = ({name: np.array(values, dtype=float) for name, *values in part} for part in lines)
    return dict(zip(fits, found, strict=True))


def _needs(package: str) -> None:
    code = f"quit(status = !requireNamespace('{package}', quietly = TRUE))"
    if subprocess.run(["Rscript", "-e", code], check=False, capture_output=True).returncode:
        pytest.skip(f"{package} is not installed")


def _formulas(family: str, parameter: str | None) -> list[str]:
    response = "cbind(y, f)" if FAMILIES[family].support == "proportion" else "y"
    offset = "" if parameter == "sigma" else " + offset(off)"
    return [f"{response} ~ x", *([f"{parameter} ~ z{offset}"] if parameter else [])]


@pytest.fixture(scope="module")
def in_glmm_tmb(tmp_path_factory):
    _needs("glmmTMB")
    fits = {}
    for case in CASES:
        family, link, parameter = case
        code = sf.spelling(_formulas(family, parameter), "lme4", family=family, link=link)
        fits[case] = (code, _simulated(family, link))
    return _in_r(fits, tmp_path_factory.mktemp("glmmTMB"))


@pytest.mark.parametrize("case", CASES)
def test_parameters_have_the_same_meaning_in_glmmtmb(case, in_glmm_tmb):
    family, link, parameter = case
    frame, found = _simulated(family, link), in_glmm_tmb[case]
    mean = INVERSE_LINKS[link](np.column_stack([np.ones(N), frame["x"]]) @ found["mu"])
    y, trials = frame["y"].to_numpy(dtype=float), np.full(N, 12)

    def ours(power: float) -> float:
        parameters = {}
        for name in FAMILIES[family].parameters:
            part = -found["zi"] if name == "psi" else power * found["disp"]
            eta = np.column_stack([np.ones(N), frame["z"]])[:, : len(part)] @ part
            eta = eta + (frame["off"].to_numpy() if name == parameter and name != "sigma" else 0.0)
            parameters[name] = INVERSE_LINKS[FAMILIES[family].parameter(name).link](eta)
        return FAMILIES[family].log_density(y, mean, parameters, trials).sum()

    # A gaussian dispersion is the variance in older versions, the SD in newer ones; the models are the same.
    nearest = min((ours(power) for power in ((0.5, 1.0) if family == "gaussian" else (1.0,))),
                  key=lambda value: abs(value - found["loglik"][0]))  # fmt: skip
    np.testing.assert_allclose(nearest, found["loglik"][0], rtol=1e-7)


def test_uncorrelated_levels_are_the_same_model_in_lme4_and_glmmtmb(tmp_path):
    _needs("glmmTMB")
    _needs("lme4")
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"f": rng.choice(list("pqr"), N), "g": rng.integers(0, 20, N), "x": rng.normal(size=N)})
    frame["g"] = "g" + frame["g"].astype(str)
    effects = {key: rng.normal(0, [1.0, 0.5, 0.8]) for key in sorted(frame["g"].unique())}
    added = [effects[g] @ [1.0, f == "q", f == "r"] for f, g in zip(frame["f"], frame["g"], strict=True)]
    frame["y"] = 1.0 + np.array(added) + rng.normal(0, 0.7, N)
    formula = "y ~ f + (f || g)"
    code = sf.spelling(sf.Model(formula, frame), "lme4")
    *_, comment, call = code.split("\n")
    terms = comment.partition("lme4 1.1: ")[2]
    older = call.replace("diag(1 + f | g)", terms).replace("lmer(", "lmer(REML = FALSE, ")
    older, newer = f"library(lme4)\n{older}", f"library(glmmTMB)\n{call.replace('lmer(', 'glmmTMB(')}"
    found = _in_r({"lme4": (older, frame), "glmmTMB": (newer, frame)}, tmp_path)
    assert {name: float(fit["df"][0]) for name, fit in found.items()} == {"lme4": 7, "glmmTMB": 7}
    mine = sf.lmer(formula, frame, method="ml").log_likelihood
    for fit in found.values():
        assert fit["loglik"][0] == pytest.approx(mine, abs=1e-4)


def test_brms_makes_a_program_of_each_family_link_and_parameter(tmp_path):
    _needs("brms")
    script = ["suppressMessages(library(brms))"]
    for family, known in FAMILIES.items():
        if known.per_level is not None:  # in tests/priors/test_levels
            continue
        frame = _simulated(family, known.links[0]) if known.support != "ordinal" else _ordinal()
        frame.to_csv(tmp_path / f"{family}.csv", index=False)
        script.append(f'data <- read.csv("{tmp_path / f"{family}.csv"}")')
        script += ["data$y <- factor(data$y, ordered = TRUE)"] if known.support == "ordinal" else []
        pairs = [(link, None) for link in known.links] + [
            (known.links[0], name) for name in known.parameters if known.parameter(name).link
        ]
        for link, parameter in pairs:
            *before, call = sf.spelling(_formulas(family, parameter), "brms", family=family, link=link).split("\n")
            if not any(line.startswith("# brms has no link") for line in before):
                told = f"{family} {link} {parameter}"
                made = call.replace("brm(", "make_stancode(", 1)
                script.append(f'tryCatch(invisible({made}), error = function(e) cat("{told}:", conditionMessage(e)))')
    (tmp_path / "all.R").write_text("\n".join(script))
    done = subprocess.run(["Rscript", tmp_path / "all.R"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def _ordinal() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame({"y": rng.integers(0, 4, N), "x": rng.normal(size=N), "z": 0.0, "off": 0.0})
