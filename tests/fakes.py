"""Fits without a sampler: real designs, and draws that numpy made from a seed."""

from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from speclet_formula.inference.datatree import observed_data
from speclet_formula.model import Model
from speclet_formula.posterior import Fit
from speclet_formula.posterior.diagnostics import diagnose

SUBJECTS = (308, 309, 310, 330, 331, 332, 333, 334, 335, 337, 349, 350, 351, 352, 369, 370, 371, 372)
ATTRIBUTES = {"inference_library": "nutpie", "tuning_steps": 1000}


def sleepstudy_data():
    """18 subjects on 10 days; the response is made up, near the real one's line."""
    rng = np.random.default_rng(1)
    days = np.tile(np.arange(10), len(SUBJECTS))
    reaction = 250 + 10 * days + rng.normal(0, 25, len(days))
    return pd.DataFrame({"Reaction": reaction.round(2), "Days": days, "Subject": np.repeat(SUBJECTS, 10)})


def screen_data():
    """Six genes in four cell lines, twice; the analyst's order of genes is not the alphabet's."""
    rng = np.random.default_rng(2)
    genes = ["TP53", "KRAS", "BRAF", "MYC", "SOX10", "<script>alert(1)</script>"]
    lines = ["A375", "HEL", "KU812", "RVH421"]
    rows = [(gene, line, guide) for gene in genes for line in lines for guide in range(2)]
    data = pd.DataFrame(rows, columns=["gene", "cell_line", "guide"])
    data["gene"] = pd.Categorical(data["gene"], categories=genes)
    data["control"] = pd.Categorical(
        np.where(data["guide"] == 0, "nonessential", "other"), categories=["nonessential", "other"]
    )
    data["log_fc"] = rng.normal(-1, 0.5, len(data)).round(3)
    return data


def correlated_fit(**settings):
    """Reaction ~ Days + (1 + Days | Subject): two effects for each subject, correlated."""
    return _with_draws_of_its_own(_correlated_fit(**settings))


def crossed_fit(**settings):
    """log_fc ~ control + (1 | gene) + (1 | cell_line): genes crossed with cell lines."""
    return _with_draws_of_its_own(_crossed_fit(**settings))


def _with_draws_of_its_own(fit):
    """Return a fit whose draws a test may change: making them anew takes ten times as long."""
    return replace(fit, idata=fit.idata.copy(deep=True))


@cache
def _correlated_fit(**settings):
    centres = {
        "Intercept": 251.4, "Days": 10.47, "1|Subject_sigma": 25.5, "Days|Subject_sigma": 6.1, "cor|Subject": 0.1,
        "sigma": 25.6,
    }  # fmt: skip
    return fake_fit(Model("Reaction ~ Days + (1 + Days | Subject)", sleepstudy_data()), centres, **settings)


@cache
def _crossed_fit(**settings):
    centres = {"Intercept": -1.0, "control": 0.2, "1|gene_sigma": 0.4, "1|cell_line_sigma": 0.2, "sigma": 0.5}
    return fake_fit(Model("log_fc ~ control + (1 | gene) + (1 | cell_line)", screen_data()), centres, **settings)


def fake_fit(model, centres=None, *, seed=7, chains=4, draws=250, method="nuts", seconds=12.34):
    """A Fit of a model whose draws are independent normal numbers around the given centres, a tenth of them wide."""
    idata = fake_draws(model, centres or {}, np.random.default_rng(seed), chains, draws)
    return Fit(model=model, idata=idata, method=method, diagnostics=diagnose(idata), seconds=seconds)


def fake_draws(model, centres, rng, chains, draws):
    """A DataTree in the shape that every engine gives: posterior, sample_stats, observed_data."""
    variables, coords = {}, {"chain": np.arange(chains), "draw": np.arange(draws)}

    def add(name, dim=None, labels=()):
        shape = (chains, draws, len(labels)) if dim else (chains, draws)
        centre = centres.get(name, 1.0)
        variables[name] = (
            ("chain", "draw", *([dim] if dim else [])),
            centre + 0.1 * abs(centre) * rng.normal(size=shape),
        )
        if dim:
            coords[dim] = list(labels)

    parts = model.design.predictors
    for term in (term for side in parts for term in side.fixed):
        add(term.variable, term.dim, term.coords)
    for block in (block for side in parts for block in side.groups):
        for slot in block.slots:
            add(slot, block.dim, block.levels)
            add(f"{slot}_sigma")
        if block.correlated:
            pairs = [", ".join(pair) for pair in combinations(block.columns, 2)]
            add(block.correlation, block.pair_dim, pairs)
        if block.stretches:
            add(block.length_scale)
    for name in (name for name in model.family.parameters if name not in model.design.varying):
        if name == "threshold":
            add(name, "threshold_dim", range(len(model.design.levels) - 1))
        else:
            add(name)
    stats = {"diverging": (("chain", "draw"), np.zeros((chains, draws), dtype=bool))}
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(variables, coords, attrs=ATTRIBUTES),
            "sample_stats": xr.Dataset(stats, {name: coords[name] for name in ("chain", "draw")}),
            "observed_data": observed_data(model),
        }
    )
