"""Tasks are spread over processes, which end with the one that asked; each outcome stays with its task."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import joblib
import pytest

from speclet_formula.common import batch
from speclet_formula.common.batch import KILLED, Outcome, reasons, run_batch, spread, tethered
from speclet_formula.errors import SamplingError

ROOT = Path(__file__).resolve().parents[2]
ASKING = """
import sys
from pathlib import Path
from types import SimpleNamespace
from speclet_formula.common.batch import spread
from tests.common.test_batch import busy
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
@pytest.mark.slow
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
    monkeypatch.setattr(batch.threading, "Thread", lambda **settings: started.append(settings))
    parent = os.getpid() if asking == "the same process" else 2**30
    assert tethered(parent, max, 1, 2) == 2
    assert not started


def test_results_come_as_from_a_call():
    assert sorted(spread(pow, [(2, 3), (3, 2)], 1)) == [8, 9]


def growing(number):
    """Keep 40 MB for good, and take long enough for the worker to be looked at."""
    _kept.append(bytearray(b"x" * 40_000_000))
    time.sleep(0.3)
    return number


_kept = []


@pytest.mark.slow
def test_a_worker_that_grew_is_replaced_though_warnings_are_errors():
    """Also of who runs Python with -W error, as these tests do."""
    assert sorted(spread(growing, [(number,) for number in range(40)], 2)) == list(range(40))


# --- a batch ----------------------------------------------------------------------------------------------------------

SUMS = {"b": (6, 2), "a": (1, 0), "c": (9, 3), "d": (2, 0)}


def divide(above, below):
    """Divide, or fail."""
    return above / below


def batch_of(work, tasks, **settings):
    return run_batch(work, tasks, **{"what": "sums", "cores": 1, "progress": False} | settings)


def test_outcomes_are_in_the_order_of_the_tasks_and_an_error_stays_with_its_own():
    outcomes = batch_of(divide, SUMS)
    assert [(o.key, o.result, o.reason, o.status) for o in outcomes] == [
        ("b", 3.0, "", "fitted"),
        ("a", None, "ZeroDivisionError: division by zero", "failed"),
        ("c", 3.0, "", "fitted"),
        ("d", None, "ZeroDivisionError: division by zero", "failed"),
    ]
    assert all(outcome.seconds >= 0 and outcome.cpu_seconds >= 0 for outcome in outcomes)
    assert reasons(outcomes) == "ZeroDivisionError: division by zero (2)"
    with pytest.raises(ZeroDivisionError):
        batch_of(divide, SUMS, stop=True)


def test_what_was_done_is_not_done_again_and_a_stop_leaves_what_is_done():
    kept, asked = {"b": Outcome("b", 3.0)}, []

    def work(above, below):
        asked.append((above, below))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return above / below

    def save(outcome):
        kept[outcome.key] = outcome
        return Outcome(outcome.key, "in its file")

    tasks = {"b": (6, 2), "c": (9, 3), "d": (8, 2)}
    with pytest.raises(KeyboardInterrupt):
        batch_of(work, tasks, load=kept.get, save=save)
    assert asked == [(9, 3), (8, 2)]
    assert list(kept) == ["b", "c"]
    outcomes = batch_of(work, tasks, load=kept.get, save=save)
    assert asked[2:] == [(8, 2)]
    assert [outcome.result for outcome in outcomes] == [3.0, 3.0, "in its file"]


def lethal(marker, times):
    """Kill the process that is asked, so many times."""
    deaths = Path(marker).read_text() if Path(marker).exists() else ""
    if len(deaths) < times:
        Path(marker).write_text(deaths + "x")
        os.kill(os.getpid(), signal.SIGKILL)
    return times


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # joblib's resource tracker, of a process that was killed
def test_a_killed_worker_costs_no_task_but_its_own(tmp_path):
    tasks = {number: (tmp_path / str(number), 0) for number in range(30)}
    tasks[2], tasks[25] = (tmp_path / "once", 1), (tmp_path / "ever", 99)
    outcomes = batch_of(lethal, tasks, cores=2)
    assert [outcome.key for outcome in outcomes] == list(range(30))
    assert [outcome.reason for outcome in outcomes if outcome.failed] == [KILLED]
    assert outcomes[25].failed
    assert outcomes[2].result == 1
    with pytest.raises(SamplingError, match="'25': the process that fitted it was killed, twice"):
        batch_of(lethal, {25: tasks[25]}, cores=2, stop=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Dask's and tornado's own are not ours
def test_a_task_that_kills_every_worker_of_a_cluster_is_a_failure(tmp_path):
    distributed = pytest.importorskip("distributed")
    cloudpickle = pytest.importorskip("cloudpickle")
    here = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(here)  # the workers cannot import this file
    tasks = {number: (tmp_path / str(number), 0) for number in range(9)} | {3: (tmp_path / "ever", 99)}
    try:
        with (
            distributed.LocalCluster(
                n_workers=2, processes=True, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
            ) as cluster,
            distributed.Client(cluster),
            joblib.parallel_config(backend="dask"),
        ):
            outcomes = batch_of(lethal, tasks, cores=None)
    finally:
        cloudpickle.unregister_pickle_by_value(here)
    assert [outcome.key for outcome in outcomes] == list(range(9))
    assert [(outcome.key, outcome.reason) for outcome in outcomes if outcome.failed] == [(3, KILLED)]


class ZMQInteractiveShell:
    """Stands for the shell of a Jupyter kernel, and for what it displays."""

    def __init__(self):
        self.shown = []

    def display(self, what, *, display_id):
        assert display_id
        return self

    def update(self, what):
        self.shown.append(what)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_notebook_sees_a_bar_of_html_that_is_gone_at_the_end(monkeypatch, stopped):
    shell = ZMQInteractiveShell()
    shows = SimpleNamespace(display=shell.display, HTML=str)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", shows)
    monkeypatch.setattr(batch, "MOMENT", 0.0)
    made = batch.with_progress(iter([Outcome("a", 1), Outcome("b", None)]), "<data> sets", 3, 1, shown=True)
    assert next(made).key == "a"
    made.close() if stopped else list(made)
    assert len(shell.shown) == (2 if stopped else 3)
    assert '<progress value="2" max="3"' in shell.shown[0]
    assert "&lt;data&gt; sets: 2 of 3, 0:00 left" in shell.shown[0]
    assert stopped or "3 of 3, 0:00 left, 1 failed" in shell.shown[1]
    assert not shell.shown[-1]
    assert list(batch.with_progress([1], "rows", 1, shown=False)) == [1]
