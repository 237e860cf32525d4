"""Three models are fitted with one BLAS thread and with two, alone and beside two busy processes; the times come out.

    python -m benchmarks.blas_threads

Each fit is a process of its own, so that the number of threads is what its environment says; a first fit loads what a
second one is timed with. Busy processes are started and ended here.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

REPEATS = 15
BUSY = "while True: pass"
FIT = """
import sys, time
import numpy as np, pandas as pd, speclet_formula as sf
rng, kind = np.random.default_rng(1), sys.argv[1]
def effects(codes, sd):
    return rng.normal(0, sd, codes.max() + 1)[codes]
if kind == "reml, 1,190 rows":
    g, h = np.arange(1190) % 170, rng.integers(0, 70, 1190)
    family, formula, method = "gaussian", "y ~ x + (x | g) + (1 | h)", "reml"
elif kind == "reml, 20,000 rows":
    g, h = rng.integers(0, 900, 20_000), rng.integers(0, 350, 20_000)
    family, formula, method = "gaussian", "y ~ x + (1 | g) + (1 | h)", "reml"
else:
    g, h = np.arange(1200) % 130, rng.integers(0, 10, 1200)
    family, formula, method = "poisson", "y ~ x + (1 | g) + (1 | h)", "laplace"
x = rng.normal(size=len(g))
eta = 1 + 0.3 * x + effects(g, 0.5) + effects(h, 0.4) + effects(g, 0.2) * x
y = rng.poisson(np.exp(eta)) if family == "poisson" else eta + rng.normal(size=len(g))
model = sf.Model(formula, pd.DataFrame({"y": y, "x": x, "g": g, "h": h}), family=family)
sf.fit(model, method=method)
times = []
for _ in range(int(sys.argv[2])):
    start = time.perf_counter()
    sf.fit(model, method=method)
    times.append(time.perf_counter() - start)
print(min(times))
"""
KINDS = ("reml, 1,190 rows", "reml, 20,000 rows", "laplace, 1,200 rows")
VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep some processes busy meanwhile."""
    running = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def seconds(kind: str, threads: int) -> float:
    """Return the wall time of a fit, the best of a few, in a process whose BLAS has that many threads."""
    environment = os.environ | dict.fromkeys(VARIABLES, str(threads))
    call = [sys.executable, "-c", FIT, kind, str(REPEATS)]
    return float(subprocess.run(call, env=environment, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print a row for each model, and how far its times lie apart."""
    print(f"{'':22}{'alone, 1':>10}{'alone, 2':>10}{'busy, 1':>10}{'busy, 2':>10}   threads  busy")
    for kind in KINDS:
        alone = [seconds(kind, threads) for threads in (1, 2)]
        with busy(2):
            beside = [seconds(kind, threads) for threads in (1, 2)]
        times = "".join(f"{value:10.3f}" for value in (*alone, *beside))
        apart = max(max(pair) / min(pair) for pair in (alone, beside))
        print(f"{kind:22}{times}   {apart:7.2f}  {min(beside) / min(alone):4.2f}", flush=True)


if __name__ == "__main__":
    main()
