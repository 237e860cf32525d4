"""Let atheris look for texts that reach new lines of the parser: `python -m tests.fuzz.coverage -runs=100000`.

It needs atheris, which is no dependency; options after the name are libFuzzer's. A text that breaks the promise of
`checks` ends the run with its traceback, and libFuzzer writes it to a file.
"""

import sys

import atheris

with atheris.instrument_imports(include=["speclet_formula.formula"]):
    from tests.fuzz.checks import reads_back_or_is_refused, watched


def one(data: bytes) -> None:
    """Read a text made of the bytes that libFuzzer chose."""
    provider = atheris.FuzzedDataProvider(data)
    start = "y ~ " if provider.ConsumeBool() else ""
    text = start + provider.ConsumeUnicode(provider.remaining_bytes())
    with watched():
        reads_back_or_is_refused(text)


if __name__ == "__main__":
    reads_back_or_is_refused("y ~ x")  # the parser is made once, from a file
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
