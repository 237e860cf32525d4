"""Tables as programs write them are read as they were meant; what is written is whole, or as it was before."""

import gzip
import os
import stat
import subprocess
import sys
import textwrap
import threading

import pandas as pd
import pytest

from speclet_formula.common.files import create_whole, existing, read_file, replacing, write_file, write_text
from speclet_formula.errors import DataError

TABLE = pd.DataFrame({"sgRNA": ["s_1", "s_2"], "Gene": ["A", "B"], "T0": [10, 20]})
TABS = TABLE.to_csv(sep="\t", index=False)
COMMENT = "##Command: count\n##Version: 1.3.0\n"
WRITTEN = {
    "plain": ("a.txt", TABS.encode(), ()),
    "Windows' line ends": ("a.txt", TABS.replace("\n", "\r\n").encode(), ()),
    "a mark of UTF-8": ("a.tsv", TABS.encode("utf-8-sig"), ()),
    "packed": ("a.txt.gz", gzip.compress(TABS.encode()), ()),
    "UTF-16": ("a.txt", TABS.encode("utf-16"), ("The text is UTF-16.",)),
    "commas": (
        "a.txt", TABLE.to_csv(index=False).encode(),
        ("Columns are separated by commas, not by tabs as the name promises.",),
    ),
    "semicolons": (
        "a.csv", TABLE.to_csv(index=False, sep=";").encode(),
        ("Columns are separated by semicolons, not by commas as the name promises.",),
    ),
    "spaces": (
        "a.txt", TABLE.to_csv(index=False, sep=" ").encode(),
        ("Columns are separated by spaces, not by tabs as the name promises.",),
    ),
    "comments": ("a.tsv", (COMMENT + TABS).encode(), ("2 lines of comment stand above the header.",)),
    "packed comments": (
        "a.tsv.gz", gzip.compress((COMMENT + TABS).encode()), ("2 lines of comment stand above the header.",),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "said"), WRITTEN.values(), ids=WRITTEN)
def test_the_reader_takes_what_programs_write(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    frame = read_file(tmp_path / name)
    assert frame.attrs.pop("read", ()) == said
    pd.testing.assert_frame_equal(frame, TABLE)


def test_a_header_may_start_with_the_mark_of_comments(tmp_path):
    (tmp_path / "a.tsv").write_text(COMMENT + "#" + TABS)
    frame = read_file(tmp_path / "a.tsv")
    assert frame.columns.tolist() == ["#sgRNA", "Gene", "T0"]
    assert frame["T0"].tolist() == [10, 20]


def test_repeated_and_quoted_names_stay_as_they_are(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbf"sgRNA","T0","T0","a, b"\r\ns_1,1,2,3\r\n')
    assert read_file(tmp_path / "a.csv").columns.tolist() == ["sgRNA", "T0", "T0", "a, b"]


def test_a_list_without_any_separator_is_one_column(tmp_path):
    (tmp_path / "a.txt").write_text("NonTargetingControlGuideForHuman_0001\nNonTargetingControlGuideForHuman_0002\n")
    assert read_file(tmp_path / "a.txt").shape == (1, 1)


def test_text_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "b.txt").write_bytes("Grün\n1\n".encode("latin-1"))
    with pytest.raises(DataError, match="A text file is UTF-8"):
        read_file(tmp_path / "b.txt")


@pytest.mark.parametrize("ending", [".foldchange", ".tab", ".count", ".counts", ".bf", "", ".tab.gz", ".unknown.gz"])
@pytest.mark.parametrize("separator", ["\t", ",", ";"])
def test_other_endings_are_read_as_text(tmp_path, ending, separator):
    TABLE.to_csv(tmp_path / f"a{ending}", sep=separator, index=False)
    frame = read_file(tmp_path / f"a{ending}")
    frame.attrs.clear()
    pd.testing.assert_frame_equal(frame, TABLE)


@pytest.mark.parametrize(("name", "content"), [("a.xlsx", b""), ("a.data", b"PAR1\0\0"), ("a.rds", b"text")])
def test_what_is_no_text_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_file(tmp_path / name)
    assert str(caught.value) == (
        f"'{tmp_path / name}' is of a kind that cannot be read.\nA table's file is text of separated columns or "
        "parquet: .csv, .tsv, .tab, .txt, .count, .counts, .foldchange (also .gz), .parquet, .pq.\n"
        "Open it in what wrote it, and save it as CSV."
    )


# --- writing ----------------------------------------------------------------------------------------------------------


def put(path, content=b"new"):
    with replacing(path) as stream:
        stream.write(content)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("steps", [("link",), ("link", "further"), ("link", "../x/further", "y")])
def test_links_are_followed_and_stay(tmp_path, steps):
    """Relative ones are meant from their own folder; a file at the end that is not there yet is made there."""
    place = tmp_path / "x"
    place.mkdir()
    target = place / "real"
    for there in (True, False):
        target.unlink(missing_ok=True)
        if there:
            target.write_bytes(b"old")
        for name, onto in zip(steps, [*steps[1:], "real"], strict=True):
            (place / name).unlink(missing_ok=True)
            (place / name).symlink_to(onto)
        put(place / steps[0])
        assert target.read_bytes() == b"new"
        assert not target.is_symlink()
        assert all((place / name).is_symlink() for name in steps)


def test_links_that_lead_in_a_circle_are_an_error(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        put(tmp_path / "a")
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_a_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    path.chmod(mode)
    put(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_of_new_files(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        put(tmp_path / "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == mode


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write to all files")
def test_a_file_that_may_not_be_written_to_is_left_alone(tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / "x").chmod(0o400)
    with pytest.raises(PermissionError):
        put(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"old"


def test_a_folder_is_never_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        put(tmp_path / "folder")
    assert names(tmp_path) == ["folder"]


def test_the_longest_name_of_a_file_will_do(tmp_path):
    put(tmp_path / ("ä" * 127))
    assert names(tmp_path) == ["ä" * 127]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes by name there")
def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_text(tmp_path / "pipe", "text")
    reader.join(timeout=10)
    assert read == [b"text"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_device_is_written_to(tmp_path):
    (tmp_path / "nothing").symlink_to(os.devnull)
    put(tmp_path / "nothing", b"x" * 100_000)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert names(tmp_path) == ["nothing"]


PRINTING = """
from pathlib import Path
from speclet_formula.common.files import write_text
print("before")
write_text(Path("/dev/stdout"), "within\\n")
print("after")
"""


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="no such device there")
@pytest.mark.parametrize("into", ["a file", "a pipe"])
@pytest.mark.mostly_slow("a file")
def test_standard_output_is_written_to_in_its_place(tmp_path, into):
    """Whatever it leads to: a file is neither cut nor moved away from what is printed later."""
    call = [sys.executable, "-c", PRINTING]
    if into == "a pipe":
        text = subprocess.run(call, stdout=subprocess.PIPE, check=True).stdout
    else:
        with (tmp_path / "out.txt").open("wb") as stream:
            subprocess.run(call, stdout=stream, check=True)
        text = (tmp_path / "out.txt").read_bytes()
    assert text == b"before\nwithin\nafter\n"


def limited(body, limit=5000):
    """Run Python where no file can grow beyond a limit, as on a disk that is full."""
    pytest.importorskip("resource")
    start = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    return subprocess.run(
        [sys.executable, "-B", "-c", start + textwrap.dedent(body)], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.parquet"])
@pytest.mark.mostly_slow("x.csv-False")
def test_a_full_disk_leaves_what_was_there(tmp_path, there, name):
    path = tmp_path / name
    if there:
        path.write_bytes(b"old")
    done = limited(f"""
        import numpy as np, pandas as pd
        from pathlib import Path
        from speclet_formula.errors import DataError
        from speclet_formula.common.files import write_file
        frame = pd.DataFrame({{"x": np.random.default_rng(1).normal(size=3000)}})
        try:
            write_file(frame, Path({str(path)!r}))
        except DataError as error:
            print(error)
        """)
    assert done.stdout == (
        f"'{path}' cannot be written: File too large.\n"
        "It needs the name of a file in a folder that exists and can be written to, and room on the disk.\n"
        "Make the folder or room, or choose another name.\n"
    ), done.stderr
    assert names(tmp_path) == ([name] if there else [])
    assert not there or path.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["t.csv", "T.CSV", "t.csv.gz", "t.tsv", "t.tsv.gz", "t.txt", "t.parquet", "t.pq"])
def test_a_written_table_reads_back(tmp_path, name):
    pd.testing.assert_frame_equal(read_file(write_file(TABLE, tmp_path / name)), TABLE)


def test_of_several_that_create_a_file_the_first_one_stays(tmp_path):
    contents = [f"{number}".encode() * 1000 for number in range(8)]
    workers = [threading.Thread(target=create_whole, args=(tmp_path / "x", content)) for content in contents]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    first = (tmp_path / "x").read_bytes()
    assert first in contents
    create_whole(tmp_path / "x", b"late")
    assert (tmp_path / "x").read_bytes() == first
    assert names(tmp_path) == ["x"]


def test_what_is_read_is_a_plain_file(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        existing(tmp_path)
    with pytest.raises(DataError, match="is no plain file"):
        existing(type(tmp_path)(os.devnull))


def test_an_index_that_parquet_keeps_is_columns_all_the_same(tmp_path):
    TABLE.set_index("Gene").to_parquet(tmp_path / "a.parquet")
    assert read_file(tmp_path / "a.parquet").columns.tolist() == ["Gene", "sgRNA", "T0"]
