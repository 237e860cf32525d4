"""A fit comes back as it went; a file that is something else is refused."""

import doctest
import io
import json
import tracemalloc
import zipfile
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from speclet_formula.errors import DataError
from speclet_formula.model import Model
from speclet_formula.posterior import save as archive
from speclet_formula.posterior.diagnostics import diagnose
from speclet_formula.posterior.effects import coef
from speclet_formula.posterior.save import load, save
from speclet_formula.priors import Prior
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data, sleepstudy_data


def twice(x):
    return 2 * np.asarray(x)


def changed_fit():
    priors = {
        "Days": Prior("StudentT", nu=3, mu=0, sigma=2.5),
        "1|Subject": Prior("Normal", mu=Prior("Normal", mu=-1, sigma=1), sigma=Prior("Exponential", lam=1)),
        "sigma": Prior("HalfNormal", sigma=0.1 + 0.2),
    }
    data = sleepstudy_data().assign(w=np.linspace(1, 2, 180))
    return fake_fit(Model("Reaction ~ Days + (1 | Subject)", data, priors=priors, weights="w"))


def weighted_fit():
    data = screen_data()
    data.loc[3, "log_fc"] = np.nan
    return fake_fit(Model("log_fc ~ control + (1 | gene)", data, weights=np.linspace(1, 2, 48), missing="drop"))


def pooled_fit():
    prior = Prior("Normal", mu=np.array([0.0, 0.5, 1.0, 0.1, 0.2, 0.3]), sigma=5)
    return fake_fit(Model("log_fc ~ 0 + gene", screen_data(), priors={"gene": prior}))


def counts_fit():
    data = screen_data().assign(n=np.arange(48) % 5, exposed=True)
    return fake_fit(Model("n ~ exposed:control + (1 | gene/cell_line)", data, family="poisson", link="log"))


@pytest.mark.parametrize("make", [correlated_fit, crossed_fit, changed_fit, weighted_fit, pooled_fit, counts_fit])
def test_a_fit_comes_back(make, tmp_path):
    fit = make()
    path = save(fit, tmp_path / "screen.fit")
    again = load(path)
    assert again.idata.identical(fit.idata)
    assert repr(again) == repr(fit)
    assert (again.method, again.seconds, again.diagnostics) == (fit.method, fit.seconds, fit.diagnostics)
    assert again.model.slots == fit.model.slots
    assert (again.model.formula, again.model.family) == (fit.model.formula, fit.model.family)
    used = list(again.model.data)
    pd.testing.assert_frame_equal(again.model.data, fit.model.data[used])
    np.testing.assert_array_equal(again.model.design.mean.X, fit.model.design.mean.X)
    assert again.model.n_dropped == fit.model.n_dropped
    weights = fit.model.design.weights
    assert weights is None or np.array_equal(again.model.design.weights, weights)
    pd.testing.assert_frame_equal(coef(again), coef(fit))


def test_it_comes_back_a_second_time(tmp_path):
    first = load(save(changed_fit(), tmp_path / "a.fit"))
    second = load(save(first, tmp_path / "b.fit"))
    assert (tmp_path / "a.fit").read_bytes() == (tmp_path / "b.fit").read_bytes()
    assert second.idata.identical(first.idata)


def test_draws_of_any_kind_come_back(tmp_path):
    fit = crossed_fit()
    idata = fit.idata.copy(deep=True)
    idata["posterior"].attrs.update(tuning_steps=np.int64(5), sampling_time=np.float64(0.25), nested={"a": [1, None]})
    idata["posterior"]["sigma"].attrs["unit"] = "log2"
    extra = xr.Dataset(
        {
            "count": ("when", np.array([1, 2], dtype=np.int8)),
            "text": ("when", np.array(["a", "bb"], dtype=object)),
            "message": (("when", "twice"), np.array([[None, "energy error"], [None, None]], dtype=object)),
        },
        {"when": np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[ns]"), "scalar": 3},
    )
    idata["constant_data"] = xr.DataTree(extra)
    again = load(save(replace(fit, idata=idata), tmp_path / "x.fit"))
    assert again.idata.identical(idata)
    assert again.idata["constant_data"]["text"].dtype == object
    assert again.idata["constant_data"]["count"].dtype == np.int8


@pytest.mark.parametrize("installed", ["1.2.3", None])
def test_the_file_says_which_version_wrote_it(installed, tmp_path, monkeypatch):
    def version(name):
        if installed is None:
            raise PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(archive, "version", version)
    monkeypatch.setattr(archive, "_package_version", archive._package_version.__wrapped__)  # looked up anew
    with zipfile.ZipFile(save(crossed_fit(), tmp_path / "x.fit")) as stored:
        assert json.loads(stored.read("fit.json"))["package_version"] == (installed or "unknown")


def test_columns_that_the_model_does_not_use_stay_behind(tmp_path):
    data = sleepstudy_data().assign(secret="x")
    fit = fake_fit(Model("Reaction ~ Days + (1 | Subject)", data))
    assert sorted(load(save(fit, tmp_path / "x.fit")).model.data) == ["Days", "Reaction", "Subject"]


@pytest.mark.parametrize(
    "group",
    [
        pd.Series(["b", "a", "c", "a"] * 12, dtype="str"),
        pd.Series(["b", "a", "c", "a"] * 12, dtype="object"),
        pd.Series(["b", "a", "c", "a"] * 12, dtype="string"),
        pd.Series([2, 1, 3, 1] * 12, dtype="Int64"),
        pd.Series([2, 1, 3, 1] * 12, dtype="uint8"),
        pd.Series(pd.Categorical(["b", "a", "c", "a"] * 12, categories=["c", "b", "a", "unseen"], ordered=True)),
        pd.Series(pd.Categorical([2, 1, 3, 1] * 12, categories=[3, 2, 1])),
    ],
    ids=lambda group: str(group.dtype)[:12],
)
def test_levels_keep_their_type_and_order(group, tmp_path):
    fit = fake_fit(Model("log_fc ~ (1 | g)", screen_data().assign(g=group)))
    again = load(save(fit, tmp_path / "x.fit"))
    assert again.model.design.mean.groups[0].levels == fit.model.design.mean.groups[0].levels
    pd.testing.assert_series_equal(again.model.data["g"], fit.model.data["g"])


def test_missing_text_stays_missing(tmp_path):
    data = screen_data()
    data.loc[[1, 5], "cell_line"] = None
    fit = fake_fit(Model("log_fc ~ (1 | cell_line)", data, missing="drop"))
    again = load(save(fit, tmp_path / "x.fit"))
    assert again.model.data["cell_line"].isna().to_numpy().nonzero()[0].tolist() == [1, 5]


def test_functions_are_asked_for(tmp_path):
    data = sleepstudy_data()
    fit = fake_fit(Model("Reaction ~ twice(Days) + (1 | Subject)", data, functions={"twice": twice}))
    path = save(fit, tmp_path / "x.fit")
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(caught.value) == (
        f"the fit in '{path}' calls functions that no file can hold: 'twice'.\n"
        "A saved fit holds data, never code.\n"
        f"Write sf.load('{path}', functions={{'twice': twice}})."
    )
    assert load(path, functions={"twice": twice}).idata.identical(fit.idata)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = save(crossed_fit(), tmp_path / "x.fit")
    before = path.read_bytes()

    def fail(*_args, **_settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    with pytest.raises(DataError) as caught:
        save(correlated_fit(), path)
    assert str(caught.value) == (
        f"the fit cannot be saved as '{path}': No space left on device.\n"
        "It needs the name of a file in a folder that exists and can be written to.\n"
        "Make the folder, or choose another name."
    )
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(DataError, match="No such file or directory"):
        save(crossed_fit(), tmp_path / "nowhere" / "x.fit")


def test_a_column_of_mixed_types_is_refused(tmp_path):
    fit = crossed_fit()
    idata = fit.idata.copy()
    idata["more"] = xr.DataTree(xr.Dataset({"mixed": ("row", np.array([1, "a"], dtype=object))}))
    with pytest.raises(DataError) as caught:
        save(replace(fit, idata=idata), tmp_path / "x.fit")
    assert str(caught.value) == (
        "'mixed' holds values of the types int, str.\n"
        "A saved fit holds numbers, booleans, dates and text, of one type in a column.\n"
        "Convert 'mixed' to one of these before fitting."
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return save(crossed_fit(), tmp_path_factory.mktemp("fits") / "whole.fit").read_bytes()


def rewritten(whole, change=lambda contents: None, drop=(), swap=None):
    """The same zip with changed contents, without some members, or with others' bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "fit.json":
                contents = json.loads(data)
                change(contents)
                data = json.dumps(contents).encode()
            if name not in drop:
                new.writestr(name, (swap or {}).get(name, data))
    return stream.getvalue()


def object_array():
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return stream.getvalue()


def flipped(whole):
    """One bit of a draw has changed."""
    place = len(whole) // 2
    return whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]


def other_zip():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as new:
        new.writestr("other.txt", "x")
    return stream.getvalue()


ALLOWED = "A saved fit is a file that sf.save(fit, path) wrote."
FOREIGN = f"'{{path}}' is not a saved fit.\n{ALLOWED}\nCheck the path, or fit the model again."
DAMAGED = (
    f"'{{path}}' is damaged: it cannot be read to its end.\n{ALLOWED}\n"
    "Copy it again from where it came, or fit the model again."
)
PARTS = DAMAGED.replace("it cannot be read to its end", "its parts do not belong together")
NEWER = (
    "'{path}' was saved by a newer version of speclet_formula (9.0).\n"
    "This version reads saved fits up to format 1; the file's is 2.\nUpdate speclet_formula."
)
OTHER = (
    "the model built from '{path}' has other columns or levels than the one that was saved.\n"
    "Draws belong to the columns and levels of the model that made them.\n"
    "Hand over the same functions= as when it was fitted, with the same version of speclet_formula."
)
UNBUILT = (
    "the model of the fit in '{path}' cannot be built: no column 'missing' in the data.\n"
    f"{ALLOWED}\nCopy it again from where it came, or fit the model again."
)


def array_of(dtype, shape):
    """An array's header without its content."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def packed_large(whole, name, content):
    """The file with much of one byte, which is packed to a thousandth, in the place of a member."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(stream, "w") as new:
        for member in old.namelist():
            data, kind = (content, zipfile.ZIP_DEFLATED) if member == name else (old.read(member), zipfile.ZIP_STORED)
            new.writestr(zipfile.ZipInfo(member), data, compress_type=kind)
    return stream.getvalue()


def with_another_size(whole, declared):
    """The file with another declared size of its JSON, in both of the zip's tables."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        size = archive.getinfo("fit.json").file_size.to_bytes(4, "little")
    return whole.replace(size, declared.to_bytes(4, "little"))


SPACES = b" " * 50_000_000
LARGE = {
    "packed text": lambda whole: packed_large(whole, "fit.json", SPACES),
    "a packed array": lambda whole: packed_large(whole, "arrays/00003.npy", array_of("<f8", (6_250_000,)) + SPACES),
    "a packed array of empty text": lambda whole: packed_large(whole, "arrays/00003.npy", array_of("<U0", (10**9,))),
    "an array's header": lambda whole: rewritten(whole, swap={"arrays/00003.npy": array_of("<f8", (10**12,))}),
    "empty text": lambda whole: rewritten(whole, swap={"arrays/00003.npy": array_of("<U0", (10**9,))}),
    "a length beside a length of 0": lambda w: rewritten(w, swap={"arrays/00003.npy": array_of("<f8", (10**12, 0))}),
    "one array many times": lambda whole: rewritten(whole, repeat_an_array),
    "text that is longer than it says": lambda whole: with_another_size(packed_large(whole, "fit.json", SPACES), 10),
    "text that is shorter than it says": lambda whole: with_another_size(whole, 2**20),
}


def repeat_an_array(contents):
    posterior = next(group for group in contents["idata"] if group["path"] == "/posterior")
    posterior["variables"] |= {f"x{k}": posterior["variables"]["sigma"] for k in range(1000)}


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
@pytest.mark.mostly_slow(every=2)
def test_nothing_large_is_unpacked(make, whole, tmp_path):
    path = tmp_path / "given.fit"
    path.write_bytes(make(whole))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="is damaged"):
            load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000, "the whole would be 50 MB or more; the small file itself is read"


def change_variable(name, **values):
    def change(contents):
        posterior = next(group for group in contents["idata"] if group["path"] == "/posterior")
        posterior["variables"][name] |= values

    return change


def drop_variable(contents):
    del next(group for group in contents["idata"] if group["path"] == "/posterior")["variables"]["1|gene_sigma"]


def saved_array(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def place_of(whole, name):
    """Return the member that holds a variable of the posterior, or one of its coordinates."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        contents = json.loads(archive.read("fit.json"))
    posterior = next(group for group in contents["idata"] if group["path"] == "/posterior")
    return f"arrays/{(posterior['variables'] | posterior['coordinates'])[name]['values']['place']:05d}.npy"


NOT_OF_THE_MODEL = {
    "a variable is not there": drop_variable,
    "a variable of nothing": lambda contents: change_variable("1|gene_sigma")(contents)
    or rename(contents, "1|gene_sigma", "1|genes_sigma"),
    "a dimension of another factor": change_variable("1|gene", dimensions=["chain", "draw", "cell_line__factor_dim"]),
    "chains for draws": change_variable("sigma", dimensions=["draw", "chain"]),
    "a prior of another kind of slot": lambda contents: contents["slots"][0].update(kind="b"),
    "a prior is not there": lambda contents: contents["slots"].pop(),
    "another number of chains": lambda contents: contents["diagnostics"].update(chains=3),
    "another verdict": lambda contents: contents["diagnostics"].update(verdict="splendid"),
    "an engine that is none": lambda contents: contents.update(method="magic"),
    "a length that is no number": lambda contents: contents.update(seconds="long"),
    "functions that are no names": lambda contents: contents.update(functions=[1]),
    "a number of thousands of digits": lambda contents: contents.update(seconds=10**400),
    "a note that a refit would read": lambda contents: contents["idata"][0]["attributes"].update(tune="x") or next(
        group for group in contents["idata"] if group["path"] == "/sample_stats")["attributes"].update(tune="x"),
    "a formula of another type": lambda contents: contents["settings"].update(formula=3),
    "a name without an end": lambda contents: contents["data"][0].update(name="x" * 20_000),
}  # fmt: skip


def rename(contents, old, new):
    variables = next(group for group in contents["idata"] if group["path"] == "/posterior")["variables"]
    variables[new] = variables.pop(old)


@pytest.mark.parametrize("change", NOT_OF_THE_MODEL.values(), ids=NOT_OF_THE_MODEL)
def test_what_is_not_of_the_model_is_damage(change, whole, tmp_path):
    path = tmp_path / "given.fit"
    path.write_bytes(rewritten(whole, change))
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(caught.value) in (DAMAGED.format(path=path), PARTS.format(path=path))


OTHER_ARRAYS = {
    "draws of one chain less": ("sigma", lambda array: array[:-1]),
    "draws as whole numbers": ("sigma", lambda array: array.astype(np.int64)),
    "a draw that is no number": ("Intercept", lambda array: np.where(array == array.max(), np.nan, array)),
    "an SD below zero": ("1|gene_sigma", lambda array: -array),
    "levels in another order": ("gene__factor_dim", lambda array: array[::-1]),
    "a level twice": ("gene__factor_dim", lambda array: np.where(array == array[0], array[1], array)),
    "a chain twice": ("chain", lambda array: np.zeros_like(array)),
    "effects of a level less": ("1|gene", lambda array: array[..., :-1]),
}


@pytest.mark.parametrize(("name", "change"), OTHER_ARRAYS.values(), ids=OTHER_ARRAYS)
def test_arrays_are_those_of_the_model(name, change, whole, tmp_path):
    path, member = tmp_path / "given.fit", place_of(whole, name)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        array = np.load(io.BytesIO(archive.read(member)))
    path.write_bytes(rewritten(whole, swap={member: saved_array(change(array))}))
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(caught.value) in (DAMAGED.format(path=path), PARTS.format(path=path))


def test_draws_that_are_no_numbers_come_back_where_the_fit_says_so(tmp_path):
    fit = crossed_fit()
    idata = fit.idata.copy(deep=True)
    idata["posterior"]["Intercept"][0, 0] = np.nan
    fit = replace(fit, idata=idata, diagnostics=diagnose(idata))
    assert load(save(fit, tmp_path / "x.fit")).diagnostics.verdict == "failed"


FILES = {
    "text": (lambda whole: b"gene,log_fc\nTP53,1\n", FOREIGN),
    "empty": (lambda whole: b"", FOREIGN),
    "another zip": (lambda whole: other_zip(), FOREIGN),
    "a zip with another's JSON": (lambda whole: rewritten(whole, lambda c: c.update(format="theirs")), FOREIGN),
    "truncated": (lambda whole: whole[: len(whole) // 2], DAMAGED),
    "a flipped bit": (flipped, DAMAGED),
    "a missing array": (lambda whole: rewritten(whole, drop=["arrays/00003.npy"]), DAMAGED),
    "an array of objects": (lambda whole: rewritten(whole, swap={"arrays/00003.npy": object_array()}), DAMAGED),
    "not an array": (lambda whole: rewritten(whole, swap={"arrays/00003.npy": b"nothing"}), DAMAGED),
    "no JSON": (lambda whole: rewritten(whole, swap={"fit.json": b"{"}), DAMAGED),
    "a missing part": (lambda whole: rewritten(whole, lambda c: c.pop("slots")), DAMAGED),
    "a part of another kind": (lambda whole: rewritten(whole, lambda c: c.update(slots=3)), DAMAGED),
    "a newer format": (
        lambda whole: rewritten(whole, lambda c: c.update(format_version=2, package_version="9.0")),
        NEWER,
    ),
    "a formula of other columns": (
        lambda whole: rewritten(whole, lambda c: c["settings"].update(formula="log_fc ~ missing")), UNBUILT,
    ),
    "other levels": (lambda whole: rewritten(whole, lambda c: c["layout"]["levels"]["gene"].reverse()), OTHER),
}  # fmt: skip


@pytest.mark.parametrize(("make", "text"), FILES.values(), ids=FILES)
def test_a_file_that_is_not_whole_or_not_ours(make, text, whole, tmp_path):
    path = tmp_path / "given.fit"
    path.write_bytes(make(whole))
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(caught.value) == text.format(path=path)


@pytest.mark.parametrize("cut", [0.01, 0.3, 0.6, 0.9, 0.99, 0.9999])
def test_no_truncated_file_loads(cut, whole, tmp_path):
    path = tmp_path / "cut.fit"
    path.write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(DataError, match="is damaged"):
        load(path)


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "nothing.fit"
    with pytest.raises(DataError) as caught:
        load(path)
    assert (
        str(caught.value)
        == f"the fit '{path}' cannot be opened: No such file or directory.\n{ALLOWED}\nCheck the path."
    )


def test_nothing_in_a_file_is_a_pickle(whole):
    with zipfile.ZipFile(io.BytesIO(whole)) as stored:
        names = stored.namelist()
        assert names[0] == "fit.json"
        for name in names[1:]:
            np.lib.format.read_array(io.BytesIO(stored.read(name)), allow_pickle=False)


@pytest.mark.parametrize("module", [archive])
def test_examples_run(module):
    assert doctest.testmod(module, extraglobs={"fit": correlated_fit()}).failed == 0
