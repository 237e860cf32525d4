"""A fit as one file, a zip of JSON and plain arrays, which runs no code when it is read: `save` and `load`.

The model is built anew from its formula, data and priors, and must give the columns and levels that were saved; a file
that is damaged, foreign or newer is refused. What becomes of tables, draws and priors is left to `packing`.
"""

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from speclet_formula.common.files import replacing
from speclet_formula.design import LevelMatrix
from speclet_formula.design.merged import merged_columns
from speclet_formula.errors import DataError, SpecletError
from speclet_formula.formula.terms import columns_of, text_of
from speclet_formula.model import Model, replace_parts
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.diagnostics import Diagnostics
from speclet_formula.posterior.packing import (
    Json,
    Take,
    pack_array,
    pack_matrices,
    pack_point,
    pack_slot,
    pack_table,
    pack_tree,
    read_array,
    unpack_array,
    unpack_matrices,
    unpack_point,
    unpack_slot,
    unpack_table,
    unpack_tree,
)
from speclet_formula.posterior.validation import check_fit, check_point, check_settings, check_slots, of_class, require
from speclet_formula.priors import Slot

FORMAT = "speclet_formula fit"
FORMAT_VERSION = 1
_CONTENTS = "fit.json"
# Of labels and settings, which may be packed: arrays are not, and each level of a factor stands in them too.
LEAST_ALLOWED, ALLOWED_FOR_EACH_BYTE = 2**20, 8
MOST_QUOTED = 300  # characters of a stranger's text in a message
_ALLOWED = "A saved fit is a file that sf.save(fit, path) wrote."


def save(fit: Fit | PointFit, path: str | Path) -> Path:
    """Save a fit as one file.

    The file holds the formula, the columns of the data that the model uses, the priors, and the draws with their
    diagnostics, or the estimates of maximum likelihood. Functions of your own are not in it: hand them to `load`. The
    file appears when it is whole; one of the same name is replaced.

    Parameters
    ----------
    fit : Fit or PointFit
    path : str or pathlib.Path
        Any name; "screen.fit" is a good one.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    DataError
        The file cannot be written there, or a column holds what cannot be saved (lists, mixed types).

    Examples
    --------
    >>> import tempfile
    >>> from speclet_formula.posterior.save import load, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save(fit, f"{folder}/sleepstudy.fit")  # fit: Reaction ~ Days + (1 + Days | Subject)
    ...     load(path).idata.identical(fit.idata)
    True
    """
    target = Path(path)
    arrays: list[np.ndarray] = []
    contents = _pack(fit, arrays)
    try:
        with replacing(target) as stream:
            _write(stream, contents, arrays)
    except OSError as error:
        raise DataError(
            f"the fit cannot be saved as '{target}': {error.strerror or error}.",
            "It needs the name of a file in a folder that exists and can be written to.",
            "Make the folder, or choose another name.",
        ) from error
    return target


def load(path: str | Path, *, functions: Mapping[str, Callable[..., Any]] | None = None) -> Fit | PointFit:
    """Load a fit that `save` wrote.

    Parameters
    ----------
    path : str or pathlib.Path
    functions : mapping of str to callable, optional
        The functions of your own that the formula calls, which a file cannot hold.

    Returns
    -------
    Fit or PointFit
        With the same draws and priors, or estimates. `fit.model.data` has only the columns that the model uses.

    Raises
    ------
    DataError
        There is no such file; it is damaged, foreign, or of a newer version of the package; it needs functions that
        were not handed over; the model cannot be built from it, or has other levels. Nothing is unpacked that is
        larger than a fit in a file of that size can be.

    Examples
    --------
    See `save`.
    """
    source = Path(path)
    saved = _read(source)
    _check_functions(saved.functions, functions or {}, source)
    model = _rebuild(saved, functions, source)
    if not _is_same(_layout(model), saved.layout):
        raise DataError(
            f"the model built from '{source}' has other columns or levels than the one that was saved.",
            "Draws belong to the columns and levels of the model that made them.",
            "Hand over the same functions= as when it was fitted, with the same version of speclet_formula.",
        )
    _check(model, saved, source)
    # Handed over to the model, all priors count as the user's; the saved table knows where each came from.
    model = replace_parts(model, slots=saved.slots)
    if saved.point is not None:
        return PointFit(model, saved.method, seconds=saved.seconds, **saved.point)  # type: ignore[arg-type]
    return Fit(model, saved.idata, saved.method, saved.diagnostics, saved.seconds)


@dataclass(frozen=True, eq=False)
class _Saved:
    """What a file holds."""

    settings: dict[str, Any]  # of Model: formula, family, link, missing
    data: pd.DataFrame
    weights: Any
    slots: tuple[Slot, ...]
    functions: tuple[str, ...]
    matrices: dict[str, LevelMatrix]
    layout: Json
    method: str
    seconds: float
    idata: Any = None  # of a fit with draws
    diagnostics: Any = None
    point: dict[str, Any] | None = None  # of a fit by maximum likelihood


def _pack(fit: Fit | PointFit, arrays: list[np.ndarray]) -> Json:
    """Write all of a fit, arrays put aside."""
    model = fit.model
    named = [model.weights] if isinstance(model.weights, str) else []
    weights = model.weights
    if weights is not None and not named:
        weights = pack_array(np.asarray(weights), arrays, "weights")
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "package_version": _package_version(),
        "settings": {
            "formula": text_of(model.formula),
            "family": model.family.name,
            "link": model.family.link,
            "missing": "drop" if model.n_dropped else "error",
        },
        "data": pack_table(
            model.data, list(dict.fromkeys([*columns_of(model.formula), *named, *merged_columns(model.data)])), arrays
        ),
        "weights": weights,
        "slots": [pack_slot(slot) for slot in model.slots],
        "functions": sorted(model.functions),
        "matrices": pack_matrices(model.design.matrices, arrays),
        "layout": _layout(model),
        "method": fit.method,
        "seconds": fit.seconds,
        **(
            {"point": pack_point(fit, arrays)}
            if isinstance(fit, PointFit)
            else {"idata": pack_tree(fit.idata, arrays), "diagnostics": asdict(fit.diagnostics)}
        ),
    }


def _unpack(contents: Json, take: Take) -> _Saved:
    """Read all of a fit."""
    weights = contents["weights"]
    check_settings(contents["settings"], contents["functions"], weights)
    made: dict[str, Any]
    if "point" in contents:
        made = {"point": unpack_point(contents["point"], take)}
    else:
        diagnostics = Diagnostics(**of_class(Diagnostics, contents["diagnostics"]))
        made = {"idata": unpack_tree(contents["idata"], take), "diagnostics": diagnostics}
    return _Saved(
        settings={name: contents["settings"][name] for name in ("formula", "family", "link", "missing")},
        data=unpack_table(contents["data"], take),
        weights=unpack_array(weights, take) if isinstance(weights, dict) else weights,
        slots=tuple(unpack_slot(slot) for slot in contents["slots"]),
        functions=tuple(contents["functions"]),
        matrices=unpack_matrices(contents.get("matrices", {}), take),  # an older file has none
        layout=contents["layout"],
        method=contents["method"],
        seconds=contents["seconds"],
        **made,
    )


def _layout(model: Model) -> Json:
    """Return what the draws belong to: the labels of the fixed columns, and the levels of each block."""
    return {
        "columns": [label for predictor in model.design.predictors for label in predictor.columns],
        "levels": {f"{block.prefix}{block.label}": list(block.levels) for block in model.design.blocks},
    }


def _rebuild(saved: _Saved, functions: Mapping[str, Callable[..., Any]] | None, source: Path) -> Model:
    """Make the model anew, with every prior as it was."""
    priors = {slot.slot: slot.prior for slot in saved.slots}
    try:
        given = {"weights": saved.weights, "functions": functions, "matrices": saved.matrices}
        model = Model(data=saved.data, priors=priors, **given, **saved.settings)
    except SpecletError as error:
        raise DataError(
            f"the model of the fit in '{source}' cannot be built: {error.problem[:MOST_QUOTED]}",
            _ALLOWED,
            "Copy it again from where it came, or fit the model again.",
        ) from error
    except Exception as error:
        if functions:  # it may be one of theirs that failed
            raise
        raise _damaged(source, "its parts do not belong together") from error
    return model


def _is_same(mine: Json, saved: Any) -> bool:
    """Compare layouts; JSON can nest deeper than Python compares."""
    try:
        return bool(mine == saved)
    except RecursionError:
        return False


def _check(model: Model, saved: _Saved, source: Path) -> None:
    """Refuse whatever is not of the model: a later verb would fail at it, or be wrong."""
    try:
        check_slots(model, saved.slots)
        if saved.point is not None:
            check_point(model, saved.method, saved.seconds, saved.point)
        else:
            check_fit(model, saved.idata, saved.diagnostics, saved.method, saved.seconds)
    except Exception as error:  # values of any type can make a comparison raise almost anything
        raise _damaged(source, "its parts do not belong together") from error


def _check_functions(needed: tuple[str, ...], given: Mapping[str, Any], source: Path) -> None:
    """Refuse to build a formula whose functions are not there."""
    lacking = [name for name in needed if name not in given]
    if lacking:
        names = ", ".join(f"'{name}'" for name in lacking)
        example = ", ".join(f"'{name}': {name}" for name in needed)
        raise DataError(
            f"the fit in '{source}' calls functions that no file can hold: {names}.",
            "A saved fit holds data, never code.",
            f"Write sf.load('{source}', functions={{{example}}}).",
        )


@cache
def _package_version() -> str:
    """Return the installed version, for whoever meets the file later; looking it up takes longer than small files."""
    try:
        return version("speclet_formula")
    except PackageNotFoundError:
        return "unknown"


def _write(stream: BinaryIO, contents: Json, arrays: list[np.ndarray]) -> None:
    """Write JSON and arrays as members of a zip."""
    with zipfile.ZipFile(stream, "w") as archive:
        # Draws are noise to a compressor, JSON is not.
        archive.writestr(zipfile.ZipInfo(_CONTENTS), json.dumps(contents), compress_type=zipfile.ZIP_DEFLATED)
        for place, array in enumerate(arrays):
            with archive.open(zipfile.ZipInfo(_member(place)), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _member(place: int) -> str:
    """Name an array's member of the zip."""
    return f"arrays/{place:05d}.npy"


def _read(source: Path) -> _Saved:
    """Read a file, whatever it may be."""
    try:
        stream = source.open("rb")
    except (OSError, ValueError) as error:  # of a path with a null character
        raise DataError(
            f"the fit '{source}' cannot be opened: {getattr(error, 'strerror', None) or error}.",
            _ALLOWED,
            "Check the path.",
        ) from error
    with stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                size = os.fstat(stream.fileno()).st_size
                text = _text(archive, LEAST_ALLOWED + ALLOWED_FOR_EACH_BYTE * size)
                contents = None if text is None else json.loads(text)
                return _unpack(_checked_format(contents, source), Taking(archive))
        except DataError:
            raise
        except Exception as error:  # bytes that changed can make zipfile, json and numpy raise almost anything
            stream.seek(0)
            raise (_damaged(source) if stream.read(2) == b"PK" else _foreign(source)) from error


def _text(archive: zipfile.ZipFile, most: int) -> bytes | None:
    """Unpack the JSON, as far as a file of this size can have some; None where there is none."""
    if _CONTENTS not in archive.namelist():
        return None
    declared = archive.getinfo(_CONTENTS).file_size
    require(declared <= most, "more text than arrays")
    with archive.open(_CONTENTS) as member:
        text = member.read(declared + 1)
    require(len(text) == declared, "another length than declared")
    return text


class Taking:
    """Gives the arrays of a file by their places, each once and none larger than its part of the file."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._left = {info.filename: info for info in archive.infolist()}

    def __call__(self, place: int) -> np.ndarray:
        """Read one array; one of Python's objects is refused, for it could run code."""
        require(type(place) is int and place >= 0, "place")
        info = self._left.pop(_member(place))
        require(info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size, "packed array")
        with self._archive.open(info) as member:
            return read_array(member, info.file_size)


def _checked_format(contents: Any, source: Path) -> Json:
    """Return the contents, refusing what is not ours, or newer than this."""
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise _foreign(source)
    require(type(contents["format_version"]) is int and contents["format_version"] >= 1, "format_version")
    if contents["format_version"] > FORMAT_VERSION:
        raise DataError(
            f"'{source}' was saved by a newer version of speclet_formula "
            f"({str(contents['package_version'])[:MOST_QUOTED]}).",
            f"This version reads saved fits up to format {FORMAT_VERSION}; the file's is {contents['format_version']}.",
            "Update speclet_formula.",
        )
    return contents


def _foreign(source: Path) -> DataError:
    """Word the error of a file that is something else."""
    return DataError(f"'{source}' is not a saved fit.", _ALLOWED, "Check the path, or fit the model again.")


def _damaged(source: Path, how: str = "it cannot be read to its end") -> DataError:
    """Word the error of a file that is not whole."""
    return DataError(
        f"'{source}' is damaged: {how}.",
        _ALLOWED,
        "Copy it again from where it came, or fit the model again.",
    )
