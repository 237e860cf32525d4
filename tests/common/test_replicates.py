"""Replicates: seeded one by one, whoever does them; kept in folders; failures with their reasons."""

import json

import numpy as np
import pytest

from speclet_formula.common.checkpoints import FolderKind
from speclet_formula.common.replicates import replicate
from speclet_formula.errors import DataError

KIND = FolderKind("kept.json", "work", "this", "Its own.", "Small files.", "Only the same.", "What it is.")


def two_numbers(rng, shift):
    """Two normal numbers; of the larger half of the first ones an error."""
    first, second = rng.normal(size=2) + shift
    if first > shift:
        raise ValueError("above\nthe middle")
    return [first, second]


def run(count, folder=None, cores=1, seed=5, shift=10.0, **manifest):
    return replicate(
        two_numbers, (shift,), count, what="numbers", seed=seed, cores=cores, progress=False, folder=folder, kind=KIND,
        manifest=manifest,
    )  # fmt: skip


def test_each_replicate_has_a_seed_of_its_own():
    """The numbers are those of a generator by the seed and the replicate's number, whatever else is asked for."""
    found = run(30)
    for number in range(30):
        expected = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(number,))).normal(size=2) + 10
        if expected[0] > 10:
            assert found.reasons[number] == "ValueError: above"
            assert np.isnan(found.values[number]).all()
        else:
            assert not found.reasons[number]
            np.testing.assert_array_equal(found.values[number], expected)
    np.testing.assert_array_equal(run(17).values, found.values[:17])
    np.testing.assert_array_equal(run(30, cores=2).values, found.values)


def test_replicates_are_kept_and_those_that_are_not_whole_made_again(tmp_path):
    whole = run(40)
    run(12, tmp_path)
    files = sorted(tmp_path.glob("*-*.json"))
    (tmp_path / files[0].name).write_text('{"owner": "')
    found = run(40, tmp_path)
    np.testing.assert_array_equal(found.values, whole.values)
    assert found.reasons == whole.reasons
    numbers = [row[0] for path in tmp_path.glob("*-*.json") for row in json.loads(path.read_text())["rows"]]
    assert set(numbers) == set(range(40))


def test_what_is_kept_is_not_made_again(tmp_path):
    """Numbers that were changed in a file come back."""
    run(8, tmp_path)
    path = max(tmp_path.glob("*-*.json"))
    saved = json.loads(path.read_text())
    saved["rows"] = [[row[0], [1.0, 2.0], ""] for row in saved["rows"]]
    path.write_text(json.dumps(saved))
    changed = [row[0] for row in saved["rows"]]
    assert (run(8, tmp_path).values[changed] == [1.0, 2.0]).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"owner": "another", "rows": []}, "is not of this work"),
        ([1], "is not of this work"),
        ({"owner": None, "rows": [[0, ["a"], ""]]}, "is not as it was written"),
        ({"owner": None, "rows": [[0.5, [1.0], ""]]}, "is not as it was written"),
    ],
)
def test_files_of_others_are_refused(tmp_path, content, message):
    run(3, tmp_path)
    path = next(tmp_path.glob("*-*.json"))
    if isinstance(content, dict) and content["owner"] is None:
        content = content | {"owner": json.loads(path.read_text())["owner"]}
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message):
        run(3, tmp_path)


def test_a_folder_belongs_to_one_work(tmp_path):
    run(3, tmp_path, model="a")
    with pytest.raises(DataError, match="belongs to another work: model differs"):
        run(3, tmp_path, model="b")
