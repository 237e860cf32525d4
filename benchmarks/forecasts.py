"""What `sf.costs` forecasts beside what a fit takes, over designs of all kinds and sizes.

    python -m benchmarks.forecasts [DESIGN ...]

One process, one core, processor time: other load then tells on neither. Each method fits a small model first, since a
forecast is of a process that has fitted before.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

import speclet_formula as sf

METHODS = ("exact", "reml")
DRAWS = {"draws": 250, "chains": 4}


def crossed(rows: int, *levels: int, slope: bool = False) -> pd.DataFrame:
    """Return factors a, b, ... of so many levels, met at random, and a column x."""
    rng = np.random.default_rng(11)
    codes = {"abcd"[k]: rng.integers(0, count, rows) for k, count in enumerate(levels)}
    x = rng.normal(size=rows)
    mean = sum(rng.normal(0, 0.6, count)[code] for count, code in zip(levels, codes.values(), strict=True))
    if slope:
        mean = mean + rng.normal(0, 0.4, levels[0])[codes["a"]] * x
    return pd.DataFrame({"y": mean + rng.normal(size=rows), "x": x} | {k: v.astype(str) for k, v in codes.items()})


def screen(genes: int, guides: int, lines: int, kept: float = 1.0) -> pd.DataFrame:
    """Return a screen of genes and their guides in crossed lines, some of its rows missing."""
    rng = np.random.default_rng(12)
    gene, guide, line = (part.ravel() for part in np.indices((genes, guides, lines)))
    mean = rng.normal(0, 0.6, genes)[gene] + rng.normal(0, 0.4, (genes, guides))[gene, guide]
    mean = mean + rng.normal(0, 0.4, lines)[line] + rng.normal(0, 0.5, len(gene))
    table = pd.DataFrame({"y": mean, "g": gene, "s": gene * guides + guide, "l": line})
    table["w"] = rng.uniform(0.5, 2, len(table))
    return table[rng.random(len(table)) < kept].reset_index(drop=True).astype({"g": str, "s": str, "l": str})


def dummies() -> pd.DataFrame:
    """Return 300 fixed levels beside 40 group levels."""
    return crossed(6000, 300, 40)


NESTED = "y ~ (1 | g) + (1 | g:s) + (1 | l)"
DESIGNS: dict[str, tuple[str, Callable[[], pd.DataFrame], str | None]] = {
    "slopes, 18": ("y ~ x + (x | a)", lambda: crossed(180, 18, slope=True), None),
    "slopes, 5,000": ("y ~ x + (x | a)", lambda: crossed(50_000, 5_000, slope=True), None),
    "screen, 1,100 rows": (NESTED, lambda: screen(10, 5, 22), None),
    "screen, 40,000 rows": (NESTED, lambda: screen(500, 4, 20, 0.9), None),
    "screen, 200,000 rows": (NESTED, lambda: screen(17_000, 4, 3), None),
    "screen, 300,000 rows, 60 lines": (NESTED, lambda: screen(1250, 4, 60), None),
    "cells, 60,000": ("y ~ (1 | g) + (1 | l) + (1 | g:l)", lambda: screen(3000, 4, 20), None),
    "weights, 40,000 rows": (NESTED, lambda: screen(500, 4, 20), "w"),
    "crossed, 300 x 120": ("y ~ x + (1 | a) + (1 | b)", lambda: crossed(2_000, 300, 120), None),
    "crossed, 900 x 700": ("y ~ x + (1 | a) + (1 | b)", lambda: crossed(4_000, 900, 700), None),
    "crossed, 3,000 x 1,100": ("y ~ x + (1 | a) + (1 | b)", lambda: crossed(73_000, 3_000, 1_100), None),
    "crossed, 10,000 x 1,000": ("y ~ x + (1 | a) + (1 | b)", lambda: crossed(30_000, 10_000, 1_000), None),
    "crossed, 95,000 x 300": ("y ~ x + (1 | a) + (1 | b)", lambda: crossed(300_000, 95_000, 300), None),
    "crossed, 8,000 x 400 x 40": (
        "y ~ x + (1 | a) + (1 | b) + (1 | c)",
        lambda: crossed(60_000, 8_000, 400, 40),
        None,
    ),
    "300 dummies": ("y ~ a + (1 | b)", dummies, None),
}


def main() -> None:
    """Print a row for each design and method: forecast and found, in seconds, and their ratio."""
    small = crossed(2_000, 300, 120)
    for method in METHODS:
        sf.lmer("y ~ x + (1 | a) + (1 | b)", small, method=method, **DRAWS if method == "exact" else {})
        sf.lmer(NESTED, screen(60, 4, 3), method=method, **DRAWS if method == "exact" else {})
    print(f"{'':34}{'method':>8}{'forecast':>10}{'found':>9}{'ratio':>8}")
    for name in sys.argv[1:] or DESIGNS:
        formula, make, weights = DESIGNS[name]
        model = sf.Model(formula, make(), weights=weights)
        forecast = sf.costs(model, cores=1, **DRAWS).table.set_index("method")["seconds"]
        for method in METHODS:
            begun = time.process_time()
            sf.fit(model, method=method, cores=1, random_seed=1, progress=False, **DRAWS if method == "exact" else {})
            found = time.process_time() - begun
            ratio = forecast[method] / found
            print(f"{name:34}{method:>8}{forecast[method]:10.2f}{found:9.2f}{ratio:8.2f}", flush=True)


if __name__ == "__main__":
    main()
