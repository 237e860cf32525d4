"""A message that names Python's arguments goes in; the command line's options stand in their place as it comes out."""

import re

OPTIONS = {
    **{
        name: f"--{name.replace('_', '-')}"
        for name in ("family", "link", "priors", "weights", "missing", "draws", "tune")
    },
    **{name: f"--{name.replace('_', '-')}" for name in ("chains", "cores", "target_accept", "sampler", "method")},
    "random_seed": "--seed",
}
# A value in quotes, a number or a word, or none: "missing='drop'", "tune=2000", "Leave link= out". A dictionary stays.
_ARGUMENT = re.compile(rf"(?<![\w.-])({'|'.join(OPTIONS)})=(?!=)(?:'([^']*)'|([\w.]+(?<!\.))|(?=[\s,.;:)]|$))")


def as_options(text: str) -> str:
    """Write arguments as options.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> as_options("Write missing='drop' to leave these rows out, or link= out.")
    'Write --missing drop to leave these rows out, or --link out.'
    """
    return _ARGUMENT.sub(lambda found: " ".join(filter(None, (OPTIONS[found[1]], found[2] or found[3]))), text)
