"""Each cell of a text stands under its own name, and is what was written; lines of other lengths are told."""

import gzip

import pytest

import speclet_formula as sf
from speclet_formula.common.files import read_file
from speclet_formula.errors import DataError

NAMES = ["sgRNA", "Gene", "T0", "A"]
ROWS = [[f"G{i}_{k}", f"G{i}", 100 * i + k, 7 * i + k] for i in range(5) for k in range(4)]


def text_of(rows, separator="\t", names=NAMES):
    return "\n".join(separator.join(map(str, row)) for row in [names, *rows]) + "\n"


def written(folder, text, name="c.txt"):
    (folder / name).write_text(text)
    return folder / name


ALLOWED = "Each line has one cell for each name ('sgRNA', 'Gene', 'T0', 'A'); an empty cell has its separator too."
SHORT = (
    "Often a cell is left out with its separator, quotes stand around two cells, or a note below the table: mend these "
    "lines."
)
LONG = (
    "Often the first column has no name (R: write.table(..., row.names = FALSE)), each line ends in a separator, or "
    "numbers have decimal commas: mend it where the file was written."
)
UNEVEN = {
    "a cell is left out": (
        [*ROWS[:3], ROWS[3][:1] + ROWS[3][2:], *ROWS[4:]], "a line does not have 4 cells: line 5 (3)", SHORT,
    ),
    "the last row alone": ([*ROWS, ["total", 5]], "a line does not have 4 cells: line 22 (2)", SHORT),
    "quotes around two cells": (
        [[f'"{row[0]}\t{row[1]}"', *row[2:]] for row in ROWS],
        "20 lines do not have 4 cells: line 2 (3), line 3 (3), line 4 (3) and 17 more", SHORT,
    ),
    "a cell too many below": ([*ROWS[:6], [*ROWS[6], 1], *ROWS[7:]], "a line does not have 4 cells: line 8 (5)", LONG),
    "a cell too many everywhere": (
        [[*row, ""] for row in ROWS],
        "20 lines do not have 4 cells: line 2 (5), line 3 (5), line 4 (5) and 17 more", LONG,
    ),
    "names of rows": (
        [[i, *row] for i, row in enumerate(ROWS)],
        "20 lines do not have 4 cells: line 2 (5), line 3 (5), line 4 (5) and 17 more", LONG,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "said", "remedy"), UNEVEN.values(), ids=UNEVEN)
def test_lines_that_are_longer_or_shorter_than_the_header_are_named(tmp_path, rows, said, remedy):
    path = written(tmp_path, text_of(rows))
    with pytest.raises(DataError) as caught:
        read_file(path)
    assert str(caught.value) == f"'{path}' has 4 names in its header, and {said}.\n{ALLOWED}\n{remedy}"


def test_comments_and_blank_lines_count_as_lines_of_the_file(tmp_path):
    path = written(tmp_path, "# made by us\n" + text_of(ROWS[:2]) + "\n  \nG9\t3\n")
    with pytest.raises(DataError, match=r"line 7 \(2\)"):
        read_file(path)


def test_lines_separated_by_spaces_are_counted_too(tmp_path):
    path = written(tmp_path, text_of([ROWS[0], ROWS[1][1:]], "  "))
    with pytest.raises(DataError, match=r"line 3 \(3\)"):
        read_file(path)


def test_empty_cells_at_the_end_are_missing(tmp_path):
    frame = read_file(written(tmp_path, text_of([[*row[:3], ""] for row in ROWS[:2]])))
    assert frame["A"].isna().all()
    assert frame["T0"].tolist() == [0, 1]


@pytest.mark.parametrize("name", ["d.csv", "d.csv.gz"])
def test_one_comma_more_than_the_header_is_refused_by_every_reader(tmp_path, name):
    text = "y,x\n" + "".join(f"{3 * i},{i},\n" for i in range(9))
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    with pytest.raises(DataError, match=r"2 names in its header, and 9 lines do not have 2 cells: line 2 \(3\)"):
        read_file(path)
    if name == "d.csv":
        with pytest.raises(DataError, match="cannot be read"):
            sf.Model("y ~ x", sf.scan(path))


def test_names_with_leading_zeros_stay_text(tmp_path):
    rows = [["00000", 1, "0.5", "01.50", "7"], ["00001", 20, "00", "02.25", "8"], ["", 3, "1", "3", "9"]]
    frame = read_file(written(tmp_path, text_of(rows, ",", ["guide", "n", "x", "z", "k"]), "d.csv"))
    assert frame["guide"].tolist()[:2] == ["00000", "00001"]
    assert frame["guide"].isna().tolist() == [False, False, True]
    assert frame["n"].tolist() == [1, 20, 3]
    assert frame["x"].tolist() == [0.5, 0.0, 1.0]
    assert frame["z"].tolist() == [1.5, 2.25, 3.0]


@pytest.mark.parametrize("quote", ["", '"'])
def test_names_with_leading_zeros_are_found_in_the_last_line_of_a_packed_file(tmp_path, quote):
    text = "y;g\n" + "".join(f"{i};{quote}{i % 7 + 10}{quote}\n" for i in range(500)) + f"1;{quote}07{quote}\n"
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(text.encode()))
    frame = read_file(tmp_path / "d.csv.gz")
    assert frame["g"].iloc[[0, -1]].tolist() == ["10", "07"]
    assert frame["y"].iloc[-2:].tolist() == [499, 1]


@pytest.mark.parametrize("first", [2**53 + 1, 2**64 - 1, 2**70 + 1])
def test_long_whole_numbers_beside_a_missing_one_keep_their_last_digits(tmp_path, first):
    path = written(tmp_path, f"y,id\n1,{first}\n2,{first - 1}\n3,\n", "d.csv")
    frame = read_file(path)
    assert [int(value) for value in frame["id"][:2]] == [first, first - 1]
    assert frame["id"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize("content", [b"a,b\n1,\x002\n", "a\tb\n1\t2\n".encode("utf-16-be")])
def test_what_is_no_text_is_told_before_it_is_read(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_file(tmp_path / "a.txt")
    assert str(caught.value) == (
        f"'{tmp_path / 'a.txt'}' holds characters that are no text (NUL).\n"
        "A text file is UTF-8, or UTF-16 with its mark of byte order.\nOpen it in what wrote it, and save it as UTF-8."
    )


def test_quotes_may_hold_separators_in_the_lines_that_tell_them(tmp_path):
    frame = read_file(written(tmp_path, 'a b\n"x y" 2\nz 3\n', "a.dat"))
    assert frame["a"].tolist() == ["x y", "z"]
    frame = read_file(written(tmp_path, '"a, b";c\n"1; 2";3\n', "a.txt"))
    assert frame.columns.tolist() == ["a, b", "c"]
    assert frame["a, b"].tolist() == ["1; 2"]


def test_the_table_that_r_writes_by_default_is_refused_with_what_to_write(tmp_path):
    path = written(tmp_path, '"y" "x"\n"1" 1 2\n"2" 3 4\n', "d.txt")
    with pytest.raises(DataError, match=r"2 names in its header, and 2 lines do not have 2 cells: line 2 \(3\)"):
        read_file(path)
