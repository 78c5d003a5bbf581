"""Owns the way of one raw file, or the part of it that is one partition, into an immutable snapshot.

Reading, judging and writing run side by side; the outcome is the same for any number of threads and any size of blocks.
It knows no Dagster; `assets.ingest` does.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quality.contract import Contract
from quality.contract.arrow import empty_table
from resources.canonical import canonical_json
from resources.errors import SourceError
from resources.expectations import folding_of, remember_folded
from resources.refs import DatasetRef
from resources.source.events import clocked_contract, instant_of, microseconds, stored_schema
from resources.source.judging import Judge, Span
from resources.source.location import Fingerprint, ResolvedSource, file_url, fingerprint, redacted, resolve
from resources.source.parallel import ordered_map, usable_cores
from resources.source.placing import Intake, Quarantine, quarantine_schema
from resources.source.reading import BLOCK_BYTES, Reading, open_reading
from resources.source.report import IngestReport
from resources.source.sample import partition_file
from resources.source.spec import EventTime, Source
from resources.storage.datasets import SnapshotWriter
from resources.storage.objects import put_object
from resources.storage.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

    from quality.profile import Profile
    from quality.suites.folding import Folding

__all__ = ["IngestReport", "Ingested", "ingest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What an ingest made.

    Attributes:
        ref: The snapshot; it names quarantine and report.
        report: What was read, kept and rejected.
        quarantine: Dataset of the rejected rows, or None if there were none.
    """

    ref: DatasetRef
    report: IngestReport
    quarantine: DatasetRef | None


def ingest(
    source: Source,
    contract: Contract,
    *,
    store: Store,
    scratch: Path,
    partition: str | None = None,
    bounds: tuple[datetime, datetime] | None = None,
    event_time: EventTime | None = None,
    suite: Sequence[Mapping[str, Any]] = (),
    profiled: bool = False,
    threads: int | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Ingested:
    """Snapshot the rows of `source` that fit `contract`, and quarantine those that do not.

    Args:
        source: Where the file lies.
        contract: What rows must be.
        store: Where snapshot, quarantine and report go.
        scratch: Folder for unfinished files.
        partition: Key of the partition; fills in `{partition}` of the URL.
        bounds: First instant of the partition and the first after it, zone-aware; needs `event_time`. Of a file that
            holds all partitions, other rows are left out; in a file of one partition they are rejected.
        event_time: When a row happened.
        suite: Great Expectations suite that is run on the rows as they pass; `resources.expectations.suite_result`
            recalls what it said.
        profiled: Whether to profile them meanwhile; the snapshot names the profile.
        threads: Blocks judged at a time; None means one for each processor. The outcome does not depend on it.
        block_bytes: About how much is read at a time; nor on this.

    Raises:
        SourceError: If the file is missing, unreadable, has no row of the partition, or changes meanwhile.
        ContractError: If its columns are not the contract's, or none of its rows fits.
        DeclarationError: If a clock has no zone, or the event time does not fit the contract.
        StoreError: If the store or the scratch folder cannot be written.
    """
    if bounds is not None and event_time is None:
        raise SourceError(f"partition {partition!r} needs an event time: declare event_time")
    resolved = resolve(source, scratch=scratch)
    url = file_url(resolved.url, partition)
    if resolved.sample and resolved.templated and partition is not None:
        partition_file(source, scratch, partition)
    judge = Judge(
        contract=clocked_contract(contract, event_time),
        schema=stored_schema(contract, event_time),
        event_time=event_time,
        span=Span(start_us=microseconds(bounds[0]), end_us=microseconds(bounds[1])) if bounds else None,
        own_file=resolved.templated,
    )
    with ExitStack() as stack:
        snapshot = stack.enter_context(SnapshotWriter(store, judge.schema, scratch=scratch))
        quarantine = stack.enter_context(Quarantine(store, quarantine_schema(judge), scratch=scratch))
        intake = Intake(judge, snapshot, quarantine)
        before = fingerprint(url)
        folding = folding_of(suite, judge.schema, judge.contract) if suite else None
        with open_reading(source, url, judge.contract, scratch=scratch, block_bytes=block_bytes) as reading:
            profile = _take_in(reading, intake, threads or usable_cores(), folding, profiled=profiled)
            digest = reading.digest()
        _check_unchanged(before, fingerprint(url), url)
        _check_rows(intake, url, partition)
        report = _report(intake, judge.contract, resolved, url, digest)
        partitions = (partition,) if partition else ()
        rejected = quarantine.commit(partitions=partitions)
        ref = snapshot.commit(
            partitions=partitions,
            profile_digest=None if profile is None else put_object(store, canonical_json(profile.to_json())),
            quarantine_digest=rejected.digest if rejected else None,
            report_digest=put_object(store, canonical_json(report.to_json())),
        )
    if folding is not None:
        remember_folded(store, suite, ref.digest, folding)
    return Ingested(ref=ref, report=report, quarantine=rejected)


def read_table(
    url: str, contract: Contract, *, scratch: Path, source: Source | None = None, event_time: EventTime | None = None
) -> "pa.Table":
    """Return all rows of a file that fits in memory, typed as `ingest` types them.

    Args:
        url: The file; its name tells the format unless `source` does.
        contract: What every row must be; `unique` is not asked for.
        scratch: Folder for a copy, where the format needs one.
        source: Gives format and options.
        event_time: When a row happened; needed where the contract has a clock without a zone.

    Raises:
        SourceError: If the file is missing or unreadable.
        ContractError: If columns or rows do not fit, with the first of them and all counts.
    """
    import pyarrow as pa

    from quality.contract.rows import refuse

    declared = source or Source(url=url)
    judge = Judge(
        contract=clocked_contract(contract, event_time),
        schema=stored_schema(contract, event_time),
        event_time=event_time,
        span=None,
        own_file=False,
    )
    tables = [empty_table(judge.schema)]
    findings = {}
    records = 0
    with open_reading(declared, url, judge.contract, scratch=scratch) as reading:
        for judged in (judge.judge(block) for block in reading.blocks):
            places = (judged.rejects.records + records).tolist()
            findings |= {row: list(why) for row, why in zip(places, judged.rejects.reasons, strict=True)}
            records += judged.records
            tables.append(judged.kept)
    refuse(findings, records)
    return pa.concat_tables(tables)


def _take_in(
    reading: Reading, intake: Intake, threads: int, folding: "Folding | None", *, profiled: bool
) -> "Profile | None":
    """Feed the file's blocks to `intake`, and the rows that it keeps to suite and profile."""
    from quality.scan import observe

    with closing(ordered_map(intake.judge.judge, reading.blocks, threads=threads)) as judged:
        kept = chain([empty_table(intake.judge.schema)], map(intake.add, judged))
        profile = observe(kept, folding, profiled=profiled)
    intake.finish()
    return profile


def _check_unchanged(before: Fingerprint, after: Fingerprint, url: str) -> None:
    if before != after:
        raise SourceError(
            f"{redacted(url)} changed while it was read (size {before.size_bytes} then, {after.size_bytes} now): "
            "run again once it is completely written"
        )


def _check_rows(intake: Intake, url: str, partition: str | None) -> None:
    if not intake.rows_read:
        raise SourceError(f"{redacted(url)} has columns but no rows: put the rows there, or correct the URL")
    if not intake.rows_here:
        raise SourceError(
            f"{redacted(url)} has no row of partition {partition}: none of its {intake.rows_read:,} rows has an event "
            f"time in it{intake.file_span()}; choose another partition, or wait for its rows"
        )
    if not intake.rows_kept:
        raise intake.nothing_fits()


def _report(intake: Intake, contract: Contract, resolved: ResolvedSource, url: str, digest: str) -> IngestReport:
    return IngestReport(
        rows_read=intake.rows_read,
        rows_kept=intake.rows_kept,
        rows_rejected=intake.rows_rejected,
        rows_outside=intake.rows_read - intake.rows_here,
        rows_unplaced=intake.rows_unplaced,
        reasons=dict(sorted(intake.reasons.items(), key=lambda item: (-item[1], item[0]))),
        max_rejected=contract.max_rejected,
        source_url=redacted(url),
        source_digest=digest,
        oldest=_iso(intake.oldest_us),
        newest=_iso(intake.newest_us),
        sample=resolved.sample,
    )


def _iso(time_us: int | None) -> str | None:
    return None if time_us is None else instant_of(time_us).isoformat()
