"""Which priors a slot can have.

The rules are the model's: coefficients are numbers, SDs are positive, group effects are Normal around a mean with an
estimated SD, correlations are LKJ, that of a structure uniform. A prior that breaks one is an error that says what to
write.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from speclet_formula.design.design import GroupBlock, sd_name
from speclet_formula.errors import PriorError
from speclet_formula.families.registry import SHARES
from speclet_formula.priors.distributions import not_positive, number_text
from speclet_formula.priors.prior import Prior, Slot

Part = Literal["prior", "sigma", "mu"]  # of a slot: its whole prior, or one hyperprior of a group term

_COEFFICIENT_EXAMPLE = 'Prior("Normal", mu=0, sigma=1)'
_SD_EXAMPLE = 'Prior("HalfNormal", sigma=1)'
_JOINT = {
    "correlation": "LKJ is for the correlations of group terms, slots such as 'cor|gene'.",
    "simplex": "Dirichlet is for the shares of a monotonic effect's steps, slots such as 'mo(dose)_simplex'.",
}


def changed_prior(slot: Slot, part: Part, prior: Prior, columns: Sequence[str]) -> Prior:
    """Return a slot's prior after a user's change of it.

    Parameters
    ----------
    slot : Slot
        With the prior that it has so far.
    part : {"prior", "sigma", "mu"}
        What is changed: all of it, or a hyperprior of a group term.
    prior : Prior
        The new value.
    columns : sequence of str
        Labels of the columns that a fixed term has, or of thresholds; one for any other slot.

    Returns
    -------
    Prior

    Raises
    ------
    PriorError
        If the slot cannot have this prior.
    """
    if slot.kind == "group":
        return _group_prior(slot, part, prior)
    if prior.noncentered is not None:
        raise PriorError(
            f"the prior of '{slot.slot}' sets noncentered.",
            "Only group terms can be centred or not.",
            "Leave noncentered out.",
        )
    if slot.kind == "cor":
        return _correlation_prior(slot, prior)
    if slot.kind == "simplex":
        return _simplex_prior(slot, prior, columns)
    if slot.kind == "length":
        return _length_prior(slot, prior)
    if slot.kind == "family":
        return _parameter_prior(slot, prior, columns)
    return _coefficient_prior(slot, prior, columns)


def _coefficient_prior(slot: Slot, prior: Prior, columns: Sequence[str]) -> Prior:
    """Check the prior of an intercept or a fixed term."""
    if prior.support in _JOINT:
        raise PriorError(
            f"{prior} cannot be the prior of '{slot.slot}'.", _JOINT[prior.support], f"Write {_COEFFICIENT_EXAMPLE}."
        )
    _refuse_hyperpriors(slot, prior, "A fixed term", "or make it a group term to have its SD estimated")
    length = _vector_length(prior)
    if length not in (1, len(columns)):
        shown = ", ".join(columns)
        raise PriorError(
            f"the prior of '{slot.slot}' has {length} values, {prior}.",
            f"'{slot.slot}' has {len(columns)} column{'s' if len(columns) > 1 else ''}: {shown}.",
            "Give one number for all columns, or one for each in this order."
            if len(columns) > 1
            else "Give single numbers.",
        )
    return prior


def _simplex_prior(slot: Slot, prior: Prior, columns: Sequence[str]) -> Prior:
    """Check the prior of a monotonic effect's shares."""
    if prior.name != "Dirichlet":
        raise PriorError(
            f"{prior} cannot be the prior of '{slot.slot}'.",
            "Shares that add up to 1 have a Dirichlet prior: a=1 is uniform, a larger a draws them towards each other.",
            'Write Prior("Dirichlet", a=1).',
        )
    return _one_for_each(slot, prior, columns, "steps")


def _one_for_each(slot: Slot, prior: Prior, columns: Sequence[str], what: str) -> Prior:
    """Refuse a prior with neither one value nor one for each step or threshold."""
    if _vector_length(prior) not in (1, len(columns)):
        raise PriorError(
            f"the prior of '{slot.slot}' has {_vector_length(prior)} values, {prior}.",
            f"There are {len(columns)} {what}: {', '.join(columns)}.",
            "Give one number for all of them, or one for each in this order.",
        )
    return prior


def _parameter_prior(slot: Slot, prior: Prior, columns: Sequence[str]) -> Prior:
    """Check the prior of a family's parameter; all of them are positive, or a share, but for thresholds."""
    _refuse_hyperpriors(slot, prior, "A family's parameter", "such as 1")
    if slot.slot == "threshold":
        return _threshold_prior(slot, prior, columns)
    _refuse_vectors(slot, prior)
    if slot.slot in SHARES and prior.support != "unit":
        raise PriorError(
            f"{prior} cannot be the prior of '{slot.slot}'.",
            f"{slot.slot} is a share of the rows, so that its prior lies between 0 and 1.",
            'Write Prior("Beta", alpha=2, beta=2).',
        )
    _require_positive(prior, f"'{slot.slot}'")
    return prior


def _threshold_prior(slot: Slot, prior: Prior, columns: Sequence[str]) -> Prior:
    """Check the prior of an ordinal model's thresholds."""
    if prior.support != "real":
        raise PriorError(
            f"{prior} cannot be the prior of '{slot.slot}'.",
            "Thresholds lie anywhere on the link's scale: Normal, StudentT, ...",
            'Write Prior("Normal", mu=0, sigma=2.5).',
        )
    return _one_for_each(slot, prior, columns, "thresholds")


def _length_prior(slot: Slot, prior: Prior) -> Prior:
    """Check the prior of a length-scale."""
    _refuse_hyperpriors(slot, prior, "A length-scale", "such as 1")
    _refuse_vectors(slot, prior)
    _require_positive(prior, f"'{slot.slot}'")
    return prior


def _correlation_prior(slot: Slot, prior: Prior) -> Prior:
    """Check the prior of a correlation."""
    if slot.prior.name == "Uniform" and prior != slot.prior:
        raise PriorError(
            f"{prior} cannot be the prior of '{slot.slot}'.",
            f"The correlation of cs() or ar1() is uniform over all that it can be, {slot.prior}.",
            "Leave it out; a correlation with an LKJ prior is that of (x | g).",
        )
    if prior.name != "LKJ" and slot.prior.name != "Uniform":
        raise PriorError(
            f"{prior} cannot be the prior of '{slot.slot}'.",
            "Correlations have an LKJ prior: eta=1 is uniform, a larger eta draws them towards 0.",
            'Write Prior("LKJ", eta=2).',
        )
    return prior


def _group_prior(slot: Slot, part: Part, prior: Prior) -> Prior:
    """Check a group term's prior, or put a new hyperprior into it."""
    if part == "prior":
        return _whole_group_prior(slot, prior)
    what = "standard deviation" if part == "sigma" else "mean"
    if prior.has_hyperpriors or prior.noncentered is not None:
        raise PriorError(
            f"{prior!r} cannot be the prior of the {what} of '{slot.slot}'.",
            "A hyperprior has plain numbers as parameters, and nothing else.",
            f"Write {_SD_EXAMPLE if part == 'sigma' else _COEFFICIENT_EXAMPLE}.",
        )
    if part == "sigma":
        _check_sd(slot, prior)
    else:
        _check_mean(slot, prior)
    return Prior("Normal", noncentered=slot.prior.noncentered, **{**slot.prior.parameters, part: prior})


def _whole_group_prior(slot: Slot, prior: Prior) -> Prior:
    """Check a prior that replaces all of a group term's."""
    if prior.name != "Normal":
        positive = prior.support in ("positive", "unit") and not prior.has_hyperpriors
        raise PriorError(
            f"{prior} cannot be the prior of '{slot.slot}'.",
            "Group effects are Normal, as in lme4, around a mean and with an SD that has a prior.",
            f'For the prior of its SD, write {{"{sd_name(slot.slot)}": {prior!r}}}.'
            if positive
            else f'Write Prior("Normal", mu=0, sigma={_SD_EXAMPLE}).',
        )
    mu, sigma = prior.parameters["mu"], prior.parameters["sigma"]
    if not isinstance(sigma, Prior):
        raise PriorError(
            f"{prior} cannot be the prior of '{slot.slot}': its sigma is no prior.",
            "The SD of a group term is estimated, so sigma has a prior of its own.",
            f"Write sigma={_SD_EXAMPLE}, or {_unpooled(slot)} in the formula for effects that are not pooled.",
        )
    _check_sd(slot, sigma)
    if isinstance(mu, Prior):
        _check_mean(slot, mu)
    else:
        _refuse_vectors(slot, prior)
    for part in (mu, sigma):
        if isinstance(part, Prior) and part.noncentered is not None:
            raise PriorError(
                f"a hyperprior of '{slot.slot}' sets noncentered.",
                "noncentered belongs to the group term's own prior.",
                'Write Prior("Normal", mu=..., sigma=..., noncentered=...).',
            )
    return prior


def check_one_sd(block: GroupBlock, slots: Mapping[str, Slot]) -> None:
    """Raise unless the columns of a block with one SD give it one prior."""
    own = {slots[slot].prior.parameters["sigma"]: slot for slot in reversed(block.slots)}
    if block.hom and len(own) > 1:
        (first, slot), (second, another), *_ = reversed(own.items())
        raise PriorError(
            f"the SD of '{block.label}' has two priors, {first} by '{slot}' and {second} by '{another}'.",
            f"A term with hom = TRUE has one SD for all its columns: {', '.join(map(repr, block.slots))}.",
            "Give 'sd', or each of these, the same prior.",
        )


def check_smooth_prior(slot: Slot) -> None:
    """Raise unless the coefficients of a smooth are Normal around zero with an SD that has a prior."""
    mean, sd = (slot.prior.parameters.get(name) for name in ("mu", "sigma"))
    if slot.prior.name == "Normal" and not isinstance(mean, Prior) and mean == 0 and isinstance(sd, Prior):
        return
    raise PriorError(
        f"{slot.prior} cannot be the prior of the coefficients of the smooth '{slot.group}'.",
        "They are normal around zero, and their SD has a prior: that is what the penalty means.",
        f"Write priors={{'{sd_name(slot.slot)}': {_SD_EXAMPLE}}} for the prior of the SD.",
    )


def _check_sd(slot: Slot, prior: Prior) -> None:
    """Raise unless a prior is one of a positive number."""
    _require_positive(prior, f"the standard deviation of '{slot.slot}'")
    _refuse_vectors(slot, prior)


def _check_mean(slot: Slot, prior: Prior) -> None:
    """Raise unless a prior is one of a single number."""
    if prior.support == "correlation":
        raise PriorError(
            f"{prior} cannot be the prior of the mean of '{slot.slot}'.",
            "The mean of a group term is a number: Normal, StudentT, ...",
            f"Write {_COEFFICIENT_EXAMPLE}.",
        )
    _refuse_vectors(slot, prior)


def _require_positive(prior: Prior, what: str) -> None:
    """Raise unless a prior is one of a positive number."""
    if prior.support in _JOINT:
        raise PriorError(f"{prior} cannot be the prior of {what}.", _JOINT[prior.support], f"Write {_SD_EXAMPLE}.")
    if prior.support == "real":
        sigma = prior.parameters.get("sigma")
        raise not_positive(what, str(prior), number_text(sigma) if isinstance(sigma, float) else "1")


def _refuse_hyperpriors(slot: Slot, prior: Prior, what: str, instead: str) -> None:
    """Raise if a parameter of a prior is itself a Prior."""
    if prior.has_hyperpriors:
        raise PriorError(
            f"{prior} cannot be the prior of '{slot.slot}'.",
            f"{what} has a prior with plain numbers as parameters.",
            f"Replace the inner priors by numbers, {instead}.",
        )


def _refuse_vectors(slot: Slot, prior: Prior) -> None:
    """Raise if a prior has vector parameters where there is one number to have a prior."""
    if _vector_length(prior) > 1:
        raise PriorError(
            f"the prior of '{slot.slot}' has {_vector_length(prior)} values, {prior}.",
            "Only fixed terms of several columns have vector priors.",
            "Give single numbers.",
        )


def _vector_length(prior: Prior) -> int:
    """Give the length of a prior's vectors, 1 without any."""
    return max((len(value) for value in prior.parameters.values() if isinstance(value, np.ndarray)), default=1)


def _unpooled(slot: Slot) -> str:
    """Spell the fixed term that has a group term's effects without pooling."""
    column, _, group = slot.slot.partition("|")
    return f"0 + {group}" if column == "1" else f"{group}:{column}"
