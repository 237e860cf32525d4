"""What this machine is and what is installed on it, without its name or any place on it."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "speclet_formula", "bambi", "pymc", "pytensor", "nutpie", "numpyro", "jax", "arviz", "numpy", "scipy", "numba",
    "qdldl", "pandas",
)  # fmt: skip


def describe_machine() -> dict[str, object]:
    """Return cores, memory, the system and the versions of what takes part."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"Python": platform.python_version(), **_versions()},
    }


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
