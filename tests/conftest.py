"""What every test can lean on: the same hypothesis examples each time, no window for a picture, the shared data."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("few", settings.get_profile("ci"), max_examples=20)  # for `make fast`
settings.load_profile("ci")


@pytest.hookimpl(tryfirst=True)  # before -m "not slow" looks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cases of a test slow, but those that its marker `mostly_slow` names, or each so many of them."""
    tests: dict[str, dict[str, pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("mostly_slow"):
            tests.setdefault(item.nodeid.partition("[")[0], {})[item.callspec.id] = item
    for test, cases in tests.items():
        marker = next(iter(cases.values())).get_closest_marker("mostly_slow")
        fast = set(list(cases)[:: marker.kwargs["every"]] if marker.kwargs else marker.args)
        if len(cases) > len(fast) and not fast <= set(cases):
            raise pytest.UsageError(f"{test} has no case {sorted(fast - set(cases))}; it has {sorted(cases)}")
        for name in set(cases) - fast:
            cases[name].add_marker("slow")


def pytest_collection_finish() -> None:
    """Spare Python's garbage collector what was imported and collected until now, which is most of all and stays."""
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real screens and of lme4's reference fits, which stands beside the repository where there is one."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the folder shared/data beside the repository: real data that may not be committed")
    return folder
