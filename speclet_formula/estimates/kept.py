"""A posterior goes in; which group effects a fit kept the draws of comes out, and the words for those that it did not.

A block that was left out has its SDs in the posterior all the same. Choosing the blocks is left to `inference.fitting`.
"""

from collections.abc import Mapping
from typing import Any

type Parts = tuple[str, str, str]  # of an error: what is wrong, what is allowed, what to do


def is_left_out(posterior: Mapping[str, Any], name: str) -> bool:
    """Tell whether a variable is that of group effects whose draws were not kept.

    Parameters
    ----------
    posterior : xarray.Dataset
    name : str
        A variable's name, "1|gene".

    Returns
    -------
    bool
    """
    return name not in posterior and f"{name}_sigma" in posterior


def not_kept(posterior: Mapping[str, Any], name: str) -> Parts | None:
    """Word the error of group effects whose draws were not kept; None where that is not what is wrong.

    Parameters
    ----------
    posterior : xarray.Dataset
    name : str
        The variable that is needed.

    Returns
    -------
    tuple of str, or None
    """
    if not is_left_out(posterior, name):
        return None
    slots = [str(one).removesuffix("_sigma") for one in posterior if "|" in str(one) and str(one).endswith("_sigma")]
    kept = [slot for slot in slots if slot in posterior]
    needed = dict.fromkeys(slot.rpartition("|")[2] for slot in slots if slot in (*kept, name))
    return (
        f"the fit kept no draws of '{name}'.",
        f"It kept: {', '.join(kept) or 'no group effects'}.",
        f"Fit the model again with keep={tuple(needed)!r}, or leave keep= out to keep all.",
    )
