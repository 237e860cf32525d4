"""A command goes in; how it ended, how long it took and how much memory it held come out.

Each contender runs in a process of its own, so that one's imports, caches and leftovers serve no other. A failure or a
run that takes too long is an outcome, not an error.
"""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ABSENT = 3  # exit code of a contender whose software is not installed
POLL = 0.02  # seconds
MEMORY_UNIT = 1024  # ru_maxrss counts KiB on Linux

type Status = Literal["ok", "failed", "timeout", "absent"]


@dataclass(frozen=True)
class Outcome:
    """How a process ended."""

    status: Status
    started: float  # seconds since 1970
    seconds: float  # until it ended
    cpu_seconds: float  # its own and its children's
    peak_bytes: int  # the largest resident size of it or of any child that it waited for
    message: str  # the last thing that it said, where it failed


def run_process(command: Sequence[str], *, limit: float, environment: Mapping[str, str] | None = None) -> Outcome:
    """Run a command, at most `limit` seconds.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments; it runs in the repository's folder.
    limit : float
        Seconds after which it is stopped, with all processes that it started.
    environment : dict, optional
        Variables to set beside those of this process.

    Returns
    -------
    Outcome
    """
    with tempfile.TemporaryFile() as said:
        started = time.time()
        process = subprocess.Popen(
            command,
            cwd=Path(__file__).resolve().parents[1],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,  # a group of its own: its workers can be stopped with it
        )
        status, usage, late = _wait(process, started + limit)
        seconds = time.time() - started
        said.seek(0)
        text = said.read().decode(errors="replace")
    code = os.waitstatus_to_exitcode(status)
    ending: Status = "timeout" if late else {0: "ok", ABSENT: "absent"}.get(code, "failed")  # type: ignore[assignment]
    return Outcome(
        ending,
        started,
        seconds,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * MEMORY_UNIT,
        "" if ending == "ok" else _last_line(text),
    )


def _wait(process: subprocess.Popen[bytes], deadline: float) -> tuple[int, "os.resource.struct_rusage", bool]:  # type: ignore[name-defined]
    """Wait for the end, or make it at the deadline; wait4 alone tells what this one child used."""
    late = False
    while True:
        found, status, usage = os.wait4(process.pid, os.WNOHANG)
        if found:
            break
        if time.time() > deadline:
            late = True
            os.killpg(process.pid, signal.SIGKILL)
            _, status, usage = os.wait4(process.pid, 0)
            break
        time.sleep(POLL)
    process.returncode = os.waitstatus_to_exitcode(status)
    return status, usage, late


def _last_line(text: str) -> str:
    """Return the last line without the places of files, which differ from machine to machine."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return re.sub(r"(?:[A-Za-z]:)?(?:[\\/][\w.+-]+){2,}", "...", lines[-1])[:200] if lines else ""
