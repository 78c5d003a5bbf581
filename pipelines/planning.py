"""Owns what has to run for what was asked, and in which order; runs nothing and reads no data.

A model of partition *p* needs the features of the window before *p*, and window expressions the raw rows before that.
Of these only what was never made is planned; what was asked for is always planned, and its unchanged work is skipped
inside the stages.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipelines.spec import Pipeline
from resources.errors import DeclarationError
from resources.names import nearest
from resources.stages import STAGES

Made = Mapping[str, Collection[str]]
"""Stage to the partition keys for which it has a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Stages of one partition that run together, as one Dagster run.

    Attributes:
        partition: Partition key, or None without time partitions.
        stages: Stages in the order they run.
        asked: Whether the partition itself was asked for; otherwise another partition needs it.
    """

    partition: str | None
    stages: tuple[str, ...] = STAGES
    asked: bool = True


def plan(pipeline: Pipeline, asked: Iterable[str], *, made: Made) -> tuple[Step, ...]:
    """Return the steps for the partitions `asked`, in the order of time.

    Args:
        pipeline: The pipeline.
        asked: Partition keys; ignored without time partitions.
        made: What has a value already.
    """
    if pipeline.partitions is None:
        return (Step(partition=None),)
    keys = keys_of(pipeline)
    places = {key: place for place, key in enumerate(keys)}
    wanted = sorted({places[key] for key in asked})
    back = pipeline.features.lookback
    window = pipeline.train.window.partitions if pipeline.train.window else 0
    features = _before(wanted, window) - {places[key] for key in made.get("features", ()) if key in places}
    raw = _before([*wanted, *features], back) - {places[key] for key in made.get("raw", ()) if key in places}
    return tuple(_step(keys, place, wanted, features) for place in sorted({*wanted, *features, *raw}))


def keys_of(pipeline: Pipeline, *, now: datetime | None = None) -> tuple[str, ...]:
    """Return the keys of every partition of `pipeline` that is complete by `now`, in the order of time."""
    if pipeline.partitions is None:
        return ()
    return tuple(pipeline.partitions.definition().get_partition_keys(current_time=now))


def between(pipeline: Pipeline, first: str | None, last: str | None) -> tuple[str, ...]:
    """Return the keys from `first` to `last`, both inclusive; None means the first or last there is.

    Raises:
        DeclarationError: If a key is none of the pipeline's, or they are out of order.
    """
    keys = keys_of(pipeline)
    for key in (first, last):
        if key is not None:
            check_key(pipeline, keys, key)
    start = keys.index(first) if first else 0
    stop = keys.index(last) + 1 if last else len(keys)
    if start >= stop:
        raise DeclarationError(f"--from {first} comes after --to {last}: exchange them")
    return keys[start:stop]


def chosen(pipeline: Pipeline, keys: Sequence[str]) -> tuple[str, ...]:
    """Return `keys` without repeats, in the order of time.

    Raises:
        DeclarationError: If one is none of the pipeline's partitions, or it has no time partitions.
    """
    known = keys_of(pipeline)
    for key in keys:
        check_key(pipeline, known, key)
    return tuple(key for key in known if key in set(keys))


def check_key(pipeline: Pipeline, known: Sequence[str], key: str) -> None:
    """Refuse `key` unless it is one of `known`, naming the nearest."""
    if pipeline.partitions is None:
        raise DeclarationError(f"pipeline {pipeline.name!r} has no time partitions: leave --partition {key} out")
    if key not in known:
        span = f"{known[0]} to {known[-1]}" if known else "none that is complete yet"
        raise DeclarationError(
            f"partition {key!r} is none of pipeline {pipeline.name!r}; there are {span}{nearest(key, known)}"
        )


def held(pipeline: Pipeline, scratch: Path) -> tuple[str, ...]:
    """Return the keys of the partitions that the source holds, in the order of time.

    Args:
        pipeline: The pipeline.
        scratch: Folder under which a look-alike is generated where the real source is not given.

    Raises:
        SourceError: If the source cannot be read.
    """
    from resources.source.listing import files_of
    from resources.source.location import plain_errors, resolve
    from resources.source.partitions import partition_digests

    partitions, ingest, keys = pipeline.partitions, pipeline.ingest, keys_of(pipeline)
    if partitions is None:
        return ()
    url = resolve(ingest.source, scratch=scratch).url
    with plain_errors(url):
        if "{partition}" in url:
            found = set(files_of(url, keys))
        else:
            found = set(partition_digests(ingest.source, ingest.contract, ingest.event_time, partitions.key_of))
    return tuple(key for key in keys if key in found)


def window_of(pipeline: Pipeline, partition: str | None) -> set[str]:
    """Return the keys of the training window before `partition`; none without time partitions."""
    if pipeline.partitions is None or pipeline.train.window is None or partition is None:
        return set()
    keys = keys_of(pipeline)
    return {keys[place] for place in _before([keys.index(partition)], pipeline.train.window.partitions)}


def _before(places: Iterable[int], count: int) -> set[int]:
    return {earlier for place in places for earlier in range(max(0, place - count), place)}


def _step(keys: Sequence[str], place: int, wanted: Sequence[int], features: Collection[int]) -> Step:
    if place in wanted:
        return Step(partition=keys[place])
    stages = ("raw", "features") if place in features else ("raw",)
    return Step(partition=keys[place], stages=stages, asked=False)
