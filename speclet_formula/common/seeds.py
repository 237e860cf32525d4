"""Seeds that users give, and the generators of random numbers that they start."""

import numpy as np

from speclet_formula.errors import DataError

LARGEST = 2**63 - 1  # what every sampler takes


def checked_seed(seed: object) -> int | None:
    """Return a seed as a plain number, None where there is none.

    Raises
    ------
    DataError
        It is anything but a whole number from 0 to 2**63 - 1.

    Examples
    --------
    >>> checked_seed(7)
    7
    """
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed <= LARGEST:
        raise DataError(
            f"random_seed={seed!r} is out of range.",
            "random_seed is a whole number from 0 to 2**63 - 1.",
            "Leave random_seed= out for a fresh one.",
        )
    return int(seed)


def generator(seed: object) -> np.random.Generator:
    """Return the generator that a seed starts, or a fresh one.

    Raises
    ------
    DataError
        As `checked_seed`.
    """
    return np.random.default_rng(checked_seed(seed))


def fresh_seed() -> int:
    """Return a seed that nobody chose."""
    return int(np.random.SeedSequence().generate_state(1, np.uint32)[0])
