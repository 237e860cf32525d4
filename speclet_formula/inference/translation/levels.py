"""Bambi's family for unordered levels, each of which has a parameter and a formula of its own.

Bambi's own categorical and multinomial families have one formula for all levels, and coefficients with a dimension of
levels. Here each level's linear predictor is a parameter of the family, so that levels can have different terms, and
group effects their correlations; the density is the same.
"""

from typing import Any

import bambi
import numpy as np
import pymc as pm
import pytensor.tensor as pt

from speclet_formula.families import FAMILIES
from speclet_formula.model import Model


def family_per_level(model: Model) -> bambi.Family:
    """Return a Bambi family whose parameters are those of the levels; counts of levels are known to it."""
    names = [model.family.parent, *model.family.parameters]
    likelihood = bambi.Likelihood(
        f"PerLevel{FAMILIES[model.family.name].spelling.distribution}",
        params=names,
        parent=names[0],
        dist=_distribution(model, names),
    )
    return bambi.Family(model.family.name, likelihood, dict.fromkeys(names, FAMILIES[model.family.name].level_link))


def _distribution(model: Model, names: list[str]) -> Any:
    """Return the distribution of a response, (rows,) places of levels or (rows, levels) counts."""
    design, kind = model.design, FAMILIES[model.family.name]
    counts, trials = design.response, design.trials
    reference = bool(kind.per_level and kind.per_level.reference)

    def arguments(keywords: dict[str, Any]) -> dict[str, Any]:
        parts = [keywords.pop(name) for name in names]
        parts = [0.0 * parts[0], *parts] if reference else parts
        stacked = pt.stack(pt.broadcast_arrays(*parts), axis=-1)
        if trials is None:
            return keywords | {"logit_p": stacked}
        shares = {"p": pm.math.softmax(stacked, axis=-1)} if reference else {"a": stacked}
        return keywords | {"n": trials.astype(np.int64)} | shares

    base = {"Categorical": pm.Categorical, "Multinomial": pm.Multinomial}.get(
        kind.spelling.distribution, pm.DirichletMultinomial
    )

    class LevelDistribution:
        def __new__(cls, name: str, *, observed: Any = None, dims: Any = None, **keywords: Any) -> Any:
            if trials is None:
                return base(name, observed=observed.astype(np.int64), dims=dims, **arguments(keywords))
            return base(name, observed=counts.astype(np.int64), **arguments(keywords))

        @staticmethod
        def dist(**keywords: Any) -> Any:
            return base.dist(**arguments(keywords))

    return LevelDistribution
