"""A folder belongs to one work, whoever comes second, whatever a killed process left, and whatever else is in it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from speclet_formula.common import checkpoints
from speclet_formula.common.checkpoints import FolderKind, open_folder, read_manifest, seed_of, write_whole
from speclet_formula.errors import DataError
from tests.common.test_files import limited

KIND = FolderKind("work.json", "work", "a work", "Own.", "Files.", "Same.", "Says.")


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path):
    (tmp_path / f".work.json.{'0a' * 16}").write_text('{"a": ')
    open_folder(tmp_path, {"a": 1}, KIND)
    assert read_manifest(tmp_path, KIND) == {"a": 1}
    open_folder(tmp_path, {"a": 1}, KIND)


def test_the_second_of_two_processes_finds_the_folder_of_the_first(tmp_path, monkeypatch):
    """The other one writes between our look and our own writing."""
    real = checkpoints.create_whole

    def late(path, contents):
        real(path, json.dumps({"a": "theirs"}).encode())
        real(path, contents)

    monkeypatch.setattr(checkpoints, "create_whole", late)
    with pytest.raises(DataError, match="belongs to another work: a differs"):
        open_folder(tmp_path, {"a": "mine"}, KIND)
    open_folder(tmp_path, {"a": "theirs"}, KIND)


def test_outcomes_of_another_process_are_no_other_files(tmp_path, monkeypatch):
    """The manifest and the first outcome come in after we saw that there was no manifest."""
    looks = []
    real = checkpoints.read_manifest

    def read(folder, kind):
        looks.append(real(folder, kind))
        if len(looks) == 1:
            (folder / "work.json").write_text('{"a": 1}')
            (folder / "000.json").write_text("{}")
        return looks[-1]

    monkeypatch.setattr(checkpoints, "read_manifest", read)
    open_folder(tmp_path, {"a": 1}, KIND)
    assert looks[:2] == [{}, {"a": 1}]


OPENING = """
import sys, time
from pathlib import Path
from speclet_formula.common.checkpoints import open_folder
from tests.common.test_checkpoints import KIND
go, folder = map(Path, sys.argv[1:])
print("ready", flush=True)
while not go.exists():
    time.sleep(0.001)
for number in range(50):
    open_folder(folder / str(number), {"a": 1}, KIND)
"""


@pytest.mark.slow
def test_processes_that_open_new_folders_at_once(tmp_path):
    root = Path(__file__).resolve().parents[2]
    call = [sys.executable, "-c", OPENING, str(tmp_path / "go"), str(tmp_path / "folders")]
    children = [subprocess.Popen(call, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    for child in children:
        assert child.stdout.readline() == b"ready\n"
    (tmp_path / "go").touch()
    for child in children:
        _, said = child.communicate(timeout=60)
        assert child.returncode == 0, said
    assert {path.name for path in (tmp_path / "folders").glob("*/*")} == {"work.json"}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "3", '{"a"', "[" * 100_000, '{"a": %s}' % ("9" * 5000), "\ud800".encode("utf-8", "surrogatepass")],
)
def test_a_manifest_that_is_none(tmp_path, text):
    (tmp_path / "work.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    for call in (lambda: open_folder(tmp_path, {"a": 1}, KIND), lambda: seed_of(None, tmp_path, KIND)):
        with pytest.raises(DataError, match="is not what a work wrote"):
            call()


def test_a_manifest_that_is_a_folder(tmp_path):
    (tmp_path / "work.json").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        seed_of(None, tmp_path, KIND)


@pytest.mark.parametrize("seed", [-1, True, 1.5, "1"])
def test_seeds_are_whole_numbers(seed):
    with pytest.raises(DataError) as caught:
        seed_of(seed, None, KIND)
    assert str(caught.value) == (
        f"random_seed={seed!r} is out of range.\nrandom_seed is a whole number from 0 to 2**63 - 1.\n"
        "Leave random_seed= out for a fresh one."
    )


@pytest.mark.slow
def test_a_full_disk_is_told(tmp_path):
    done = limited(f"""
        from pathlib import Path
        from speclet_formula.errors import DataError
        from speclet_formula.common.checkpoints import write_whole
        try:
            write_whole(Path({str(tmp_path / "000.json")!r}), b"x" * 10000)
        except DataError as error:
            print(error)
        """)
    assert done.stdout == (
        f"'{tmp_path / '000.json'}' cannot be written: File too large.\n"
        "The folder keeps what is done as it comes in, and all that it holds so far is whole.\n"
        "Make room, or let it be written to; then the same call goes on where this one stopped.\n"
    ), done.stderr
    assert not list(tmp_path.iterdir())
    write_whole(tmp_path / "000.json", b"x")
