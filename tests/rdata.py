"""R's answers of tests/data/r/mixed_answers.json, and our fits of the same models and data."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

import speclet_formula as sf

FOLDER = Path(__file__).parent / "data" / "r"


@cache
def _answers():
    return {found["name"]: found for found in json.loads((FOLDER / "mixed_answers.json").read_text())["fits"]}


def answers(name):
    """What R says of one of the models."""
    return _answers()[name]


@cache
def _data():
    data = pd.read_csv(FOLDER / "odd_formulas.csv")
    distance = data["y"] - data["y"].mean()
    return data.assign(
        count=np.round(np.exp(distance / 5 + 1)).astype(int), hit=(distance + 2 * data["z"] > 0).astype(int)
    )


@cache
def fit_of(name):
    """Our fit of the same model: by REML, or by Laplace's approximation as glmer."""
    found = answers(name)
    if found["family"] == "gaussian":
        return sf.lmer(found["formula"], _data(), method="reml")
    return sf.glmer(found["formula"], _data(), family=found["family"], method="laplace")
