#!/usr/bin/env bash
# pyarrow 26.0.1: a dataset of CSV files reads the lines that it was told to skip, and fails where these have fewer
# cells than the table.
#
# Expected: `ReadOptions(skip_rows=2)` skips two lines before the names of the columns, whatever they hold, for
# `dataset.CsvFileFormat` as for `csv.open_csv`: it is one option, documented once.
# Happens: with two lines of notes above the names, open_csv reads the table and the dataset raises ArrowInvalid: the
# lines to be skipped are taken for rows, and the row of names has more cells than they have. The dataset reads the
# table where the notes happen to have as many commas as the names, or where `column_names` is set.
# Matters: exports of instruments and screens have notes above the table. A reader that moves from one file to a dataset
# of several for want of memory cannot read files that it could read, and the error asks whether they are CSV at all.
#
# Seen:
#   notes without commas   open_csv {'x': [1, 3], 'y': [2, 4]}
#                          dataset  ArrowInvalid: ... CSV parse error: Row #3: Expected 1 columns, got 2: x,y
#   notes with a comma     open_csv {'x': [1, 3], 'y': [2, 4]}
#                          dataset  {'x': [1, 3], 'y': [2, 4]}
#   column_names set       both as in the line above
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
done
"$python" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet uv
"$dir/venv/bin/uv" pip install --quiet --python "$dir/venv/bin/python" pyarrow==26.0.1

cd "$dir"
"$dir/venv/bin/python" - <<'PY'
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, dataset

SKIP = csv.ReadOptions(skip_rows=2)
NAMED = csv.ReadOptions(skip_rows=3, column_names=["x", "y"])
TABLE = {"x": [1, 3], "y": [2, 4]}


def read(notes: str, options: csv.ReadOptions) -> tuple[object, object]:
    Path("table.csv").write_text(f"{notes}x,y\n1,2\n3,4\n")
    with csv.open_csv("table.csv", read_options=options) as reader:
        opened = reader.read_all().to_pydict()
    try:
        source = dataset.dataset("table.csv", format=dataset.CsvFileFormat(read_options=options))
        scanned: object = source.to_table().to_pydict()
    except pa.ArrowInvalid as error:
        scanned = f"ArrowInvalid: {error}"
    print(f"{notes!r}\n  open_csv {opened}\n  dataset  {scanned}")
    return opened, scanned


opened, scanned = read("Plate 7\nread on Monday\n", SKIP)
assert opened == TABLE
assert "Row #3: Expected 1 columns, got 2" in str(scanned)
assert read("Plate 7, day 2\nread on Monday, twice\n", SKIP) == (TABLE, TABLE)
assert read("Plate 7\nread on Monday\n", NAMED) == (TABLE, TABLE)
PY
