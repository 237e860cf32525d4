"""Fits that several tests share, each made once and only when a test asks for it."""

from functools import cache
from pathlib import Path

import pandas as pd

import speclet_formula as sf

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
_SETTINGS = {"random_seed": 103, "progress": False}


@cache
def m7_fit(name: str) -> sf.Fit:
    """Fit one of the notebook's models to the notebook's data."""
    data, _ = sf.datasets.m7()
    specification = sf.datasets.m7_models()[name]
    return sf.lmer(specification.formula, data, priors=specification.priors, **_SETTINGS)


@cache
def sleepstudy_fit() -> sf.Fit:
    """Fit lme4's example of correlated slopes."""
    return sf.lmer("Reaction ~ Days + (Days | Subject)", pd.read_csv(SHARED / "lme4" / "sleepstudy.csv"), **_SETTINGS)


@cache
def hap1_fit() -> sf.Fit:
    """Fit the real HAP1 screen with its control classes, nonessential genes as the reference."""
    screen = pd.read_csv(SHARED / "screens" / "hap1.csv")
    order = ["nonessential", "other", "essential"]
    screen["control"] = pd.Categorical(screen["control"], categories=order)
    return sf.lmer("log_fc ~ 1 + control + (1 | gene) + (1 | gene:sgRNA)", screen, **_SETTINGS)
