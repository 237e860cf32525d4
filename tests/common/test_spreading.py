"""Jobs are spread over processes, which end with the one that asked for them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from speclet_formula.common import spreading
from speclet_formula.common.spreading import spread, tethered

ROOT = Path(__file__).resolve().parents[2]
ASKING = """
import sys
from pathlib import Path
from speclet_formula.common.spreading import spread
from tests.common.test_spreading import busy
list(spread(busy, [(sys.argv[1], number) for number in range(6)], 2))
"""


def busy(folder, number):
    """Leave a sign of life, and compute for longer than the test takes."""
    Path(folder, f"{os.getpid()}").touch()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        sum(range(1000))


def is_alive(process):
    """A process that has ended may still be in the table, as a zombie that nobody waits for."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes as Linux shows them")
def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", ASKING, str(tmp_path)], cwd=ROOT)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline and parent.poll() is None:
        time.sleep(0.05)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert len(workers) == 2
    assert all(map(is_alive, workers))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20  # they look every second, on a machine that may be busy
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [worker for worker in workers if is_alive(worker)]
    for worker in left:
        os.kill(worker, signal.SIGKILL)
    assert not left


@pytest.mark.parametrize("asking", ["the same process", "a process of another machine"])
def test_a_worker_watches_nobody_but_its_parent(asking, monkeypatch):
    started = []
    monkeypatch.setattr(spreading.threading, "Thread", lambda **settings: started.append(settings))
    parent = os.getpid() if asking == "the same process" else 2**30
    assert tethered(parent, max, 1, 2) == 2
    assert not started


def test_results_come_as_from_a_call():
    assert sorted(spread(pow, [(2, 3), (3, 2)], 1)) == [8, 9]
