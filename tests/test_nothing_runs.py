"""No text of a user is compiled, executed or imported, and nothing is written or started, whatever the text says.

An audit hook watches a process of its own: Python raises its events for compile, exec, import, open and new processes.
All that strangers can hand over carries a marker: formulas, names of columns and levels, TOML files of priors, saved
fits, and files of screens. No event may show it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = r"""
import io, json, sys, warnings
from pathlib import Path

import numpy as np
import pandas as pd

import speclet_formula as sf

folder = Path(sys.argv[1])
MARK = "zqmark"
NAMES = {
    "y": f"{MARK}_y", "x": f"{MARK}`x", "z": f"len({MARK})", "f": f"{MARK}:a", "g": f"{MARK} g", "k": MARK,
    "a": "a", "w": f"{MARK}[b]",
}
seen, armed = [], []


def text_of(value, depth=0):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "co_consts"):
        parts = [*value.co_names, *value.co_varnames, value.co_name]
        return " ".join(map(str, parts)) + " ".join(text_of(part) for part in value.co_consts)
    return value if isinstance(value, str) else repr(value) if isinstance(value, tuple) else ""


def hook(event, arguments):
    if not armed:
        return
    if event in ("compile", "exec", "import"):
        told = " ".join(text_of(argument) for argument in arguments[:2])
        if MARK in told:
            seen.append([event, told[:300]])
    elif event.startswith(("os.system", "os.exec", "os.spawn", "os.posix_spawn", "subprocess.Popen", "socket.connect")):
        seen.append([event, repr(arguments)[:300]])
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        if not str(arguments[0]).startswith((str(folder), "/dev/")):
            seen.append([event, repr(arguments)[:300]])


def table():
    rng = np.random.default_rng(1)
    n = 48
    data = pd.DataFrame({
        "y": rng.normal(size=n), "x": rng.normal(3, 1, n), "z": rng.normal(size=n), "a": rng.normal(size=n),
        "f": rng.choice([f"{MARK}`", f"print({MARK})", "plain"], n), "g": [f"{MARK}.{k}()" for k in "abcdef"] * 8,
        "k": rng.choice(["p", "q"], n), "w": rng.normal(size=n),
    })
    return data.rename(columns=NAMES)


def quoted(name):
    return "`" + name.replace("`", "\\`") + "`"


Q = {plain: quoted(name) for plain, name in NAMES.items()}
GOOD = "{y} ~ {x} * {f} + poly({z}, 2) + I({f} == 'plain') + offset({w}) + (1 + {x} | {g}) + (0 + {k} | {g}:{k})"
GOOD = GOOD.format(**Q)
SHORT = "{y} ~ {x} + {f} + {z} + (1 | {g})".format(**Q)
BAD = [
    "{y} ~ zqmark(x)", "{y} ~ zqmark.system('x')", "{y} ~ x + zqmark`", "{y} ~ relevel({f}, 'zqmark(1)')",
    "{y} ~ {x}$zqmark", "{y} ~ {x} + lambda: zqmark", "{y} ~ {x}; zqmark ~ 1", "zqmark(y) ~ {x}",
    "{y} ~ I({f} == \"zqmark'\")", "{y} ~ log({x}, zqmark)", "{y} ~ (1 | zqmark({g}))", "{y} ~ .",
]


def quietly(action):
    try:
        return action()
    except sf.SpecletError:
        return None


def work():
    data = table()
    model = sf.Model(GOOD, data)
    repr(model), sf.explain(GOOD, data), sf.equation(model.formula)
    for dialect in ("lme4", "brms", "bambi", "glmmTMB"):
        quietly(lambda: sf.spelling(model, dialect))
    sf.to_bambi(model)
    for text in BAD:
        quietly(lambda: sf.Model(text.format(**Q), data))
    priors = folder / "priors.toml"
    priors.write_text(
        '"{}" = {{name = "Normal", mu = 0, sigma = 1}}\n'.format(NAMES["x"].replace("\\", ""))
        + 'sigma = {name = "zqmark", lam = 1}\n'
    )
    quietly(lambda: sf.Model(SHORT, data, priors=priors))
    fit = sf.lmer(SHORT, data, method="reml")
    sf.save(fit, folder / "fit.sf")
    again = sf.load(folder / "fit.sf")
    str(again), sf.fixef(again), sf.ranef(again), sf.varcorr(again), sf.tidy(again)
    sf.predict(again, data.iloc[:3]), sf.augment(again), sf.glance(again)
    quietly(lambda: sf.update(again, f". ~ . - {Q['z']}"))
    quietly(lambda: sf.hypothesis(again, f"{Q['x']} > 0"))
    quietly(lambda: sf.hypothesis(again, "zqmark(x) > 0"))
    quietly(lambda: sf.marginal_means(again, NAMES["f"]))
    drawn = sf.lmer(SHORT, data, draws=20, chains=2, random_seed=1)
    sf.save(drawn, folder / "drawn.sf")
    str(sf.load(folder / "drawn.sf"))
    data.to_csv(folder / "table.csv", index=False)
    quietly(lambda: sf.Model(SHORT, sf.scan(folder / "table.csv")))
    counts = pd.DataFrame({"sgRNA": [f"{MARK}`{k}" for k in range(6)], "gene": ["zqmark(1)"] * 3 + ["b"] * 3,
                           f"{MARK}_T0": range(10, 16), "len(zqmark)": range(20, 26)})
    counts.to_csv(folder / "counts.txt", sep="\t", index=False)
    samples = pd.DataFrame({"sample": [f"{MARK}_T0", "len(zqmark)"], "cell_line": ["zqmark`", "zqmark`"],
                            "reference": [True, False]})
    quietly(lambda: sf.read_screen(folder / "counts.txt", samples=samples))
    samples.to_csv(folder / "samples.csv", index=False)
    quietly(lambda: sf.read_screen(folder / "counts.txt", samples=folder / "samples.csv"))


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    work()  # once before: what is imported or compiled on first use is no concern here
    sys.addaudithook(hook)
    armed.append(True)
    work()
    compile("zqmark_control", "<string>", "eval")  # the hook sees what it is to see
    armed.clear()
print(json.dumps(seen))
"""


@pytest.mark.slow
def test_no_text_of_a_user_is_compiled_executed_or_imported(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert found.returncode == 0, found.stderr[-3000:]
    events = json.loads(found.stdout.splitlines()[-1])
    assert events[-1] == ["compile", "zqmark_control <string>"]
    assert events[:-1] == []
