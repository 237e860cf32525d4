"""What a family is: the records that hold its name, link and parameters, and the functions that define it.

Nothing comes in and nothing is computed; `registry` fills the records, every later room reads them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Parameters = Mapping[str, Any]
Density = Callable[[np.ndarray, np.ndarray, Parameters, Any], Any]
Simulation = Callable[[np.random.Generator, np.ndarray, Parameters, Any], Any]
Expectation = Callable[[np.ndarray, Parameters], Any]
Support = Literal["real", "positive", "unit", "angle", "nonnegative", "binary", "count", "proportion", "ordinal"]
Weighting = Literal["variance", "trials"]


@dataclass(frozen=True)
class Family:
    """A family with the link that was chosen for it."""

    name: str  # "gaussian"; Bambi's names
    link: str  # "identity"
    parent: str  # the parameter that the linear predictor drives, in Bambi's words: "mu" or "p"
    parameters: tuple[str, ...]  # the others: ("sigma",)


@dataclass(frozen=True)
class FamilySpecification:
    """What the package knows of a family."""

    parent: str
    parameters: tuple[str, ...]
    links: tuple[str, ...]  # the first is the default
    support: Support
    log_density: Density  # (y, mean, parameters, trials) -> log density of each observation
    simulate: Simulation  # (rng, mean, parameters, trials) -> one response for each mean
    # (mean, parameters) -> E[y]; of a proportion, of each trial; of an ordinal response, each level's probability.
    # Where there is none, the parent parameter is the expectation.
    expectation: Expectation | None = None
    weights: Weighting | None = None  # what `weights=` mean; None where they mean nothing
