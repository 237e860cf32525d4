"""What a screen comes in, as one frame of guides and samples: a file of any kind, a file for each sample, AnnData.

Text and parquet are read by `columns`. Here are Chronos' HDF5, AnnData with its own maps of guides and samples, tables
of MAGeCK's kind without a line of names, and folders in which each sample has a file.
"""

import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.files import existing, read_file, unreadable
from speclet_formula.errors import DataError, listed
from speclet_formula.screens.columns import (
    GENES,
    GUIDES,
    LINES,
    REFERENCES,
    Notes,
    find_column,
    is_numeric,
    labels_of,
    plain_name,
    read_frame,
    text_of_labels,
)

HDF5 = (".hdf5", ".h5")
H5AD = ".h5ad"
SUMMARY = {"control_mean", "treat_mean", "lfc"}  # columns of MAGeCK's .sgrna_summary.txt
_FEATURE_COUNTS = {"geneid", "chr", "start", "end", "strand", "length"}
_IDXSTATS = 4  # columns of samtools idxstats: name, length, mapped, unmapped
_PAIR, _TRIPLE = 2, 3  # guide and reads; guide, gene and reads
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Opened:
    """A screen's numbers, and the maps that came with them."""

    frame: pd.DataFrame
    guides: pd.DataFrame | None = None
    samples: pd.DataFrame | None = None


def open_counts(given: Any, known: Collection[str], notes: Notes, *, are_reads: bool) -> Opened:
    """Return the numbers of a screen as a frame, whatever they came in.

    Parameters
    ----------
    given : table, AnnData, path, list of paths or mapping of sample to path
        A folder stands for the files in it.
    known : collection of str
        The samples of the sample map; none where it comes along.
    notes : Notes
    are_reads : bool
        Whether reads are wanted, or log fold changes.

    Raises
    ------
    DataError
        A file cannot be read, or holds something else.
    """
    if _is_annotated(given):
        return _annotated(given, notes, are_reads=are_reads)
    if _are_paths(given):
        return Opened(_one_file_each(_named_files(given), notes, are_reads=are_reads))
    if isinstance(given, str | Path):
        return _opened(Path(given), known, notes, are_reads=are_reads)
    return Opened(read_frame(given, "counts", notes))


def _opened(path: Path, known: Collection[str], notes: Notes, *, are_reads: bool) -> Opened:
    """Return what one path leads to."""
    name = path.name.lower()
    if path.is_dir():
        return Opened(_one_file_each(_named_files(_inside(path)), notes, are_reads=are_reads))
    if name.endswith(H5AD):
        return _annotated(_read_h5ad(path), notes, are_reads=are_reads)
    if name.endswith(HDF5):
        return Opened(_read_hdf5(path))
    frame = _told(read_file(path), "The file of counts: {}", notes)
    return Opened(read_frame(_with_names(frame, known, notes), "counts", notes))


def is_annotated(given: Any) -> bool:
    """Tell whether a screen brings its own maps of guides and samples."""
    return _is_annotated(given) or (isinstance(given, str | Path) and str(given).lower().endswith(H5AD))


def _told(frame: pd.DataFrame, sentence: str, notes: Notes) -> pd.DataFrame:
    """Note what reading a file found about it."""
    for said in frame.attrs.pop("read", ()):
        notes.say("file", "files", 1, sentence.format(said), "Read so.")
    return frame


# --- tables without a line of names -----------------------------------------------------------------------------------


def _with_names(frame: pd.DataFrame, known: Collection[str], notes: Notes) -> pd.DataFrame:
    """Name the columns of a count table of MAGeCK's whose first line is a guide: samples by place, as MAGeCK does."""
    names = [str(name) for name in frame.columns]
    numbers = names[_PAIR:]
    if not numbers or not all(map(_is_number, numbers)) or set(numbers) <= set(known):
        return frame
    if plain_name(names[0]) in GUIDES or plain_name(names[1]) in GENES or _is_number(names[0]) or _is_number(names[1]):
        return frame
    places = [str(place) for place in range(len(numbers))]
    notes.say("no_header", "files", 1, "The counts have no line of column names.",
              f"Read as sgRNA, gene and the samples {listed(places, _SHOWN)}, as MAGeCK counts them.")  # fmt: skip
    if not set(places) <= set(known):
        raise DataError(
            "the counts have no line of column names, and the sample map does not name their "
            f"{len(places)} samples by place.",
            "Without names samples are numbered from 0 in the order of their columns, as MAGeCK's -t and -c do.",
            "Write 0, 1, ... into the sample map's column 'sample', or put a line of names above the counts.",
        )
    return _headed(frame, ["sgRNA", "gene", *places])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _headed(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return a frame whose names are its first row under other names."""
    first = pd.DataFrame([[_number_or_text(str(cell)) for cell in frame.columns]], columns=pd.Index(names))
    return pd.concat([first, frame.set_axis(pd.Index(names), axis=1)], ignore_index=True)


def _number_or_text(cell: str) -> float | str:
    return float(cell) if _is_number(cell) else cell


# --- one file for each sample -----------------------------------------------------------------------------------------


def _are_paths(given: Any) -> bool:
    values = list(given.values()) if isinstance(given, Mapping) else given
    return isinstance(values, list | tuple) and bool(values) and all(isinstance(one, str | Path) for one in values)


def _inside(folder: Path) -> list[Path]:
    found = sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    if not found:
        raise DataError(
            f"the folder '{folder}' has no files.",
            "A folder of counts has a file for each sample, named as the sample.",
            "Check the path.",
        )
    return found


def _named_files(given: Any) -> dict[str, Path]:
    """Return the files by the names of their samples: the keys, or the files' names up to the first dot."""
    if isinstance(given, Mapping):
        return {str(name): Path(path) for name, path in given.items()}
    paths = [Path(path) for path in given]
    names = [path.name.split(".")[0] for path in paths]
    if twice := _repeated(names):
        raise DataError(
            f"several files are named {listed(map(repr, twice), _SHOWN)}.",
            "Each sample has a file, named as the sample up to the first dot.",
            'Name the samples: counts={"T0": "t0.txt", ...}.',
        )
    return dict(zip(names, paths, strict=True))


def _repeated(names: Sequence[str]) -> list[str]:
    """Return the names that stand there more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _one_file_each(files: Mapping[str, Path], notes: Notes, *, are_reads: bool) -> pd.DataFrame:
    """Put the files of single samples side by side."""
    tables = {sample: _one_sample(path, sample, notes, are_reads=are_reads) for sample, path in files.items()}
    values = pd.concat({sample: table["value"] for sample, table in tables.items()}, axis=1)
    notes.say("one_file_each", "files", len(files), f"The counts are {len(files):,} files, one for each sample.",
              "Put side by side by the names of their guides.")  # fmt: skip
    absent = pd.DataFrame({sample: ~values.index.isin(table.index) for sample, table in tables.items()}, values.index)
    lacking = values.index[absent.any(axis=1)]
    writes_zeros = any(pd.to_numeric(table["value"], errors="coerce").eq(0).any() for table in tables.values())
    if are_reads and not writes_zeros and len(lacking):
        notes.add("guides_not_in_every_file", "guides", lacking, "{n} guides are not in every file, and no file has a "
                  "guide with 0 reads.", "Taken for 0 reads: such files list the guides that were seen.")  # fmt: skip
        values = values.mask(absent, 0)
    else:
        notes.add("guides_not_in_every_file", "guides", lacking, "{n} guides are not in every file.",
                  "Missing where they are not.")  # fmt: skip
    frame = values.rename_axis("sgRNA").reset_index()
    if all("gene" in table for table in tables.values()):
        frame.insert(1, "gene", _agreed_genes(tables, values.index))
    return frame


def _agreed_genes(tables: Mapping[str, pd.DataFrame], guides: pd.Index) -> np.ndarray:
    """Return each guide's gene, which all files name alike."""
    pairs = pd.concat([table["gene"] for table in tables.values()]).rename_axis("sgRNA").reset_index()
    pairs = pairs.dropna().drop_duplicates()
    twice = pairs.loc[pairs["sgRNA"].duplicated(), "sgRNA"].unique()
    if len(twice):
        raise DataError(
            f"{len(twice):,} guides have another gene in one file than in another: {listed(map(repr, twice), _SHOWN)}.",
            "All samples are of one library.",
            "Mend the files, or hand the library over as guides= and leave their column of genes out.",
        )
    return np.asarray(pairs.set_index("sgRNA")["gene"].reindex(guides))


def _one_sample(path: Path, sample: str, notes: Notes, *, are_reads: bool) -> pd.DataFrame:
    """Return the value, and perhaps the gene, of each guide in a sample's file."""
    frame = _told(read_file(path), f"The file of {sample}: {{}}", notes)
    names = [str(name) for name in frame.columns]
    if any(map(_is_number, names)):
        frame = _headed(frame, [f"column {place}" for place in range(len(names))])
    guide, gene, value = _three_columns(frame, path, are_reads=are_reads)
    labels = text_of_labels(frame[guide])
    notes_of_counter = labels.str.startswith("__") | labels.eq("*")  # of HTSeq, of samtools
    notes.add("counter_rows", "rows", [f"{label} of {sample}" for label in labels[notes_of_counter]],
              "{n} rows are a counting program's own, of reads that hit no guide.", "Left out.")  # fmt: skip
    kept = frame[~notes_of_counter]
    table = pd.DataFrame({"value": kept[value].to_numpy()}, index=pd.Index(labels[~notes_of_counter], name="sgRNA"))
    twice = table.index[table.index.duplicated()].unique()
    if len(twice):
        raise DataError(
            f"'{path}' has several rows of {listed(map(repr, twice), _SHOWN)}.",
            "Each guide has one row in a sample's file.",
            "Add its reads up, or give each copy a name of its own.",
        )
    return table if gene is None else table.assign(gene=labels_of(kept[gene]).to_numpy())


def _three_columns(frame: pd.DataFrame, path: Path, *, are_reads: bool) -> tuple[str, str | None, str]:
    """Return the columns of guides, genes and numbers in a sample's file."""
    names = [str(name) for name in frame.columns]
    plain = [plain_name(name) for name in names]
    text = [name for name in names if not is_numeric(frame[name])]
    numbers = [name for name in names if is_numeric(frame[name])]
    if set(plain) >= _FEATURE_COUNTS and len(names) == len(_FEATURE_COUNTS) + 1:
        return names[plain.index("geneid")], None, names[-1]
    if set(plain) >= SUMMARY and not are_reads:
        gene = find_column(frame, GENES)
        return names[0], gene, names[plain.index("lfc")]
    if len(names) == _IDXSTATS and names[0].startswith("column ") and len(numbers) == _IDXSTATS - 1:
        return names[0], None, names[2]
    guide = find_column(frame, GUIDES) or (text[0] if text else None)
    gene = next((name for name in (find_column(frame, GENES), *text) if name not in (None, guide)), None)
    if guide is not None and len(numbers) == 1 and len(names) == (_PAIR if gene is None else _TRIPLE):
        return guide, gene, numbers[0]
    raise DataError(
        f"'{path}' is no file of one sample: its columns are {listed(map(repr, names), 8)}.",
        "Such a file has a guide and its reads in each line, perhaps the gene between them; featureCounts', HTSeq's "
        "and samtools idxstats' are understood, of log fold changes MAGeCK's .sgrna_summary.txt.",
        "Leave the other columns out, or hand a table of all samples over as one file.",
    )


# --- HDF5 -------------------------------------------------------------------------------------------------------------


def need(package: str, what: str) -> Any:
    """Return a package that is only wanted by some, or say how it is had."""
    if find_spec(package) is None:
        raise DataError(
            f"{what} needs the package {package}, which is not installed.",
            "Text, parquet and tables in memory need nothing more.",
            "Install it (pip install 'speclet_formula[anndata]'), or save the table as parquet.",
        )
    return import_module(package)


def _read_hdf5(path: Path) -> pd.DataFrame:
    """Read a matrix as Chronos saves it: `dim_0` names its rows, `dim_1` its columns, `data` holds it."""
    h5py = need("h5py", f"'{path}', an HDF5 file,")
    try:
        with h5py.File(existing(path), "r") as file:
            held = sorted(file)
            if not {"dim_0", "dim_1", "data"} <= set(held):
                raise DataError(
                    f"'{path}' is no matrix of Chronos': it holds {listed(map(repr, held), _SHOWN) or 'nothing'}.",
                    "Chronos' HDF5 files hold 'dim_0' (names of rows), 'dim_1' (of columns) and 'data'.",
                    "Save the table as parquet or CSV; AnnData's files end in .h5ad.",
                )
            rows, columns = (file[name].asstr()[:] for name in ("dim_0", "dim_1"))
            data = file["data"][:]
    except OSError as error:
        raise unreadable(path, error) from error
    if data.shape != (len(rows), len(columns)):
        raise DataError(
            f"'{path}' holds {data.shape} numbers for {len(rows)} rows and {len(columns)} columns.",
            "Each row and each column has a name.",
            "Save it again with what wrote it.",
        )
    frame = pd.DataFrame(data, columns=pd.Index(columns, dtype=object))
    frame.insert(0, "row", rows.astype(object), allow_duplicates=True)
    return frame


# --- AnnData ----------------------------------------------------------------------------------------------------------


def _is_annotated(given: Any) -> bool:
    return all(hasattr(given, name) for name in ("X", "obs", "var", "obs_names", "var_names", "layers"))


def _read_h5ad(path: Path) -> Any:
    anndata = need("anndata", f"'{path}', an AnnData file,")
    try:
        with warnings.catch_warnings():  # of pandas, about how anndata calls it
            warnings.simplefilter("ignore", DeprecationWarning)
            return anndata.read_h5ad(existing(path))
    except (OSError, KeyError, ValueError, anndata.AnnDataReadError) as error:  # pragma: no cover - as it words them
        raise unreadable(path, error) from error


def _annotated(given: Any, notes: Notes, *, are_reads: bool) -> Opened:
    """Take numbers and both maps out of AnnData, whichever way it lies."""
    layer = "counts" if are_reads else "log_fc"
    inside = layer in given.layers
    values = given.layers[layer] if inside else given.X
    if values is None:
        raise DataError(
            f"the AnnData has no X and no layer '{layer}'.",
            f"{'Reads are' if are_reads else 'Log fold changes are'} its X, or its layer '{layer}'.",
            "Put them there.",
        )
    values = np.asarray(values.toarray() if hasattr(values, "toarray") else values, dtype=float)
    obs, var = given.obs, given.var
    in_obs = _are_guides(obs, var)
    guides, samples = (obs, var) if in_obs else (var, obs)
    values = values if in_obs else values.T
    notes.say("anndata", "files", 1, f"The AnnData has {len(guides):,} guides as {'obs' if in_obs else 'var'} and "
              f"{len(samples):,} samples as {'var' if in_obs else 'obs'}.",
              f"Its {f"layer '{layer}'" if inside else 'X'} was read.")  # fmt: skip
    names = [str(name) for name in samples.index]
    frame = pd.DataFrame(values, columns=pd.Index(names, dtype=object))
    if repeated := _repeated(names):
        raise DataError(
            f"the AnnData has several samples named {listed(map(repr, repeated), _SHOWN)}.",
            "Each sample has a name of its own.",
            "Rename them.",
        )
    frame.insert(0, "sgRNA", guides.index.astype(str))
    own = _with_index(guides, "sgRNA")
    return Opened(frame, own if find_column(own, GENES) else None, _with_index(samples, "sample"))


def _are_guides(obs: pd.DataFrame, var: pd.DataFrame) -> bool:
    """Tell whether the rows of AnnData are guides: they have genes, or its columns have cell lines."""
    genes = [find_column(frame, GENES) is not None for frame in (obs, var)]
    if genes[0] != genes[1]:
        return genes[0]
    lines = [find_column(frame, (*LINES, *REFERENCES)) is not None for frame in (obs, var)]
    return lines[1] and not lines[0]


def _with_index(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return one map of AnnData with its index as a column; another column of that name steps aside."""
    others = [column for column in frame if plain_name(column) == plain_name(name)]
    plain = frame.rename(columns=dict.fromkeys(others, f"{name}_label")).reset_index(drop=True)
    plain.insert(0, name, frame.index.astype(str))
    return plain
