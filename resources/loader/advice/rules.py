"""Owns the judgement of how a dataset is loaded: what was found and measured becomes advice, ordered by what it gains.

Pure functions: every number in the advice was taken from files (`advice_facts`) or measured (`advice_measure`).
"""

from collections.abc import Iterator

from resources.loader.advice.values import Advice, Facts, Measured
from resources.loader.views import DECODED_BYTES
from resources.wording import count, size

WORTH = 1.15
"""A measured gain below this is noise of a few seconds on a shared machine."""
MUCH = 0.1
"""Share of the time or the bytes from which on something is told."""


def advise(facts: Facts, measured: Measured) -> list[Advice]:
    """Return what to change, the largest gain first; nothing if nothing is to be gained."""
    rules = (_packing, _exact, _order, _threads, _files, _sorted, _wide, _memory, _dictionary, _nulls, _disk)
    found = [advice for rule in rules for advice in rule(facts, measured)]
    return sorted(found, key=lambda advice: -(advice.gain or 0.0))


def limits(facts: Facts, measured: Measured) -> list[Advice]:
    """Return what was measured, against the limit of this machine."""
    window = measured.bytes_per_s(measured.orders["window"])
    share = window / measured.memcpy_bytes_per_s
    told = [
        Advice(
            what="order window",
            found=f"{count(measured.orders['window'])} rows/s, {size(window)}/s",
            advice=f"{share:.0%} of what memory copies: {size(measured.memcpy_bytes_per_s)}/s",
        )
    ]
    if measured.cold_bytes_per_s is not None:
        per_row = measured.file_bytes / max(measured.sample_rows, 1)
        rows_per_s = measured.cold_bytes_per_s / max(per_row, 1e-9)
        told.append(
            Advice(
                what="disk",
                found=f"{size(measured.cold_bytes_per_s)}/s cold, {size(facts.size_bytes)} of rows",
                advice=f"a first epoch is read at {count(rows_per_s)} rows/s at most",
            )
        )
    return told


def _packing(facts: Facts, measured: Measured) -> Iterator[Advice]:
    packed = measured.packed.get("window", 0.0)
    gain = packed / measured.orders["window"]
    if gain < WORTH:
        return
    loop_s = measured.sample_rows / measured.orders["window"]
    share = min(measured.decode_s / loop_s, 1.0) if facts.is_decoded else 0.0
    of_time = f", decoding takes {share:.0%} of the time" if share >= MUCH else ""
    yield Advice(
        what="layout",
        found=f"{_shards(facts)}{of_time}",
        advice=f"penstock pack DATA --as NAME: {count(packed)} instead of {count(measured.orders['window'])} rows/s",
        gain=gain,
    )


def _exact(facts: Facts, measured: Measured) -> Iterator[Advice]:
    """Rows of a batch of order `exact` lie in all shards; of those, some stay open, the others are decoded for it."""
    packed = measured.packed.get("exact")
    stay_open = max(DECODED_BYTES // max(facts.shard_bytes, 1), 2)
    opened = min(measured.batch_size, facts.shards) - stay_open
    if not facts.is_decoded or packed is None or opened <= 0:
        return
    shard_s = measured.decode_s * facts.shard_bytes / max(measured.sample_bytes, 1)
    rows_per_s = measured.batch_size / max(opened * shard_s, 1e-9)
    if packed / rows_per_s >= WORTH:
        yield Advice(
            what="order exact",
            found=f"a batch decodes {opened:,} of {facts.shards:,} shards again, {shard_s * 1e3:.3g} ms each: "
            f"{count(rows_per_s)} rows/s",
            advice=f"pack the data before loading it in order exact: {count(packed)} rows/s",
            gain=packed / rows_per_s,
        )


def _order(facts: Facts, measured: Measured) -> Iterator[Advice]:
    gain = measured.orders.get("run", 0.0) / measured.orders["window"]
    if facts.kind == "packed" and gain >= WORTH:
        yield Advice(
            what="order",
            found=f"packed: rows lie in random order; run loads {count(measured.orders['run'])} rows/s",
            advice='order="run": its batches are as random as those of window here',
            gain=gain,
        )


def _threads(facts: Facts, measured: Measured) -> Iterator[Advice]:
    if not measured.threads:
        return
    best = max(measured.threads, key=lambda threads: measured.threads[threads])
    gain = measured.threads[best] / measured.orders["window"]
    if gain >= WORTH:
        yield Advice(
            what="threads",
            found=f"{best} copy {count(measured.threads[best])} rows/s in order window",
            advice=f"threads={best}",
            gain=gain,
        )


def _files(facts: Facts, measured: Measured) -> Iterator[Advice]:
    opening_s = measured.open_s * facts.files
    loading_s = facts.rows / measured.orders["window"]
    if facts.files > 1 and opening_s >= MUCH * loading_s:
        each = size(facts.size_bytes / facts.files)
        yield Advice(
            what="files",
            found=f"{facts.files:,} files of {each}: opening takes {measured.open_s * 1e3:.3g} ms each, "
            f"{opening_s:.2g} s before the first batch",
            advice=f"penstock pack DATA --as NAME: an epoch takes {loading_s:.2g} s beside that",
            gain=(opening_s + loading_s) / loading_s,
        )


def _sorted(facts: Facts, measured: Measured) -> Iterator[Advice]:
    names = [column.name for column in facts.columns if column.is_sorted]
    far = {order: spread for order, spread in measured.spread.items() if spread > 1 + MUCH * 10}
    if names and facts.kind != "packed" and far:
        told = ", ".join(f"{order} {spread:.1f}x" for order, spread in far.items())
        yield Advice(
            what="order of rows",
            found=f"sorted by {names[0]}: batches differ from each other more than random ones do ({told})",
            advice='penstock pack DATA --as NAME, which shuffles all rows; or order="exact"',
        )


def _wide(facts: Facts, measured: Measured) -> Iterator[Advice]:
    if len(facts.columns) < 2:
        return
    widest = max(facts.columns, key=lambda column: column.share)
    if widest.share > 0.5:
        yield Advice(
            what="columns",
            found=f"{widest.name} has {widest.share:.0%} of the bytes of {len(facts.columns)} columns",
            advice="columns=[...] without it, where it is not needed",
        )


def _memory(facts: Facts, measured: Measured) -> Iterator[Advice]:
    held = 2 * facts.window_shards * facts.shard_bytes
    if facts.is_decoded and held > facts.size_bytes * 0.5 and facts.size_bytes > 2**30:
        yield Advice(
            what="row groups",
            found=f"{facts.shard_rows:,} rows, {size(facts.shard_bytes)} decoded: two windows hold {size(held)}",
            advice="smaller row groups, or pack: packed shards are mapped and need no memory of their own",
        )


def _dictionary(facts: Facts, measured: Measured) -> Iterator[Advice]:
    swollen = [column for column in facts.columns if column.dictionary_bytes]
    if swollen:
        worst = max(swollen, key=lambda column: column.dictionary_bytes)
        more = f" and {len(swollen) - 1} more columns" if len(swollen) > 1 else ""
        yield Advice(
            what="dictionary",
            found=f"{worst.name}{more} take {size(sum(column.dictionary_bytes for column in swollen))} more than plain "
            "columns in the files looked at",
            advice="write them with use_dictionary=False, or pack",
        )


def _nulls(facts: Facts, measured: Measured) -> Iterator[Advice]:
    holed = [column for column in facts.columns if column.nulls and column.is_number]
    numbers = sum(column.is_number for column in facts.columns)
    if holed and numbers > 1:
        yield Advice(
            what="nulls",
            found=f"{len(holed)} of {numbers} columns of numbers hold nulls, such as {holed[0].name}",
            advice="fill them where the data is made: with nulls they stay out of the matrices of penstock pack",
        )


def _disk(facts: Facts, measured: Measured) -> Iterator[Advice]:
    if measured.cold_bytes_per_s is None or not measured.file_bytes:
        return
    cold_s = measured.file_bytes / measured.cold_bytes_per_s
    loop_s = measured.sample_rows / measured.orders["window"]
    if cold_s > loop_s and not facts.codecs and not facts.is_decoded:
        yield Advice(
            what="disk",
            found=f"cold reads of {size(measured.cold_bytes_per_s)}/s are slower than the loop",
            advice="read fewer columns, or keep the data in memory between epochs: the disk is the limit of the first",
        )


def _shards(facts: Facts) -> str:
    names = {"parquet": ("Parquet", "row groups"), "packed": ("packed", "shards"), "mds": ("MDS", "shards")}
    names |= {"litdata": ("LitData", "chunks")}
    kind, parts = names.get(facts.kind, (facts.kind.capitalize(), "batches"))
    told = f"{kind}, {facts.shards:,} {_ONE[parts] if facts.shards == 1 else parts}"
    codec = f", {'/'.join(facts.codecs)}" if facts.codecs else ""
    return f"{told} of {facts.shard_rows:,} rows{codec}"


_ONE = {"row groups": "row group", "shards": "shard", "chunks": "chunk", "batches": "batch"}
