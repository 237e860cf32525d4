"""What every test can lean on: the same hypothesis examples each time, no window for a picture, the shared data."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")

settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real screens and of lme4's reference fits, which stands beside the repository where there is one."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the folder shared/data beside the repository: real data that may not be committed")
    return folder
