"""One idea has one home: what is spelled in one place of the package is spelled in no other."""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import speclet_formula
from speclet_formula.families import FAMILIES

PACKAGE = Path(speclet_formula.__file__).parent
LONGEST_FILE = 500  # lines

# Words of which a string by itself may be something else: a parameter, a method, the name of a function in a formula.
AMBIGUOUS = {"t", "beta", "gamma", "wald", "exponential", "laplace", "categorical"}
# Where a family may be named outside its file.
FAMILIES_MAY_BE_NAMED = {
    "priors/distributions.py": "R's name of a normal prior",
    "common/arguments.py": "an example in an error's remedy",
}


@cache
def modules() -> list[tuple[str, ast.Module]]:
    """The package's modules, read once."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return [(path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


@cache
def nodes(tree: ast.Module) -> list[ast.AST]:
    """All that a module consists of, gone through once."""
    return list(ast.walk(tree))


@cache
def documented(tree: ast.Module) -> set[int]:
    """The strings that are documentation, or the default of an argument called family, by identity."""
    found = set()
    for node in nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.add(id(node.value))
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "family":
            found.add(id(node.value))
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args]
            ends = arguments[len(arguments) - len(node.args.defaults) :]
            defaults = [*zip(ends, node.args.defaults, strict=True)]
            defaults += zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            found |= {id(value) for argument, value in defaults if argument.arg == "family" and value is not None}
    return found


def test_a_family_is_named_in_its_own_file_alone() -> None:
    """Other rooms ask its specification; `families.registry` has them all."""
    spelled = [
        f"{name}:{node.lineno} {node.value!r}"
        for name, tree in modules()
        if not name.startswith("families/") and name not in FAMILIES_MAY_BE_NAMED
        for known in [documented(tree)]
        for node in nodes(tree)
        if isinstance(node, ast.Constant) and node.value in FAMILIES and node.value not in AMBIGUOUS
        if id(node) not in known
    ]
    assert not spelled


def test_no_family_is_told_from_others_by_its_name() -> None:
    """No comparison of anything called a family with a string, ambiguous names included."""
    compared = [
        f"{name}:{node.lineno} {ast.unparse(node)}"
        for name, tree in modules()
        for node in nodes(tree)
        if isinstance(node, ast.Compare) and "family" in ast.unparse(node.left)
        for other in node.comparators
        for part in ast.walk(other)
        if isinstance(part, ast.Constant) and part.value in FAMILIES
    ]
    assert not compared


def test_the_tests_mirror_the_rooms() -> None:
    """A room's tests are in the folder of its name; `tests/fuzz` is of several rooms."""
    tests = Path(__file__).parent
    tested = {path.parent.relative_to(tests).as_posix() for path in tests.glob("*/**/test_*.py")} - {"fuzz"}
    folders = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.glob("*/**/*.py")}
    assert not tested - folders, "tests of no room"
    assert not {folder for folder in folders if "/" not in folder} - tested, "rooms without tests"


# Where the parts of a model may be called as they are among draws: the design names them, `draws` reads the tree, and
# `datatree` makes it.
POSTERIOR_MAY_BE_SPELLED = ("design/design.py", "posterior/draws.py", "inference/datatree.py")
ENDS, GROUPS = ("_sigma", "_mu", "_offset", "__pair_dim", "cor|"), ("posterior", "sample_stats")


def spelled_names(tree: ast.Module) -> Iterator[str]:
    """Go through the pieces of names of the posterior's variables that a module has, and its looks into the tree."""
    known = documented(tree)
    for node in nodes(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in known:
            piece = node.value.partition(" ")[0]
            if any(piece == end or piece.startswith((f"{end}'", f'{end}"', f"{end}[")) for end in ENDS):
                yield f"{node.lineno} {node.value!r}"
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and node.slice.value in GROUPS:
            yield f"{node.lineno} {ast.unparse(node)}"
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr == "idata":
            yield f"{node.lineno} {ast.unparse(node)}"


def test_names_of_the_posterior_are_spelled_where_a_design_names_its_parts() -> None:
    """Others ask a block or a term what it is called, and `posterior.draws` for the draws of it."""
    found = [
        f"{name}:{spelled}"
        for name, tree in modules()
        if name not in POSTERIOR_MAY_BE_SPELLED
        for spelled in spelled_names(tree)
    ]
    assert not found


def test_a_class_has_a_name_of_its_own() -> None:
    """Who meets a name in one room need not ask which of several things it is."""
    names = Counter(
        node.name.lstrip("_") for _, tree in modules() for node in nodes(tree) if isinstance(node, ast.ClassDef)
    )
    assert not [name for name, count in names.items() if count > 1]


def test_a_file_holds_one_subject() -> None:
    lengths = {path.relative_to(PACKAGE).as_posix(): path.read_bytes().count(b"\n") for path in PACKAGE.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}
