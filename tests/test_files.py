"""Tables as spreadsheets and pipelines write them are read as they were meant, and what was met is told."""

import gzip

import pandas as pd
import pytest

from speclet_formula.errors import DataError
from speclet_formula.files import read_file

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
        f"'{tmp_path / name}' is of a kind that cannot be read.\nA table is text of separated columns (.csv, .tsv, "
        ".tab, .txt, .count, .counts, .foldchange, also .gz) or parquet (.parquet, .pq).\nOpen it in what wrote it, "
        "and save it as CSV."
    )
