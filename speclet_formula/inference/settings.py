"""The names that other rooms pass on to `Model` and to `fit`; a name that neither knows is refused."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from speclet_formula.errors import SamplingError, nearest
from speclet_formula.inference.fitting import fit
from speclet_formula.inference.plans import refuse_unused
from speclet_formula.model import Model

MODEL_SETTINGS = tuple(n for n in inspect.signature(Model.__init__).parameters if n not in ("self", "formula", "data"))
FIT_SETTINGS = tuple(
    n for n in inspect.signature(fit).parameters if n not in ("model", "cores", "random_seed", "progress")
)


def refuse_unknown(settings: Iterable[str], model_settings: Sequence[str] = MODEL_SETTINGS) -> None:
    """Raise a SamplingError for a setting that is neither one of `model_settings` nor one of `fit`."""
    known = (*model_settings, *FIT_SETTINGS)
    unknown = next((name for name in settings if name not in known), None)
    if unknown is not None:
        near = nearest(unknown, known)
        raise SamplingError(
            f"there is no setting '{unknown}'.",
            f"Of Model there are {', '.join(model_settings)}; of fit {', '.join(FIT_SETTINGS)}.",
            f"Nearest: '{near}'." if near else "Leave it out.",
        )


def refuse_unused_settings(settings: Mapping[str, Any]) -> None:
    """Raise a SamplingError for settings that their method has no use for, before any of many fits is begun."""
    refuse_unused(settings.get("method", "auto"), settings)
