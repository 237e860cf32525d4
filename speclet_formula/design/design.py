"""What a design is: response, fixed columns, group blocks, offset and weights as arrays, and how they are called.

`build` makes designs, every later room reads them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.common.structures import Structure
from speclet_formula.design.level_matrices import LevelMatrix, LevelRelation
from speclet_formula.errors import DataError
from speclet_formula.formula.smooths import Smooth
from speclet_formula.formula.terms import Call, Formula, Name

# A DataTree takes "/" in a variable's name for a path, and Bambi splits a group term's name at "|".
_FORBIDDEN = str.maketrans({"/": "÷", "|": "¦"})
_CORRELATION = "cor|"
_LENGTH = "ell|"
_EVERY = slice(None)
STANDARDISED = "_offset"  # how the names of standardised effects end


def variable_name(spelling: str) -> str:
    """Return the name that a term, column or factor has in the posterior."""
    return spelling.translate(_FORBIDDEN)


def sd_name(slot: str) -> str:
    """Return the name of the SD of a group term's effects: "1|gene_sigma"."""
    return f"{slot}_sigma"


def mean_name(slot: str) -> str:
    """Return the name of the mean of a group term's effects, where it is not fixed: "1|gene_mu"."""
    return f"{slot}_mu"


def offset_name(slot: str) -> str:
    """Return the name of a group term's standardised effects, which NUTS samples where they are not centred."""
    return f"{slot}{STANDARDISED}"


def slot_of_sd(name: str) -> str | None:
    """Return the group term whose SD has this name, "1|gene"; None for any other name."""
    return name.removesuffix("_sigma") if "|" in name and name.endswith("_sigma") else None


def slot_of_mean(name: str) -> str | None:
    """Return the group term whose mean has this name, "1|gene"; None for any other name."""
    return name.removesuffix("_mu") if "|" in name and name.endswith("_mu") else None


def is_correlation(name: str) -> bool:
    """Tell whether a name is that of a block's correlations, or of one of them: "cor|gene", "cor|gene[1, x]"."""
    return name.startswith(_CORRELATION)


@dataclass(frozen=True)
class FixedTerm:
    """One fixed term and the columns that it fills in X."""

    name: str  # as the formula spells it: "Intercept", "control", "cn:control"; also its prior's slot
    variable: str  # its name in the posterior: `name`, with the characters that a DataTree forbids replaced
    kind: Literal["intercept", "numeric", "categorical"]
    columns: tuple[str, ...]  # one label per column of X: "cn", "control[other]", "poly(x, 2)[0]"
    dim: str | None  # the posterior's dimension, "control_dim"; None for a single numeric column
    coords: tuple[str | int, ...]  # its coordinates: ("other", "essential"); empty when dim is None
    start: int  # first column in X
    stop: int  # one past the last
    variables: frozenset[str] = frozenset()  # the columns of the data that it is made of
    smooth: str = ""  # the smooth whose straight line it is, "s(x)"; its name is then "line(x)"
    levels: tuple[str, ...] = ()  # of a monotonic effect, mo(x): the levels between which its columns are the steps

    @property
    def simplex(self) -> str:
        """The slot of the shares that a monotonic effect's steps have of the whole way: "mo(x)_simplex"."""
        return f"{self.name}_simplex"

    @property
    def shares(self) -> tuple[str, ...]:
        """The names of these shares in tables and truths: "mo(x)_simplex[2-1]"."""
        return tuple(f"{self.simplex}{column.removeprefix(self.name)}" for column in self.columns)


@dataclass(frozen=True, eq=False)
class GroupBlock:
    """The group effects that one group term adds: `k` columns for each level of one grouping factor."""

    group: str  # the grouping factor: "gene", "gene:sgRNA"
    label: str  # the same, or "gene.1" for a second block over the same factor (as lme4 prints)
    factors: tuple[str, ...]  # the columns that the factor crosses: ("gene", "sgRNA")
    columns: tuple[str, ...]  # "1" for the intercept, "Days", "control[other]"
    slots: tuple[str, ...]  # one variable of the posterior per column: "1|gene", "Days|gene"
    correlated: bool  # True for (1 + x | g) with two columns or more; False for a scalar or a || block
    levels: tuple[str, ...]  # the observed ones in the analyst's order, "a1:b1" of a:b, then those of a matrix alone
    dim: str  # the posterior's dimension, "gene__factor_dim"
    places: np.ndarray  # (n,) int64, index into levels, (n, m) of mm(); replayed, -1 - k for level k of new_levels
    values: np.ndarray  # (n, k) float64, the columns' values
    prefix: str = ""  # "sigma_" for a block of the formula of sigma: it stands before its names in the posterior
    new_levels: tuple[str, ...] = ()  # of a replayed design: those that were not fitted
    structure: Structure | None = None  # of cs(), ar1(), diag(hom = TRUE) with two columns or more, and gp()
    relation: LevelRelation | None = None  # of gr(g, cov = A): how its levels vary together; not independently
    smooth: str = ""  # the term whose penalised part it is, "s(x)"; empty of a group term
    shares: np.ndarray | None = None  # (n, m) float64 of mm(): how much of each of its levels a row has

    @property
    def codes(self) -> np.ndarray:
        """The level of each row (n,), as an index into `levels`; what serves mm() too asks for `members`.

        Raises
        ------
        DataError
            Each row belongs to several levels: an mm() term.
        """
        if self.shares is not None:
            raise DataError(
                f"each row belongs to several levels of '{self.group}', and one level for each row is needed here.",
                "Estimates, effects of levels, predictions, simulated data and comparisons know terms of mm().",
                "Ask for another grouping factor, or leave that term out of the model.",
            )
        return self.places

    def members(self, rows: slice | np.ndarray = _EVERY) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Go through what rows have of the levels: a level of each (n,), and the columns' values there (n, k).

        Once for all rows, but of mm() once for each of its columns; a row's effects are the sum.
        """
        values = self.values[rows]
        if self.shares is None:
            yield self.places[rows], values
        else:
            for places, shares in zip(self.places[rows].T, self.shares[rows].T, strict=True):
                yield places, values * shares[:, None]

    @property
    def summed(self) -> np.ndarray:
        """The columns' values (n, k) times all that a row has of levels: what multiplies an effect common to all."""
        return self.values if self.shares is None else self.values * self.shares.sum(axis=1, keepdims=True)

    @property
    def loads(self) -> np.ndarray:
        """The columns' values (n, k) as they enter a row's variance: with the root of the sum of its squared shares."""
        return self.values if self.shares is None else self.values * np.linalg.norm(self.shares, axis=1, keepdims=True)

    @property
    def belongings(self) -> tuple[np.ndarray, np.ndarray]:
        """Each row and level that belong together, none twice: rows (e,), in order, and codes (e,)."""
        if self.shares is None:
            return np.arange(len(self.places)), self.places
        rows, members = np.nonzero(self.shares)
        return rows, self.places[rows, members]

    @property
    def hom(self) -> bool:
        """Whether all columns have one SD, which is there under each column's name."""
        return self.structure is not None and self.structure.hom

    @property
    def joint(self) -> int:
        """How many columns there are of which a level's effects, one row each, are not told from a residual.

        As lme4 counts: of a || block each column is a term of its own.
        """
        alone = not self.correlated if self.structure is None else self.structure.leaves_residual
        return 1 if alone else len(self.columns)

    @property
    def leaves_residual(self) -> bool:
        """Whether one row each tells its effects from a residual: those of levels that are related are alike."""
        return self.relation is not None or (self.structure is not None and self.structure.leaves_residual)

    @property
    def observed(self) -> int:
        """How many levels have a row; a matrix may have more."""
        return len(self.levels) if self.relation is None else len(np.unique(self.codes))

    def between_levels(self, standard: np.ndarray) -> np.ndarray:
        """Make independent standard numbers (..., levels, k) vary together over the levels, as a matrix has it."""
        return standard if self.relation is None else self.relation.drawn(standard)

    @property
    def parameters(self) -> int:
        """How many SDs, correlations and length-scales it has."""
        k = len(self.columns)
        if self.structure is not None:
            return self.structure.parameters(k)
        return k * (k + 1) // 2 if self.correlated else k

    @property
    def sds(self) -> tuple[str, ...]:
        """The posterior's variables of the columns' SDs: "1|gene_sigma"; a column's effects are in its slot.

        All columns of a smooth have the same one, "1|s(x)_sigma".
        """
        if self.smooth:
            return (sd_name(self.slots[0]),) * len(self.slots)
        return tuple(map(sd_name, self.slots))

    @property
    def means(self) -> tuple[str, ...]:
        """The variables of the columns' means, where they are not fixed: "1|gene_mu"."""
        return tuple(map(mean_name, self.slots))

    @property
    def offsets(self) -> tuple[str, ...]:
        """The variables that NUTS samples where the effects are not centred: "1|gene_offset"."""
        return tuple(map(offset_name, self.slots))

    @property
    def correlation(self) -> str:
        """The variable of the correlations, and their prior's slot: "cor|Subject"."""
        return f"{self.prefix}{_CORRELATION}{variable_name(self.label)}"

    @property
    def stretches(self) -> bool:
        """Whether it has a length-scale: a Gaussian process."""
        return self.structure is not None and self.structure.stretches

    @property
    def length_scale(self) -> str:
        """The variable of the length-scale of a Gaussian process, and its prior's slot: "ell|gp(x)"."""
        return f"{self.prefix}{_LENGTH}{variable_name(self.label)}"

    @property
    def pair_dim(self) -> str:
        """The dimension of the correlations."""
        return f"{self.prefix}{variable_name(self.label)}__pair_dim"

    @property
    def pairs(self) -> tuple[str, ...]:
        """The coordinates of the correlations, the upper triangle row by row: "1, Days"."""
        return tuple(f"{first}, {second}" for first, second in combinations(self.columns, 2))

    @property
    def correlations(self) -> tuple[str, ...]:
        """The name of each correlation: "cor|Subject[1, Days]"."""
        return tuple(f"{self.correlation}[{pair}]" for pair in self.pairs)

    @property
    def terms(self) -> tuple[str, ...]:
        """The columns labelled as the fixed effects are: "Intercept", "sigma_Intercept", "Days"."""
        return tuple(self.term_of(column) for column in self.columns)

    def term_of(self, column: str) -> str:
        """Label one of the columns as the fixed effects are labelled."""
        return f"{self.prefix}{'Intercept' if column == '1' else column}"

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable of the posterior that can be this block's: effects, SDs, means, what NUTS samples."""
        return (*self.slots, *self.sds, *self.means, *self.offsets)


@dataclass(frozen=True)
class CodedFactor:
    """One factor of a fixed term, and the columns that it takes there."""

    factor: Name | Call
    levels: tuple[str, ...] | None  # in order; None of numbers
    full: bool  # whether it takes all levels, or the columns of its coding beside an intercept
    width: int  # columns
    coding: str | None = None  # "sum", "helmert", ...; None for all levels but the first
    labels: tuple[str, ...] | None = None  # of a smooth by the levels of a factor: the levels
    smooth: Smooth | None = None  # the smooth whose fixed columns these are
    steps: tuple[str, ...] = ()  # of a monotonic effect: its levels


@dataclass(frozen=True, eq=False)
class FixedPart:
    """The columns of one linear predictor, and how they were made."""

    X: np.ndarray  # (n, p) float64
    terms: tuple[FixedTerm, ...]
    intercept: bool  # whether X begins with a column of ones
    coded: tuple[tuple[CodedFactor, ...], ...]  # the factors of each term but the intercept, in the order of `terms`


@dataclass(frozen=True, eq=False)
class Recipe:
    """All that a design learnt from its rows: enough to make the same columns from other rows."""

    fixed: FixedPart
    blocks: tuple[FixedPart, ...]  # the left-hand side of each group block
    memory: dict[str, Any]  # spelling of a call -> what it learnt (means, knots, levels)
    functions: dict[str, Callable[..., Any]]  # the user's own functions
    levels: dict[str, tuple[str, ...]]  # factor column -> its observed levels, in order


@dataclass(frozen=True, eq=False)
class Limits:
    """What is known of a response that was not free to take, or to show, any value."""

    status: np.ndarray | None  # (n,) int8 of a censored response: -1 at most the value, 0 the value, 1 at least
    lower: np.ndarray  # (n,) float64, the bounds of a truncated response, themselves allowed; -inf without one
    upper: np.ndarray  # (n,) float64, inf without one


@dataclass(frozen=True, eq=False)
class Merged:
    """What stands behind each row of a design whose `response` holds means of rows that agree in all else."""

    rows: np.ndarray  # (n,) float64, how many rows were merged
    within: np.ndarray  # (n,) float64, the sum of squares of their responses around their mean


@dataclass(frozen=True)
class Moments:
    """What a Gaussian density needs to know of rows beside their design, response and weights."""

    count: int  # of the rows, as they were before they were merged
    within: float  # the weighted sum of squares around the means of merged rows
    log_weights: float  # the sum of the logs of the single rows' weights


@dataclass(frozen=True, eq=False)
class Predictor:
    """One linear predictor: the mean's, or that of another parameter of the family, such as sigma."""

    name: str  # the parameter's, "sigma", or a level's, "muB"; empty for the mean's
    formula: Formula  # its own right-hand side
    X: np.ndarray  # (n, p) float64, the intercept's column of ones first when there is one
    fixed: tuple[FixedTerm, ...]  # in the order of X's columns, the intercept included
    groups: tuple[GroupBlock, ...]
    offset: np.ndarray  # (n,) float64, on the link scale; zeros when there is none
    recipe: Recipe  # what was learnt from these rows, so that new rows get the same columns

    @property
    def prefix(self) -> str:
        """What stands before its names in the posterior: "sigma_"."""
        return f"{self.name}_" if self.name else ""

    @property
    def has_intercept(self) -> bool:
        """Whether the first column is one of ones."""
        return bool(self.fixed) and self.fixed[0].kind == "intercept"

    @property
    def columns(self) -> tuple[str, ...]:
        """One label for each column of X."""
        return tuple(column for term in self.fixed for column in term.columns)

    @property
    def factors(self) -> tuple[GroupBlock, ...]:
        """The blocks of its group terms, without the penalised parts of smooths, which come after them."""
        return tuple(block for block in self.groups if not block.smooth)

    @property
    def smooths(self) -> tuple[GroupBlock, ...]:
        """The penalised parts of its smooths."""
        return tuple(block for block in self.groups if block.smooth)

    @property
    def whole(self) -> np.ndarray:
        """X, and behind it (n, effects) the penalised columns of smooths: all that is there without group effects."""
        parts = [self.X]
        for block in self.smooths:
            own = np.zeros((len(block.codes), len(block.levels), len(block.columns)))
            own[np.arange(len(own)), block.codes] = block.values
            parts.append(own.reshape(len(own), -1))
        return self.X if len(parts) == 1 else np.hstack(parts)


@dataclass(frozen=True, eq=False)
class Design:
    """All that an engine needs to know of formula and data."""

    formula: Formula
    response: np.ndarray  # (n,) float64, the observed response (successes for a binomial); (n, K) counts of levels
    response_name: str  # as the formula spells it: "log_fc", "log(treated / control)"
    trials: np.ndarray | None  # (n,) float64, trials of a binomial response or of counts of levels, else None
    predictors: tuple[Predictor, ...]  # the mean's, then those of the parameters that have a formula; or the levels'
    weights: np.ndarray | None  # (n,) float64, or None for equal weights; sums over merged rows
    frame: pd.DataFrame  # (n rows) the columns that the formula uses, cleaned: factors as ordered Categoricals
    rows: np.ndarray  # (n,) int64, the rows of the given table that are used; all of them unless some were dropped
    levels: tuple[str, ...] = ()  # of ordered or unordered levels, the lowest or the first: the places 0, 1, ...
    limits: Limits | None = None  # of a response that is censored or truncated
    merged: Merged | None = None  # of rows that stand for several

    @property
    def matrices(self) -> dict[str, LevelMatrix]:
        """The matrices of levels, by the names that the formula has for them."""
        relations = (block.relation for block in self.blocks)
        return {known.given.name: known.matrix for known in relations if known is not None}

    @property
    def is_per_level(self) -> bool:
        """Whether each level of the response has a linear predictor of its own, but perhaps the first."""
        return bool(self.predictors[0].name)

    @property
    def mean(self) -> Predictor:
        """The linear predictor of the mean, or of an ordinal response's place; of unordered levels the first one."""
        return self.predictors[0]

    @property
    def varying(self) -> Mapping[str, Predictor]:
        """The parameters that have a formula of their own, by name."""
        return {predictor.name: predictor for predictor in self.predictors[1:]}

    @property
    def blocks(self) -> tuple[GroupBlock, ...]:
        """The group blocks of all linear predictors, the mean's first."""
        return tuple(block for predictor in self.predictors for block in predictor.groups)

    @property
    def factors(self) -> tuple[GroupBlock, ...]:
        """The blocks of all group terms, without those of smooths."""
        return tuple(block for block in self.blocks if not block.smooth)

    @property
    def smooths(self) -> tuple[GroupBlock, ...]:
        """The penalised parts of all smooths."""
        return tuple(block for block in self.blocks if block.smooth)

    @property
    def monotonic(self) -> tuple[FixedTerm, ...]:
        """The monotonic effects of all linear predictors."""
        return tuple(term for predictor in self.predictors for term in predictor.fixed if term.levels)

    @property
    def effect_variables(self) -> frozenset[str]:
        """The variables of the posterior that hold an effect for each level of a group."""
        return frozenset(slot for block in self.blocks for slot in block.slots)

    @property
    def response_variable(self) -> str:
        """The name that the response has in the posterior's groups of data."""
        return variable_name(self.response_name)

    @property
    def constant(self) -> str:
        """The first fixed term that never varies, beside an intercept; "" where there is none."""
        terms = ((term, one.X[:, term.start : term.stop]) for one in self.predictors for term in one.fixed)
        still = (term.name for term, X in terms if term.kind == "numeric" and (X[0] == X).all())
        return next(still, "")

    @property
    def thresholds(self) -> tuple[str, ...]:
        """A label for each threshold between ordered levels, as R's ordinal writes them: "low|middle"."""
        if self.is_per_level:
            return ()
        return tuple(f"{lower}|{upper}" for lower, upper in pairwise(self.levels))


def replace_response(design: Design, response: np.ndarray, columns: Mapping[str, np.ndarray]) -> Design:
    """Return the same design with another response (n,), which these columns of its rows hold."""
    return replace(design, response=response, frame=design.frame.assign(**columns))


def replace_mean(design: Design, **changes: Any) -> Design:
    """Return the same design with another predictor of the mean: other fields of `Predictor`, by name."""
    return replace(design, predictors=(replace(design.mean, **changes), *design.predictors[1:]))


def take_rows(design: Design, rows: np.ndarray) -> Design:
    """Return the design of some of its rows, in this order; levels and columns stay, also those without a row."""

    def taken(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[rows]

    limits, merged = design.limits, design.merged
    return replace(
        design,
        response=design.response[rows],
        trials=taken(design.trials),
        predictors=tuple(_taken(predictor, rows) for predictor in design.predictors),
        weights=taken(design.weights),
        frame=design.frame.iloc[rows],
        rows=design.rows[rows],
        limits=None if limits is None else Limits(taken(limits.status), limits.lower[rows], limits.upper[rows]),
        merged=None if merged is None else Merged(merged.rows[rows], merged.within[rows]),
    )


def _taken(predictor: Predictor, rows: np.ndarray) -> Predictor:
    blocks = (
        replace(
            block,
            places=block.places[rows],
            values=block.values[rows],
            shares=None if block.shares is None else block.shares[rows],
        )
        for block in predictor.groups
    )
    return replace(predictor, X=predictor.X[rows], groups=tuple(blocks), offset=predictor.offset[rows])
