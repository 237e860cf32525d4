"""Read random formulas until the count is reached: `python -m tests.fuzz.formulas --count 1000000`.

With `--data` each formula meets a small table too, as far as a Model and its explanation. Failures are printed with
their text, and the exit status is 1 if there is one; the same seed gives the same formulas.
"""

import argparse
import sys
import time
import traceback
import warnings
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from tests.fuzz.checks import CodeRanError, is_described_or_refused, reads_back_or_is_refused, watched
from tests.fuzz.grammar import formulas

PROGRESS = 50_000


def small_table() -> pd.DataFrame:
    """Return 48 rows with every column that the generated formulas name."""
    rng = np.random.default_rng(8)
    n = 48
    return pd.DataFrame(
        {
            "y": rng.normal(size=n), "x": rng.normal(3, 1, n), "z": rng.normal(size=n), "f": rng.choice(list("wvu"), n),
            "h": rng.choice(["p", "q"], n), "g": np.repeat(list("abcdefgh"), 6), "a": np.tile(list("rst"), 16),
            "b": np.tile(["i", "j", "k", "l"], 12), "k": rng.integers(0, 4, n), "n": rng.integers(1, 9, n),
            "my col": rng.normal(size=n), "a/b|c": rng.choice(["1", "2", "3"], n), ".x_1": rng.normal(size=n),
            "größe": rng.normal(size=n), "import os": rng.normal(size=n),
        }
    )  # fmt: skip


def hill(x: Any, power: float = 1) -> Any:
    """Return x^n / (1 + x^n), a user's own function."""
    return np.abs(np.asarray(x, dtype=float)) ** power / (1 + np.abs(np.asarray(x, dtype=float)) ** power)


def run(count: int, seed: int, *, data: bool = False, show: bool = True) -> tuple[int, list[tuple[str, str]]]:
    """Read so many formulas; return how many were accepted, and the failures with their tracebacks."""
    table, accepted, failures, slowest, began = small_table(), 0, [], (0.0, ""), time.perf_counter()
    reads_back_or_is_refused("y ~ x")  # the parser is made once, from a file
    for number, text in enumerate(islice(formulas(seed), count), start=1):
        start = time.perf_counter()
        try:
            with watched(code=not data), warnings.catch_warnings():
                warnings.simplefilter("error")
                accepted += (
                    is_described_or_refused(text, table, {"hill": hill}) if data else reads_back_or_is_refused(text)
                )
        except (Exception, CodeRanError):
            failures.append((text, traceback.format_exc(limit=-6)))
        slowest = max(slowest, (time.perf_counter() - start, text))
        if show and number % PROGRESS == 0:
            spent = time.perf_counter() - began
            print(f"{number:,} read, {accepted:,} accepted, {len(failures)} failures, {spent:.0f} s", flush=True)
    if show:
        print(f"{count:,} formulas, {accepted / max(count, 1):.1%} accepted, {len(failures)} failures")
        print(f"the slowest took {slowest[0]:.3f} s: {slowest[1]!r}", flush=True)
    return accepted, failures


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", action="store_true", help="make a Model of each and explain it")
    options = parser.parse_args()
    _, failures = run(options.count, options.seed, data=options.data)
    for text, trace in failures[:20]:
        print(f"--- {text!r}\n{trace}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
