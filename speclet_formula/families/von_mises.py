"""Von Mises' distribution of angles around a direction."""

from typing import Any

import numpy as np
from scipy import special

from speclet_formula.families.links import HALF_LOG_2PI
from speclet_formula.families.specification import KAPPA, Elsewhere, FamilySpecification, Parameters, Spelling


def _log_density(y: np.ndarray, mean: np.ndarray, p: Parameters, _trials: Any) -> Any:
    """Concentrate as kappa grows."""
    return p["kappa"] * (np.cos(y - mean) - 1) - 2 * HALF_LOG_2PI - np.log(special.i0e(p["kappa"]))


_KAPPA = KAPPA.but(
    {"bambi": ("HalfStudentT", {"nu": 4, "sigma": 1}), "brms": ("Gamma", {"alpha": 2, "beta": 0.01})},
    brms=Elsewhere("kappa"),
    brms_predictor=("Normal", {"mu": 5, "sigma": 0.8}),
)

VON_MISES = FamilySpecification(
    "vonmises", "mu", (_KAPPA,), ("identity",), "angle",
    _log_density,
    lambda rng, mean, p, _: rng.vonmises(mean, p["kappa"]),
    Spelling("VonMises", ("mu", "kappa"), "von_mises", brms_link="tan_half"),
)  # fmt: skip
