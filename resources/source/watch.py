"""Owns a look at a watched source: which partitions hold other content than what is remembered of them.

It requests nothing and knows no Dagster; `pipelines.automation` does. A file that changes while it is looked at is left
for the next look, and a file whose bytes did not change is no change, whatever its dates say.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from quality.contract import Contract
from resources.canonical import digest_value
from resources.source.listing import DIGEST_DIGITS, PLACE, SourceFile, content_digest, file_at, files_of
from resources.source.location import plain_errors, resolve
from resources.source.partitions import partition_digests
from resources.source.spec import EventTime, Source
from resources.source.watched import Change, Seen, Watched

QUIET_S = 2.0
"""A local file younger than this may still be being written: a look waits until it is this old, and looks again."""
BUDGET_S = 30.0
"""After this many seconds a look takes up no further file; the next look goes on there."""
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look found.

    Attributes:
        changes: Partitions whose content is new, in the order of their keys.
        seen: What is to be remembered.
        notes: What a person should know, in plain words.
    """

    changes: tuple[Change, ...]
    seen: Watched
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a look may take.

    Attributes:
        quiet_s: Age at which a local file counts as completely written, in seconds.
        budget_s: Seconds after which no further file is taken up.
    """

    quiet_s: float = QUIET_S
    budget_s: float = BUDGET_S


def changed_partitions(
    source: Source,
    contract: Contract,
    *,
    event_time: EventTime | None,
    key_of: Callable[[datetime], str] | None,
    keys: Sequence[str] | None,
    seen: Watched,
    scratch: Path,
    pace: Pace = Pace(),
) -> Look:
    """Return which partitions of `source` hold other content than `seen` remembers.

    Args:
        source: What is watched.
        contract: Columns of a row.
        event_time: When a row happened; needed where one file holds several partitions.
        key_of: Gives the partition key of an instant; needed where one file holds several partitions.
        keys: Keys of the partitions there are, in order; None for a pipeline without partitions.
        seen: What is remembered.
        scratch: Folder under which a sample is generated.
        pace: How long the look may take.

    Raises:
        SourceError: If the source cannot be read. Nothing is missed: the next look tells.
    """
    started = time.time()
    url = resolve(source, scratch=scratch).url
    with plain_errors(url):
        if keys is None:
            look = _look_at_files(lambda: {"": file_at(url)}, ("",), seen, pace)
        elif PLACE in url:
            look = _look_at_files(lambda: files_of(url, keys), keys, seen, pace)
        else:
            look = _look_into_file(
                url, keys, seen, pace, lambda: partition_digests(source, contract, event_time, key_of)
            )
    return replace(look, seen=replace(look.seen, looked_at_s=int(started)))


def _look_at_files(
    list_files: Callable[[], Mapping[str, SourceFile]], keys: Sequence[str], seen: Watched, pace: Pace
) -> Look:
    """Compare files of one partition each."""
    deadline = time.monotonic() + pace.budget_s
    files = list_files()
    suspects = [key for key in keys if key in files and _may_have_changed(files[key], seen.partitions.get(key))]
    if suspects:
        _wait_until_quiet([files[key] for key in suspects], pace.quiet_s)
    digests, unreadable = _digests(files, suspects, deadline)
    late = [key for key in suspects if key not in digests and key not in unreadable]
    after = list_files() if digests else files
    steady = [key for key in digests if key in after and after[key] == files[key]]
    compared = {key: seen.compared(key, digests[key], stamp=files[key].stamp) for key in steady}
    return Look(
        changes=tuple(change for _, change in compared.values() if change),
        seen=replace(seen, partitions={**seen.partitions, **{key: entry for key, (entry, _) in compared.items()}}),
        notes=(
            *_note("no file yet for the source's url", not files),
            *_note_keys("no declared and complete partition", sorted(set(files) - set(keys))),
            *_note_keys("left for the next look, still being written", [key for key in digests if key not in steady]),
            *_note_keys("left for the next look, unreadable", unreadable),
            *_note_keys("left for the next look, for lack of time", late),
        ),
    )


def _may_have_changed(file: SourceFile, known: Seen | None) -> bool:
    return known is None or not file.stamp or file.stamp != known.stamp


def _wait_until_quiet(files: Sequence[SourceFile], quiet_s: float) -> None:
    now = time.time()
    # A file dated into the future tells nothing of its age.
    ages = [now - file.modified_at for file in files if file.modified_at is not None and file.modified_at <= now]
    time.sleep(max(0.0, quiet_s - min(ages, default=quiet_s)))


def _digests(files: Mapping[str, SourceFile], keys: Sequence[str], deadline: float) -> tuple[dict[str, str], list[str]]:
    """Return the digests of the files in order, at least one and no further after the deadline, and the unreadable."""
    digests: dict[str, str] = {}
    unreadable: list[str] = []
    for key in keys:
        if digests and time.monotonic() > deadline:
            break
        try:
            digests[key] = content_digest(files[key])
        except OSError:  # one damaged file must not hold up the others
            unreadable.append(key)
    return digests, unreadable


def _look_into_file(
    url: str, keys: Sequence[str], seen: Watched, pace: Pace, contents: Callable[[], Mapping[str, str]]
) -> Look:
    """Compare the partitions of one file; its rows are read only if the file or the set of partitions changed."""
    before = file_at(url)
    # A partition that became complete since must be found in a file that did not change.
    stamp = f"{before.stamp}.{digest_value([*keys])[:6]}" if before.stamp else ""
    if stamp and stamp == seen.file:
        return Look(changes=(), seen=seen)
    _wait_until_quiet([before], pace.quiet_s)
    digests = contents()
    if file_at(url) != before:
        return Look(changes=(), seen=seen, notes=("left for the next look: the file changed while it was looked at",))
    declared = {key: digests[key][:DIGEST_DIGITS] for key in keys if key in digests}
    compared = {key: seen.compared(key, digest) for key, digest in declared.items()}
    return Look(
        changes=tuple(change for _, change in compared.values() if change),
        seen=replace(
            seen, file=stamp, partitions={**seen.partitions, **{key: entry for key, (entry, _) in compared.items()}}
        ),
        notes=tuple(_note_keys("no declared and complete partition", sorted(set(digests) - set(keys)))),
    )


def _note(text: str, holds: bool) -> tuple[str, ...]:
    return (text,) if holds else ()


def _note_keys(text: str, keys: Sequence[str]) -> tuple[str, ...]:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return _note(f"{text}: {', '.join(keys[:_SHOWN])}{more}", bool(keys))
