"""Results go in; what the exact engine is held to, and whether it was met, comes out."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

OWN = "exact"
# All three count compiling and set-up, as far as it is not kept from an earlier run; the last one has nothing kept.
BASES = {
    "of the call": "times_ess_call",
    "of the process": "times_ess",
    "of the first process": "times_ess_first",
}


@dataclass(frozen=True)
class Target:
    """A number that is to be reached."""

    claim: str
    limit: float
    found: float | None  # None where this sitting did not measure it
    at_least: bool  # else at most
    met: bool | None


def judge(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Judge results, as `run` writes them.

    Returns
    -------
    list of dict
        The fields of `Target`, one dict for each.
    """
    return [asdict(target) for target in _targets(results)]


def _targets(results: Mapping[str, Any]) -> Iterator[Target]:
    cases = {case["name"]: {row["engine"]: row for row in case["summary"]} for case in results["cases"]}
    m7, sleepstudy, full = (cases.get(name, {}) for name in ("m7", "sleepstudy", "hap1_full"))
    peers = [row for engine, row in m7.items() if engine.startswith(("bambi", "brms")) and row["times_ess_call"]]
    for basis, key in BASES.items():
        pymc = m7.get("bambi-pymc", {}).get(key)
        yield _target(f"m7: smallest ESS per second {basis}, times that of Bambi with pymc", 100, pymc, at_least=True)
        best = min((row[key] for row in peers), default=None)
        yield _target(f"m7: smallest ESS per second {basis}, times the best peer's", 30, best, at_least=True)
    yield _target("m7: seconds of a warm call", 3, m7.get(OWN, {}).get("warm"))
    yield _target("sleepstudy: seconds of a cold process, imports included", 5, sleepstudy.get(OWN, {}).get("process"))
    time, peak = (full.get(OWN, {}).get(name) for name in ("call", "peak_bytes"))
    reference = full.get("lme4", {}).get("call")
    ratio = time / reference if time and reference else None
    yield _target("hap1_full: call for 1,000 draws, times lme4's", 4, ratio)
    yield _target("hap1_full: peak memory in GB", 4, peak / 1e9 if peak else None)
    growth = results.get("growth") or {}
    yield _target("growth: slope of log time on log rows, from 10,000 rows", 1.2, growth.get("slopes", {}).get(OWN))


def _target(claim: str, limit: float, found: float | None, *, at_least: bool = False) -> Target:
    met = None if found is None else bool(found >= limit if at_least else found <= limit)
    return Target(claim, limit, found, at_least, met)
