"""The project's own files agree with each other, and what is installed from them is whole."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from datetime import date
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import speclet_formula

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SLOW_TO_IMPORT = ("arviz", "bambi", "jax", "matplotlib", "nutpie", "pymc", "pytensor", "seaborn")
PYTHONS = ("3.12", "3.13", "3.14")
MACHINE_PATH = re.compile(r"(?<![\w.:/~$}-])/(?:home|root|tmp|Users|work)/\w")
REGISTRY = re.compile(r"\bpypi\.org|\bpythonhosted\.org|--(?:index-url|find-links)\b")


def direct_dependencies():
    """Every requirement that pyproject.toml states, wherever it stands."""
    project = PROJECT["project"]
    lists = [
        PROJECT["build-system"]["requires"],
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    ]
    return [Requirement(text) for texts in lists for text in texts]


def pins(python):
    """Name -> version of constraints.txt, as they hold for one version of Python on this kind of machine."""
    environment = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    applying = [pin for pin in requirements if pin.marker is None or pin.marker.evaluate(environment)]
    found = {canonicalize_name(pin.name): str(pin.specifier) for pin in applying}
    assert len(found) == len(applying), "a name is pinned twice"
    return found


def tracked_files():
    """Paths of all files that git keeps, or would keep at the next commit."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("needs git and a checkout: an unpacked source distribution does not say which files are tracked")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True, env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
    )  # fmt: skip
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def matching_lines(pattern):
    """`file:line: text` wherever a tracked text file matches."""
    found = []
    for path in tracked_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture
        name = path.relative_to(ROOT)
        found += [f"{name}:{number}: {line}" for number, line in enumerate(lines, 1) if pattern.search(line)]
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_every_direct_dependency_is_pinned_within_its_bounds(python):
    pinned = pins(python)
    for requirement in direct_dependencies():
        pin = pinned[canonicalize_name(requirement.name)]
        assert re.fullmatch(r"==[\w.]+", pin), f"{requirement.name}{pin} is not exact"
        assert requirement.specifier.contains(pin.removeprefix("=="), prereleases=True), f"{requirement} but {pin}"


@pytest.mark.parametrize("requirement", direct_dependencies(), ids=str)
def test_every_direct_dependency_has_a_lower_bound(requirement):
    assert any(bound.operator == ">=" for bound in requirement.specifier)


def test_what_a_message_has_installed_is_an_extra():
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "speclet_formula").rglob("*.py"))
    named = {name for text in sources for name in re.findall(r"speclet_formula\[(\w+)\]", text)}
    assert {"anndata"} <= named <= set(PROJECT["project"]["optional-dependencies"])


def test_constraints_name_no_host_and_no_path():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "make constraints" in text.splitlines()[1]
    for line in text.splitlines():
        assert line.startswith("#") or re.match(r"[a-z0-9-]+==[\w.]+( ; .+)?$", line), line
        assert "://" not in line


def test_the_installed_version_is_the_one_declared():
    assert version("speclet_formula") == PROJECT["project"]["version"]


def test_a_release_has_one_version_and_one_date():
    """What comes after the newest release waits under a heading of its own, without a date."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+)\](?: - (\d{4}-\d{2}-\d{2}))?$", changelog, re.MULTILINE)
    assert len(headings) == len(re.findall("^## ", changelog, re.MULTILINE))
    (waiting, none), (newest, released), *_ = headings
    assert (waiting, none) == ("Unreleased", "")
    assert newest == PROJECT["project"]["version"]
    assert date.fromisoformat(released).isoformat() == released
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {newest}\ndate-released: {released}\n" in cited
    assert f"\nlicense: {PROJECT['project']['license']}\n" in cited


def test_the_classifiers_name_every_supported_python():
    of = "Programming Language :: Python :: "
    named = [text for text in PROJECT["project"]["classifiers"] if text.startswith(of)]
    assert named == [f"{of}{python}" for python in PYTHONS]


def test_the_python_of_this_folder_is_supported():
    wanted = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert wanted in PYTHONS
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert lowest == PYTHONS[0]
    assert PROJECT["tool"]["mypy"]["python_version"] == lowest
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + lowest.replace(".", "")


def test_the_command_is_installed():
    (command,) = entry_points(group="console_scripts", name="speclet-formula")
    assert callable(command.load())


def test_importing_the_package_leaves_the_slow_libraries_alone(tmp_path):
    code = "import sys, speclet_formula; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    loaded = set(run.stdout.split())
    assert "speclet_formula" in loaded
    assert loaded.isdisjoint(SLOW_TO_IMPORT)


def test_every_public_name_resolves():
    assert speclet_formula.__all__
    assert speclet_formula.__version__ == PROJECT["project"]["version"]
    for name in speclet_formula.__all__:
        assert getattr(speclet_formula, name) is not None
        assert name in dir(speclet_formula)


def test_type_checkers_see_every_public_name():
    tree = ast.parse((ROOT / "speclet_formula" / "__init__.py").read_text(encoding="utf-8"))
    guarded = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imported = {alias.asname for block in guarded for statement in block.body for alias in statement.names}
    assert imported | {"__version__"} == set(speclet_formula.__all__)


def test_no_file_names_a_place_on_one_machine():
    assert matching_lines(MACHINE_PATH) == []


def test_no_file_names_a_registry():
    assert matching_lines(REGISTRY) == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("see " + "/".join(["", "home", "ada", "data.csv"]), True),
        ('path = "' + "/".join(["", "tmp", "x"]) + '"', True),
        ("see ../shared/data/m7.csv", False),
        ("see docs/work/index.md", False),
    ],
)
def test_a_path_on_one_machine_is_recognised(line, named):
    assert bool(MACHINE_PATH.search(line)) is named


def test_no_lock_file_is_kept():
    assert "uv.lock" not in {path.name for path in tracked_files()}


def test_a_source_archive_holds_what_its_tests_look_at(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        names = {name.partition("/")[2] for name in members.getnames()}
    assert {path.relative_to(ROOT).as_posix() for path in tracked_files()} <= names


def test_a_wheel_holds_the_grammar_and_the_type_marker(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"speclet_formula-{PROJECT['project']['version']}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "speclet_formula").rglob("*.py")}
    assert modules | {"speclet_formula/formula/grammar.lark", "speclet_formula/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests/", "examples/"))]


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").iterdir()), ids=lambda path: path.name)
def test_measured_figures_have_their_script_and_their_page(path):
    """By the script of that name, or as a sitting of `make bench`."""
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    own = [script for script in (f"{path.stem}.py", path.stem) if (ROOT / "benchmarks" / script).exists()]
    assert any(f"`{name}`" in page for name in own) or f"results/{path.name}" in page
