"""Owns the measure of mixing of the adviser: how much the batches of sorted data differ from each other."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from resources.loader.advice.sample import Sample
from resources.loader.loader import Loader
from resources.loader.order import OrderName
from resources.loader.sources import Source

_FIRSTS = 16
_FEWEST = 6


def spread_of(
    source: Source, sample: Sample, names: Sequence[str], batch_size: int, *, for_s: float
) -> dict[str, float]:
    """Return how much the first batches of some epochs differ in a sorted column, by order; 1 for random ones.

    The measure is the standard deviation of their means, over what it is of batches drawn at random.
    """
    if not names or source.is_stored or source.layout.total_rows < 4 * batch_size:
        return {}
    values = np.concatenate([_values(batch) for batch in Loader(sample.source, batch_size, columns=names[:1]).numpy()])
    expected = float(values.std()) / np.sqrt(batch_size)
    found: dict[str, float] = {}
    for order in ("run", "window"):
        means = _means(source, names[0], batch_size, order, for_s / 2)
        if len(means) >= _FEWEST and expected:
            found[order] = float(np.std(means)) / expected
    return found


def _means(source: Source, name: str, batch_size: int, order: OrderName, for_s: float) -> list[float]:
    end = time.perf_counter() + for_s
    means: list[float] = []
    for epoch in range(_FIRSTS):
        loader = Loader(source, batch_size, columns=[name], order=order, epoch=epoch, threads=0)
        values = _values(next(iter(loader.numpy())))
        means += [float(values.mean())] if len(values) else []
        if time.perf_counter() > end and len(means) >= _FEWEST:
            break
    return means


def _values(batch: Mapping[str, object]) -> NDArray[np.float64]:
    (column,) = batch.values()
    values = np.ma.getdata(np.ma.compressed(column)) if np.ma.isMaskedArray(column) else np.asarray(column)
    numbers = (values.view(np.int64) if values.dtype.kind in "mM" else values).astype(np.float64)
    return numbers[np.isfinite(numbers)]
