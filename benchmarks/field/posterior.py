"""Fit the tables that `fit.R` wrote by the default engine with few draws, and ask what users ask of a posterior."""

import json
import signal
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

import speclet_formula as sf
from benchmarks.field.compare import read_table, settings_of

DRAWS = {"draws": 500, "cores": 1, "random_seed": 1, "progress": False}
LONGEST = 120  # processor seconds of a fit, or of a verb; what takes longer is ended
REPORTED = 5_000  # rows; a page of larger ones takes minutes
EACH = 10  # of how many rows one is reported, for pictures take seconds


def sample_row(row: pd.Series, folder: Path) -> dict[str, Any]:
    """Say what came of a row's posterior: its verdict, and what each verb of `ASKED` answered."""
    theirs = json.loads((folder / f"{row['id']}.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = {"id": row["id"], "formula": row["formula"], "family": row["program"]}
    if not (folder / f"{row['id']}.csv").exists():
        return found | {"status": "no data"}
    table = read_table(folder, row["id"], theirs.get("levels") or {})
    started = time.process_time()
    limit_time()
    try:
        table, settings = settings_of(row, table)
        fit = sf.fit(sf.Model(row["formula"], table, missing="drop", **settings), **DRAWS)
    except sf.SpecletError as error:
        return found | {"status": "refused", "error": str(error)}
    except TimeoutError:
        return found | {"status": "too long"}
    except Exception as error:
        return found | {"status": "raw error", "error": f"{type(error).__name__}: {error}"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    found |= {"method": fit.method, "rows": sf.nobs(fit), "seconds": time.process_time() - started}
    found |= {
        "status": fit.diagnostics.verdict,
        "r_hat": fit.diagnostics.r_hat_max,
        "ess": fit.diagnostics.ess_bulk_min,
    }
    return found | {"asked": {name: answer(ask, fit, folder) for name, ask in asked_of(row, fit).items()}}


def asked_of(row: pd.Series, fit: sf.Fit) -> dict[str, Any]:
    """Return the verbs to try: a report of every tenth row alone, if it is no large table."""
    reported = int(row["id"][:3]) % EACH == 0 and sf.nobs(fit) <= REPORTED
    return ASKED | ({"report": ask_report} if reported else {})


def limit_time() -> None:
    """Raise TimeoutError after `LONGEST` seconds of this process's processor time."""

    def end(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, LONGEST)


def ask_loo(fit: sf.Fit, folder: Path) -> str:
    """Return the kind of leave-one-out and its rows of high Pareto k."""
    loo = sf.loo(fit, random_seed=1, progress=False)
    return f"{type(loo).__name__}: {len(str(loo).splitlines())} lines"


def ask_print(fit: sf.Fit, folder: Path) -> str:
    """Return the width of the summary, as text and as HTML."""
    text = str(fit)
    assert len(fit._repr_html_()) > len(text) / 2
    return f"{max(len(line) for line in text.splitlines())} columns"


def ask_predict(fit: sf.Fit, folder: Path) -> str:
    """Return the rows of predictions of the fitted and of five new rows."""
    return f"{len(sf.predict(fit))} and {len(sf.predict(fit, fit.model.data.head(5)))}"


def ask_report(fit: sf.Fit, folder: Path) -> str:
    """Return the bytes of the page."""
    return f"{sf.report(fit, folder / 'page.html', random_seed=1).stat().st_size} bytes"


ASKED = {"print": ask_print, "loo": ask_loo, "predict": ask_predict}


def answer(ask: Any, fit: sf.Fit, folder: Path) -> str:
    """Return what a verb answered, or its refusal, or the name of a raw error."""
    started = time.process_time()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        limit_time()
        try:
            text = ask(fit, folder)
        except sf.SpecletError as error:
            text = f"refused: {error}"
        except TimeoutError:
            text = "too long"
        except Exception as error:
            text = f"raw error: {type(error).__name__}: {error}"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    warned = "".join(f"; {one.category.__name__}: {one.message}" for one in told)
    return f"{text} ({time.process_time() - started:.1f} s){warned}"
