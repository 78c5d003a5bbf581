"""Owns the past of a check as Dagster's event log has it: what it measured of earlier partitions, oldest first.

Each evaluation carries what it measured in its metadata (`resources.kept` packs it), so no database or store of
Penstock's own is needed and whatever instance runs the check next finds it. Which partitions are earlier the partitions
definition says: by time, else by its order; of several dimensions, those that are the same in all but time. Without
partitions each materialization that was checked is one, in the order of time.

However many partitions are asked for, the event log is asked a few times. Dagster has no call for the evaluations of
several partitions, so its table is read here; an event log that is no SQL database is asked once a partition.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES as COMPLETED,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

if TYPE_CHECKING:
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

MEASURED = "measured"
"""Key of the metadata under which an evaluation carries what it measured."""
_PAGE = 100
_AT_ONCE = 500
"""Records of one query: Dagster gives at most 1,000 events, SQLite before 3.32 takes 999 values."""

PartitionsDefinition = dg.PartitionsDefinition[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """One earlier evaluation: the newest of its partition.

    Attributes:
        key: Partition key; without partitions the time of the evaluation, ISO 8601 UTC.
        packed: What `resources.kept` holds of what was measured.
    """

    key: str
    packed: Mapping[str, str]


def earlier_evaluations(
    instance: dg.DagsterInstance,
    check: dg.AssetCheckKey,
    partition: str | None,
    partitions: PartitionsDefinition | None,
    *,
    limit: int,
) -> list[Earlier]:
    """Return the newest evaluations of the `limit` partitions before this one, oldest first.

    Args:
        instance: Holds the event log.
        check: The check.
        partition: This partition, or None.
        partitions: Partitions of the check; None where it has none.
        limit: Most partitions.
    """
    if partition is None or partitions is None:
        return _earlier_materializations(instance, check, limit)
    known = {one.partition_key for one in instance.event_log_storage.get_asset_check_partition_info([check])}
    before = order_before(instance, partitions, partition)
    keys = last_before((key for key in known if key is not None), before, limit=limit)
    records = _newest_evaluations(instance, check, keys)
    return [one for key in keys if key in records for one in _carried(key, records[key])]


def newest_materializations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str, partitions: PartitionsDefinition, *, limit: int
) -> dict[str, dg.EventLogRecord]:
    """Return the newest materializations of the `limit` partitions before this one and of this one, oldest first.

    Args:
        instance: Holds the event log.
        asset: The asset.
        partition: This partition.
        partitions: Partitions of the asset.
        limit: Most earlier partitions.
    """
    ids = instance.get_latest_storage_id_by_partition(asset, dg.DagsterEventType.ASSET_MATERIALIZATION)
    keys = last_before(ids, order_before(instance, partitions, partition), limit=limit)
    wanted = {ids[key]: key for key in (*keys, partition) if key in ids}
    found: dict[str, dg.EventLogRecord] = {}
    for some in _batches(list(wanted)):
        filtered = dg.AssetRecordsFilter(asset_key=asset, storage_ids=some)
        found |= {
            wanted[one.storage_id]: one for one in instance.fetch_materializations(filtered, limit=len(some)).records
        }
    return {key: found[key] for key in wanted.values() if key in found}


def last_materializations(instance: dg.DagsterInstance, asset: dg.AssetKey, *, limit: int) -> list[dg.EventLogRecord]:
    """Return the last `limit` materializations of an asset, the newest first."""
    found: list[dg.EventLogRecord] = []
    cursor, more = None, True
    while more and len(found) < limit:
        page = instance.fetch_materializations(asset, limit=min(_AT_ONCE, limit - len(found)), cursor=cursor)
        found += page.records
        cursor, more = page.cursor, page.has_more
    return found


def last_before(keys: Iterable[str], before: Callable[[str], Any], *, limit: int) -> list[str]:
    """Return the last `limit` of the keys that `before` gives a place, in order; see `order_before`."""
    places = {key: place for key in keys if (place := before(key)) is not None}
    ordered = sorted(places, key=places.__getitem__)
    return ordered[max(0, len(ordered) - limit) :]


def most_earlier(instance: dg.DagsterInstance, partitions: PartitionsDefinition | None) -> int | None:
    """Return how many partitions may lie before another one at most; None where there may be ever more of them."""
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        along = _time_dimension(partitions)
        return most_earlier(instance, partitions.partitions_defs[0].partitions_def) if along is None else None
    if isinstance(partitions, dg.StaticPartitionsDefinition):
        return len(partitions.get_partition_keys(dynamic_partitions_store=instance)) - 1
    return None


def _newest_evaluations(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, keys: Sequence[str]
) -> dict[str, AssetCheckExecutionRecord]:
    """Return the newest evaluation of each partition that has one which ran to its end."""
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        return {key: one for some in _batches(keys) for key, one in _selected(storage, check, some)}
    found = {
        key: storage.get_asset_check_execution_history(
            check, limit=1, status=COMPLETED, partition_filter=PartitionKeyFilter(key=key)
        )
        for key in keys
    }
    return {key: records[0] for key, records in found.items() if records}


def _selected(
    storage: "SqlEventLogStorage", check: dg.AssetCheckKey, keys: Sequence[str]
) -> Iterator[tuple[str, AssetCheckExecutionRecord]]:
    import sqlalchemy as sql
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

    column = AssetCheckExecutionsTable.c
    newest = (
        sql.select(sql.func.max(column.id))
        .where(
            column.asset_key == check.asset_key.to_string(),
            column.check_name == check.name,
            column.partition.in_(keys),
            column.execution_status.in_([status.value for status in COMPLETED]),
        )
        .group_by(column.partition)
    )
    with storage.index_connection() as connection:
        rows = connection.execute(sql.select(AssetCheckExecutionsTable).where(column.id.in_(newest))).mappings().all()
    for row in rows:
        yield row["partition"], AssetCheckExecutionRecord.from_db_row(row, key=check)


def _batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:  # Any: keys, or ids
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))


def _carried(key: str, record: AssetCheckExecutionRecord) -> Iterator[Earlier]:
    """Yield what an evaluation carries; what failed to run carries nothing."""
    evaluation = record.evaluation
    value = evaluation.metadata.get(MEASURED) if evaluation else None
    if isinstance(value, dg.JsonMetadataValue) and isinstance(value.data, dict):
        yield Earlier(key=key, packed=value.data)


def _earlier_materializations(instance: dg.DagsterInstance, check: dg.AssetCheckKey, limit: int) -> list[Earlier]:
    """Return the newest evaluation of each materialization but the current one, oldest first."""
    current = instance.fetch_materializations(check.asset_key, limit=1).records
    seen: set[object] = {current[0].storage_id} if current else set()
    found: list[Earlier] = []
    cursor: int | None = None
    while len(found) < limit:
        records = instance.event_log_storage.get_asset_check_execution_history(
            check, limit=_PAGE, cursor=cursor, status=COMPLETED
        )
        for record in records:
            target = record.evaluation.target_materialization_data if record.evaluation else None
            identity = target.storage_id if target is not None else record.run_id
            if identity not in seen:
                seen.add(identity)
                at = datetime.fromtimestamp(record.create_timestamp, UTC).isoformat(timespec="milliseconds")
                found += _carried(at, record)
        if len(records) < _PAGE:
            break
        cursor = records[-1].id
    return list(reversed(found[:limit]))


def order_before(
    instance: dg.DagsterInstance, partitions: PartitionsDefinition, partition: str
) -> Callable[[str], Any]:  # Any: what Python can order
    """Return the function that gives keys before `partition` their place, and all others None."""
    if isinstance(partitions, dg.TimeWindowPartitionsDefinition):
        return _before(lambda key: _start(partitions, key), partition)
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        return _before_in_time(instance, partitions, partition)
    keys = partitions.get_partition_keys(dynamic_partitions_store=instance)
    places = {key: place for place, key in enumerate(keys)}
    return _before(places.get, partition)


def time_window_of(partitions: PartitionsDefinition | None, key: str) -> dg.TimeWindow | None:
    """Return the window of a key, of several dimensions by the one of time; None where none is of time."""
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        along = _time_dimension(partitions)
        return None if along is None else time_window_of(along[1], _dimensions(partitions, key)[along[0]])
    if isinstance(partitions, dg.TimeWindowPartitionsDefinition):
        return partitions.time_window_for_partition_key(key)
    return None


def _before(place: Callable[[str], Any], partition: str) -> Callable[[str], Any]:  # Any: as above
    own = place(partition)

    def before(key: str) -> Any:  # Any: as above
        found = place(key)
        return found if found is not None and own is not None and found < own else None

    return before


def _start(partitions: dg.TimeWindowPartitionsDefinition, key: str) -> datetime | None:
    try:
        return partitions.time_window_for_partition_key(key).start
    except ValueError:  # a key of an earlier definition
        return None


def _before_in_time(
    instance: dg.DagsterInstance, partitions: dg.MultiPartitionsDefinition, partition: str
) -> Callable[[str], Any]:  # Any: as above
    first = partitions.partitions_defs[0]
    along, definition = _time_dimension(partitions) or (first.name, first.partitions_def)
    own = _dimensions(partitions, partition)
    inner = order_before(instance, definition, own[along])

    def before(key: str) -> Any:  # Any: as above
        parts = _dimensions(partitions, key)
        same = set(parts) == set(own) and all(parts[name] == own[name] for name in own if name != along)
        return inner(parts[along]) if same else None

    return before


def _time_dimension(partitions: dg.MultiPartitionsDefinition) -> tuple[str, PartitionsDefinition] | None:
    named = ((one.name, one.partitions_def) for one in partitions.partitions_defs)
    return next((one for one in named if isinstance(one[1], dg.TimeWindowPartitionsDefinition)), None)


def _dimensions(partitions: dg.MultiPartitionsDefinition, key: str) -> Mapping[str, str]:
    """Return dimension to key; the text of a key has them in alphabetical order of the dimensions."""
    if isinstance(key, dg.MultiPartitionKey):
        return key.keys_by_dimension
    names = sorted(one.name for one in partitions.partitions_defs)
    return dict(zip(names, key.split("|"), strict=False))
