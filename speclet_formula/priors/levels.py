"""The presets of unordered levels: each level's linear predictor has the priors that a binomial one would have.

Against the reference, level k is a success out of the times that either of the two occurs: the logit of its probability
is its linear predictor. A concentration is scaled to K times the share of its level, as if they came to K together.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from speclet_formula.design import Design
from speclet_formula.design.design import Predictor
from speclet_formula.families import FAMILIES, FamilySpecification
from speclet_formula.priors.presets import preset_of
from speclet_formula.priors.prior import Preset


def level_presets(name: str, design: Design, family: FamilySpecification) -> Iterator[tuple[Predictor, Preset]]:
    """Go through the linear predictors of unordered levels, each with a preset's priors.

    Parameters
    ----------
    name : {"weak", "bambi", "brms", "rstanarm", "notebook"}
    design : Design
        With a response.
    family : FamilySpecification

    Yields
    ------
    predictor : Predictor
    preset : Preset
        As for a mean with the logit link, or with the log link of concentrations. "bambi" is as for its own categorical
        family, whose priors are not scaled to shares: Normal(0, 2.5 / sd x), the intercept's SD as for any other mean.
    """
    known = FAMILIES[family.name]
    counts = level_counts(design)
    has_reference = known.per_level is not None and known.per_level.reference
    for place, predictor in enumerate(design.predictors):
        if has_reference:
            seen = counts[:, place + 1]
            trials, link = seen + counts[:, 0], "logit"
        else:
            seen, trials, link = counts[:, place] * counts.shape[1], counts.sum(axis=1), "log"
        own = replace(design, response=seen, trials=trials, predictors=(replace(predictor, name=""),), levels=())
        yield predictor, preset_of(name, own, known, link)


def level_counts(design: Design) -> np.ndarray:
    """Return how often each row has each of the unordered levels, (n, K)."""
    if design.response.ndim > 1:
        return design.response
    counts: np.ndarray = (design.response[:, np.newaxis] == np.arange(len(design.levels))).astype(float)
    return counts
