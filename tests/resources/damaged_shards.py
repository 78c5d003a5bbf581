"""Damages Arrow and Parquet files at random and loads each; a script, as a crash would end its process.

Called with a scratch folder, what is damaged (`offsets` or `anything`), the number of rounds and a seed. Errors of the
loader are what is wanted; any other ends the script, and so do offsets that Arrow's own full validation refuses and we
did not. It prints how many rounds ended in an error.
"""

import random
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from resources.errors import LoaderError
from resources.loader import Loader
from resources.loader.packing import packed, packed_schema

ROWS = 400
ORDERS = ("sequential", "run", "window", "exact")


def table(rng: random.Random) -> pa.RecordBatch:
    """Return columns of every kind that points somewhere, and numbers, two of them packed."""
    words = [rng.choice(("", "a", "penstock", "x" * 90)) for _ in range(ROWS)]
    batch = pa.record_batch(
        {
            "half": pa.array([number / 2 for number in range(ROWS)]),
            "third": pa.array([number / 3 for number in range(ROWS)]),
            "text": pa.array(words),
            "blob": pa.array([word.encode() * 20 for word in words], pa.binary()),
            "large": pa.array(words, pa.large_string()),
            "holed": pa.array([word or None for word in words]),
            "list": pa.array([list(range(number % 6)) for number in range(ROWS)], pa.list_(pa.int32())),
            "wide": pa.array([[word] * (number % 3) for number, word in enumerate(words)], pa.large_list(pa.string())),
            "map": pa.array([[(word, number)] for number, word in enumerate(words)], pa.map_(pa.string(), pa.int64())),
            "struct": pa.array([{"a": word, "b": number} for number, word in enumerate(words)]),
            "category": pa.array(words).dictionary_encode(),
            "number": pa.array(range(ROWS), pa.int64()),
            "flag": pa.array([number % 3 == 0 for number in range(ROWS)]),
        }
    )
    return packed(batch, packed_schema(batch.schema, holed=["holed"]))


def places_of_offsets(path: Path) -> list[int]:
    """Return where the bytes of all offsets lie in a file."""
    data = pa.py_buffer(path.read_bytes())
    found: list[int] = []

    def collect(array: pa.Array) -> None:
        kind = array.type
        wide = kind == pa.large_string() or pa.types.is_large_list(kind)
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        if lists or kind in (pa.string(), pa.binary(), pa.large_string()):
            start = array.buffers()[1].address - data.address
            found.extend(range(start, start + (8 if wide else 4) * (len(array) + 1)))
        if lists:
            collect(array.values)
        if pa.types.is_struct(kind):
            for number in range(kind.num_fields):
                collect(array.field(number))

    for column in pa.ipc.open_file(data).get_batch(0).columns:
        collect(column)
    return found


def is_valid(path: Path) -> bool:
    """Return whether Arrow finds nothing wrong, value by value."""
    try:
        pa.ipc.open_file(pa.py_buffer(path.read_bytes())).get_batch(0).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def load(path: Path, rng: random.Random) -> None:
    """Load all rows, of all columns or of some, as Arrow and, where it has a form, as numpy."""
    columns = rng.choice((None, ["text", "list", "third"], ["wide", "map"], ["large", "blob", "number"], ["category"]))
    loader = Loader(
        path, rng.choice((1, 37, 500)), order=rng.choice(ORDERS), columns=columns, threads=rng.choice((0, 2))
    )
    for batch in loader:
        for column in batch.columns:
            column.take(pa.array([0], pa.int64()))
    if columns and not {"wide", "map", "category"} & set(columns):
        for _ in loader.numpy():
            pass


def main(folder: Path, what: str, rounds: int, seed: int) -> None:
    """Damage one file of each format again and again."""
    rng = random.Random(seed)
    batch, errors = table(rng), 0
    arrow, parquet = folder / "whole.arrow", folder / "whole.parquet"
    with pa.ipc.new_file(arrow, batch.schema) as writer:
        writer.write_batch(batch)
    pq.write_table(pa.Table.from_batches([batch]), parquet, row_group_size=150)
    offsets = places_of_offsets(arrow)
    for _ in range(rounds):
        metadata = rng.random() < 0.5
        whole = arrow if what == "offsets" or rng.random() < 0.7 else parquet
        data = bytearray(whole.read_bytes())
        for _ in range(rng.choice((1, 2, 8, 64))):
            anywhere = rng.randrange(len(data) - 3_000, len(data)) if metadata else rng.randrange(len(data))
            data[rng.choice(offsets) if what == "offsets" else anywhere] = rng.randrange(256)
        path = folder / f"damaged{whole.suffix}"
        path.unlink(missing_ok=True)  # the one before may still be mapped
        path.write_bytes(data)
        try:
            load(path, rng)
            if what == "offsets":
                Loader(path, 100, threads=0).__iter__().__next__()
        except LoaderError:
            errors += 1
        else:
            if what == "offsets" and not is_valid(path):
                raise AssertionError("offsets that Arrow refuses were followed")
    print(errors)


main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
