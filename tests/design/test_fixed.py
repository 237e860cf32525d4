"""Which columns factors take: against formulae where its are independent, and by rank against all indicators."""

import contextlib
import io
import itertools
import random
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from formulae import design_matrices

from speclet_formula.design import build_design
from speclet_formula.design.fixed import count_columns
from speclet_formula.errors import DataError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import Formula, Name, Term, text_of

FACTORS = "fgh"


def cells() -> pd.DataFrame:
    """Return a table with every combination of three factors, six times, and two covariates."""
    table = pd.DataFrame(list(itertools.product("abc", "pq", "uvw")) * 6, columns=list(FACTORS))
    rng = np.random.default_rng(0)
    return table.assign(**{name: rng.normal(size=len(table)) for name in ("y", "x", "z")})


def random_texts(count: int, seed: int, names: str) -> Iterator[str]:
    """Yield right-hand sides of one to five terms of up to four factors, hierarchical or not."""
    draw = random.Random(seed)
    for _ in range(count):
        sizes = [draw.choice([1, 1, 2, 2, 3, 4]) for _ in range(draw.randint(1, 5))]
        terms = [":".join(draw.sample(names, min(size, len(names)))) for size in sizes]
        yield " + ".join([draw.choice("10"), *terms])


def indicators(formula: Formula, table: pd.DataFrame) -> np.ndarray:
    """Return what the terms mean, redundant as it is: every factor by all its levels, in each term."""
    blocks = [np.ones((len(table), 1))] if formula.intercept else []
    for term in formula.terms:
        columns = np.ones((len(table), 1))
        for factor in term.factors:
            column = table[factor.name]
            own = pd.get_dummies(column).to_numpy(float) if factor.name in FACTORS else column.to_numpy()[:, None]
            columns = (columns[:, :, None] * own[:, None, :]).reshape(len(table), -1)
        blocks.append(columns)
    return np.hstack(blocks)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.mostly_slow("0")
def test_the_columns_span_what_the_terms_mean_and_none_repeats_another(seed: int) -> None:
    table = cells()
    for right in random_texts(60, seed, "xzfgh"):
        formula = parse_formula(f"y ~ {right}")
        X, whole = build_design(formula, table).mean.X, indicators(formula, table)
        rank = np.linalg.matrix_rank(whole)
        assert X.shape[1] == rank == np.linalg.matrix_rank(np.hstack([X, whole])), right


@pytest.mark.slow
def test_formulae_makes_the_same_columns() -> None:
    # With one covariate only: formulae takes z:x + x:z:f for terms without a common margin, and repeats a column.
    table, compared = cells(), 0
    for right in random_texts(250, 9, "xfgh"):
        formula = parse_formula(f"y ~ {right}")
        expanded = " + ".join(["1" if formula.intercept else "0", *map(text_of, formula.terms)])
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                theirs = design_matrices(expanded, table).common
        except (IndexError, ValueError):
            continue  # it loses its way among interactions that lack their parts
        design = build_design(formula, table)
        if np.linalg.matrix_rank(theirs.design_matrix) < design.mean.X.shape[1]:
            continue  # it loses columns of f:g:h alone
        assert [label for term in theirs.terms.values() for label in term.labels] == [
            label for term in design.mean.fixed for label in term.columns
        ]
        np.testing.assert_array_equal(theirs.design_matrix, design.mean.X)
        compared += 1
    assert compared > 200


def test_the_columns_are_counted_before_they_are_made() -> None:
    table = cells()
    widths = {Name(name): (table[name].nunique(), True) for name in FACTORS} | {Name(n): (1, False) for n in "xz"}
    for right in ("1 + f*g*h", "0 + f*g", "1 + x*f", "1 + x + z + f", "0 + f:g:h"):
        formula = parse_formula(f"y ~ {right}")
        counted = count_columns(formula.intercept, formula.terms, widths)
        made = build_design(formula, table).mean.X.shape[1]
        assert counted >= made, right
        assert counted == made or not formula.intercept, right


def test_a_design_that_would_fill_memory_is_refused_before_it_is_made() -> None:
    rng = np.random.default_rng(1)
    names = [f"f{place}" for place in range(6)]
    table = pd.DataFrame({name: rng.integers(0, 12, 60).astype(str) for name in names}).assign(y=rng.normal(size=60))
    with pytest.raises(DataError) as caught:
        build_design(parse_formula(f"y ~ {'*'.join(names)}"), table)
    assert str(caught.value) == (
        "the fixed terms would have 2,985,984 columns for 60 rows: 66,430 GiB and more.\n"
        "Columns and the products of all pairs of them may take 2 GiB.\n"
        "Name fewer interactions than 'f0:f1:f2:f3:f4:f5', or make a factor of many levels a group term, (1 | g)."
    )


def test_a_term_of_many_factors_is_coded_in_little_time() -> None:
    rng = np.random.default_rng(2)
    names = [f"f{place}" for place in range(10)]
    table = pd.DataFrame({name: rng.choice(["no", "yes"], 40) for name in names}).assign(y=rng.normal(size=40))
    design = build_design(parse_formula(f"y ~ {':'.join(names)}"), table)
    assert design.mean.X.shape == (40, 2**10)


def test_terms_are_compared_as_records_not_as_names() -> None:
    rng = np.random.default_rng(3)
    table = pd.DataFrame({name: rng.normal(size=20) for name in ("y", "a", "b", "a:b")})
    design = build_design(parse_formula("y ~ a + b + a:b + `a:b`"), table)
    assert [term.name for term in design.mean.fixed] == ["Intercept", "a", "b", "`a:b`", "a:b"]
    np.testing.assert_array_equal(design.mean.X[:, 3], table["a:b"])
    np.testing.assert_array_equal(design.mean.X[:, 4], table["a"] * table["b"])
    alone = build_design(parse_formula("y ~ a + b + `a:b`"), table)
    assert [term.name for term in alone.mean.fixed] == ["Intercept", "a", "b", "a:b"]
    np.testing.assert_array_equal(alone.mean.X[:, 3], table["a:b"])
    assert Term((Name("a:b"),)) != Term((Name("a"), Name("b")))
