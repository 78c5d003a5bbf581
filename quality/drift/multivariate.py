"""Owns the multivariate drift test: can a classifier tell the batch from the reference, and by which columns?

Columns may keep their distributions one by one while they part together. It needs rows, and takes seconds.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quality import wording
from quality.bootstrap import Clusters, Ints, cluster_codes
from quality.distributions import NORMAL
from quality.profiles.columns import kind_of
from quality.profiles.counted import Floats
from quality.readable import require_plain
from resources.errors import ContractError, DeclarationError

if TYPE_CHECKING:
    import lightgbm

FOLDS = 5
MAX_ROWS = 20_000
"""Most rows taken of each side: an area of .51 is then significant."""
NAMED = 20
"""Most columns whose part is measured: those that the classifiers used most."""
_DEPENDENT = math.sqrt(1 + FOLDS / (FOLDS - 1))
"""Error of the mean over folds to that of as many independent ones (Nadeau and Bengio, 2003, Inference for the
Generalization Error): 1.5. Of clean samples it was 1.2 to 1.3 times as large, so that 5 % of them had p <= 0.01."""
_CODES = 100
"""Most frequent texts that are told apart; the others are as good as missing."""
_LEAST = 1e-3
"""Smallest loss of area for which a column is named."""
_ROUNDS = 60
_PARAMETERS = {
    "objective": "binary", "learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 20, "max_bin": 63,
    "feature_fraction": 0.8, "bagging_fraction": 0.8, "bagging_freq": 1, "verbosity": -1, "deterministic": True,
    "force_row_wise": True, "num_threads": 1, "seed": 0, "max_cat_to_onehot": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MultivariateDrift:
    """How well a classifier tells the two samples apart, on rows that it was not trained on.

    Attributes:
        auc: Probability that a row of the batch gets a higher score than one of the reference; 0.5 is chance.
        low: Lower confidence bound of it.
        high: Upper confidence bound.
        p: Probability of such an area without drift.
        tolerance: Largest tolerated area above one half.
        flagged: Whether p is at most the declared level and `low` above one half and the tolerance.
        columns: Columns that tell the samples apart, with the area lost where the column is shuffled, largest first;
            of columns that say the same, one may stand for all.
        rows_reference: Rows taken of the reference.
        rows_current: Rows taken of the batch.
    """

    auc: float
    low: float
    high: float
    p: float
    tolerance: float
    flagged: bool
    columns: tuple[tuple[str, float], ...]
    rows_reference: int
    rows_current: int

    @property
    def reason(self) -> str:
        """What was found, in plain words."""
        told = f"a classifier tells the samples apart with AUC {self.auc:.3f} ({self.low:.3f} to {self.high:.3f}"
        by = ", ".join(f"{name} ({drop:.3f})" for name, drop in self.columns[:5])
        return f"{told}, tolerated {0.5 + self.tolerance:g}; p {wording.probability(self.p)})" + (
            f", by {by}" if by else ""
        )

    def to_json(self) -> dict[str, Any]:  # Any: JSON values
        """Return the test as a JSON value."""
        return asdict(self)


def multivariate_drift(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    clusters: tuple[Clusters, Clusters] | None = None,
    tolerance: float = 0.05,
    alpha: float = 0.01,
    confidence: float = 0.95,
    seed: int = 0,
) -> MultivariateDrift:
    """Train classifiers on four fifths of both samples and let them tell the other fifth apart, five times.

    A classifier two-sample test (Lopez-Paz and Oquab, 2017). The area is the mean over the folds; its interval follows
    DeLong, DeLong and Clarke-Pearson (1988), by clusters Obuchowski (1997). Without drift the labels of a fold are
    exchangeable given the scores, which gives the variance of its area (Mann and Whitney, 1947; by clusters the
    interval's variance stands for it). The areas of the folds depend on each other, since each fold trains the
    classifiers of the others; the p-value allows for that as Nadeau and Bengio (2003) do.

    Args:
        reference: Rows that the model knows.
        current: New rows.
        columns: Columns to tell them apart by; None takes all that both have but times.
        clusters: Cluster of each row on both sides, such as its day, where rows of a cluster are alike: rows of one
            cluster lie in one fold.
        tolerance: Largest tolerated area above one half, from 0 to 0.5.
        alpha: Level of the test.
        confidence: Two-sided confidence of the interval.
        seed: Decides which rows are taken, the folds and the classifiers.

    Raises:
        DeclarationError: If a column is missing or has another type on both sides, or a number is out of range.
        ContractError: If a side has fewer than 10 rows or clusters for each fold, or the name of a column is a
            pattern.
    """
    for name, value, top in (("tolerance", tolerance, 0.5), ("alpha", alpha, 1), ("confidence", confidence, 1)):
        if not 0 <= value < top:
            raise DeclarationError(f"multivariate drift: {name} is {value}, it lies between 0 and {top}")
    for what, frame in (("reference", reference), ("batch", current)):
        require_plain(what, frame.schema, objects=True)
    names = _names(reference, current, columns)
    rng = np.random.default_rng(seed)
    taken = [_taken(frame, rng) for frame in (reference, current)]
    units = [
        own if clusters is None else cluster_codes(clusters[side], frame.height)[own]
        for side, (own, frame) in enumerate(zip(taken, (reference, current), strict=True))
    ]
    matrix, categorical = _matrix([frame[own] for frame, own in zip((reference, current), taken, strict=True)], names)
    samples = _Samples(
        matrix=matrix,
        label=np.repeat([0.0, 1.0], [len(own) for own in taken]),
        folds=np.concatenate([_folds(own, rng) for own in units]),
        units=np.concatenate([units[0], units[1] + units[0].max() + 1]),
        categorical=categorical,
        clustered=clusters is not None,
    )
    found = [_Fold.fitted(samples, fold, seed) for fold in range(FOLDS)]
    auc = float(np.mean([fold.auc for fold in found]))
    error, chance = (
        math.sqrt(sum(parts)) / FOLDS for parts in zip(*((f.variance, f.chance) for f in found), strict=True)
    )
    width = NORMAL.inv_cdf((1 + confidence) / 2) * error
    chance *= _DEPENDENT
    p = math.erfc((auc - 0.5) / chance / math.sqrt(2)) / 2 if chance else float(auc <= 0.5)
    return MultivariateDrift(
        auc=auc,
        low=max(0.0, auc - width),
        high=min(1.0, auc + width),
        p=p,
        tolerance=tolerance,
        flagged=p <= alpha and auc - width > 0.5 + tolerance,
        columns=tuple(_parts(found, samples, names, rng)) if p <= alpha else (),
        rows_reference=len(taken[0]),
        rows_current=len(taken[1]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Samples:
    matrix: Floats
    label: Floats
    folds: Ints
    units: Ints
    categorical: list[int]
    clustered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fold:
    """A classifier, and what it says of the rows that it has not seen."""

    model: "lightgbm.Booster"
    rows: NDArray[np.bool_]
    auc: float
    variance: float
    chance: float

    @classmethod
    def fitted(cls, samples: _Samples, fold: int, seed: int) -> "_Fold":
        import lightgbm

        rows = samples.folds == fold
        data = lightgbm.Dataset(
            samples.matrix[~rows], samples.label[~rows], categorical_feature=samples.categorical, free_raw_data=True
        )
        model = lightgbm.train({**_PARAMETERS, "seed": seed + fold}, data, num_boost_round=_ROUNDS)
        scores = np.asarray(model.predict(samples.matrix[rows]), np.float64)
        after = samples.label[rows] == 1
        auc, variance = _area(scores[~after], scores[after], samples.units[rows], after, clustered=samples.clustered)
        n, m = int((~after).sum()), int(after.sum())
        chance = variance if samples.clustered else (n + m + 1) / (12 * n * m)
        return cls(model=model, rows=rows, auc=auc, variance=variance, chance=chance)


def _parts(
    found: Sequence[_Fold], samples: _Samples, names: Sequence[str], rng: np.random.Generator
) -> Iterator[tuple[str, float]]:
    """Yield the columns without which the area is smaller: by more than twice the error of that over the folds."""
    gains = np.sum([fold.model.feature_importance("gain") for fold in found], axis=0)
    used = [int(place) for place in np.argsort(-gains)[:NAMED] if gains[place] > 0]
    drops = {place: np.array([_without(fold, samples, place, rng) for fold in found]) for place in used}
    for place in sorted(used, key=lambda one: -float(drops[one].mean())):
        mean = float(drops[place].mean())
        if mean > max(_LEAST, 2 * float(drops[place].std(ddof=1)) / math.sqrt(FOLDS)):
            yield names[place], mean


def _without(fold: _Fold, samples: _Samples, place: int, rng: np.random.Generator) -> float:
    shuffled = samples.matrix[fold.rows]
    shuffled[:, place] = rng.permutation(shuffled[:, place])
    scores, after = np.asarray(fold.model.predict(shuffled)), samples.label[fold.rows] == 1
    return fold.auc - _placements(scores[~after], scores[after])[0].mean()


def _area(
    before: Floats, after: Floats, units: Ints, is_after: NDArray[np.bool_], *, clustered: bool
) -> tuple[float, float]:
    """Return the area under the curve and its variance."""
    parts = _placements(before, after)
    auc = float(parts[0].mean())
    if not clustered:
        return auc, sum(float(part.var(ddof=1)) / len(part) for part in parts)
    total = 0.0
    for part, own in zip(parts, (units[is_after], units[~is_after]), strict=True):
        sums = np.bincount(own, weights=part - auc)[np.bincount(own) > 0]
        count = len(sums)
        total += float((sums**2).sum()) * count / max(1, count - 1) / len(part) ** 2
    return auc, total


def _placements(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    """Return the share of the other side that each score of `after` exceeds and each of `before` falls short of.

    Ties count one half.
    """
    ordered = (np.sort(before), np.sort(after))
    over = (np.searchsorted(ordered[0], after, "left") + np.searchsorted(ordered[0], after, "right")) / 2 / len(before)
    under = (np.searchsorted(ordered[1], before, "left") + np.searchsorted(ordered[1], before, "right")) / 2
    return over, 1 - under / len(after)


def _names(reference: pl.DataFrame, current: pl.DataFrame, columns: Sequence[str] | None) -> list[str]:
    fit = ("number", "boolean", "text", "category")
    names = [name for name in reference.columns if name in current.columns] if columns is None else list(columns)
    for name in names:
        if name not in reference.columns or name not in current.columns:
            raise DeclarationError(f"multivariate drift: column {name!r} is not on both sides: name one that is")
        kinds = [kind_of(frame.schema[name]) for frame in (reference, current)]
        if kinds[0] != kinds[1]:
            types = " and ".join(str(frame.schema[name]) for frame in (reference, current))
            raise DeclarationError(f"multivariate drift: column {name!r} is {types} on the two sides: cast one of them")
    kept = [name for name in names if kind_of(reference.schema[name]) in fit]
    if not kept:
        raise DeclarationError("multivariate drift: no column of numbers, booleans or texts is on both sides")
    return kept


def _taken(frame: pl.DataFrame, rng: np.random.Generator) -> Ints:
    return np.sort(rng.permutation(frame.height)[:MAX_ROWS])


def _folds(units: Ints, rng: np.random.Generator) -> Ints:
    """Return the fold of each row: rows of one unit lie in one."""
    distinct, places = np.unique(units, return_inverse=True)
    if len(distinct) < 10 * FOLDS:
        raise ContractError(
            f"multivariate drift needs {10 * FOLDS} rows or clusters a side, one has {len(distinct)}: "
            "take a longer batch, or compare the columns one by one"
        )
    return (rng.permutation(len(distinct)) % FOLDS)[places]


def _matrix(frames: Sequence[pl.DataFrame], names: Sequence[str]) -> tuple[Floats, list[int]]:
    """Return both sides as one matrix, missing values as NaN, and the places of the columns that hold codes."""
    columns: list[Floats] = []
    codes: list[int] = []
    for place, name in enumerate(names):
        both = pl.concat([frame[name].cast(_wide(frame.schema[name])) for frame in frames])
        if both.dtype == pl.String:
            codes.append(place)
            counts = both.drop_nulls().alias("value").value_counts(sort=True)  # a column may be called "count"
            frequent = counts["value"][:_CODES].sort()
            both = both.cast(pl.Enum(frequent), strict=False).to_physical()
        columns.append(both.cast(pl.Float64).to_numpy())
    return np.stack(columns, axis=1), codes


def _wide(dtype: pl.DataType) -> pl.DataType:
    """Return the type that values are told apart by: both sides may differ in width."""
    if isinstance(dtype, pl.Duration):
        return pl.Duration("us")
    return pl.Float64() if dtype.is_numeric() or isinstance(dtype, pl.Boolean) else pl.String()
