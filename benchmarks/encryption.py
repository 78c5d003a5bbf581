"""What encryption at rest costs: the processor time of an encrypted store beside that of a plain one, both in a folder.

Of several runs the cheapest counts. Nothing here waits for a network, so in a remote store the shares are smaller.

    python benchmarks/encryption.py [--quick] [--json FILE]
"""

import os
import secrets
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _report import Row, compared, parser, report
from _usage import timed

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from resources.storage.data_key import make_user_key
from resources.storage.files import borrowed, put_file
from resources.storage.store import Store, open_store

RUNS = 5
RANGE_BYTES = 64 * 2**10
SMALL_BYTES = 300


def costs(folder: Path, key: Path | None, size_bytes: int, times: int) -> dict[str, float]:
    """Return work to CPU milliseconds on a new store in `folder`."""
    store = opened(folder, key)
    source = folder / "source"
    found: dict[str, float] = {}
    stored = []

    def put() -> None:
        stored.append(put_file(store, source))

    def prepare() -> None:
        source.unlink(missing_ok=True)
        source.write_bytes(secrets.token_bytes(size_bytes))

    found[f"store a file of {size_bytes / 2**20:.0f} MiB"] = cheapest(put, before=prepare)
    file = stored[-1]

    def open_first() -> None:
        with borrowed(store, [file]):
            pass

    def forget() -> None:
        os.utime(store_file(folder, file.key))  # else the process remembers that it has hashed the file

    found["open it for the first time in a process"] = cheapest(open_first, before=forget)
    starts = [number * 7_919 * RANGE_BYTES % (size_bytes - RANGE_BYTES) for number in range(times)]
    found[f"read {times:,} ranges of 64 KiB"] = cheapest(
        lambda: [store.get_range(file.key, start, start + RANGE_BYTES) for start in starts]
    )
    store.put("refs/x", os.urandom(SMALL_BYTES))
    found[f"read a ref {times:,} times"] = cheapest(lambda: [store.get("refs/x") for _ in range(times)])
    return found


def cheapest(work: Callable[[], object], *, before: Callable[[], object] = lambda: None) -> float:
    """Return the least CPU milliseconds of several runs."""
    spent: list[float] = []
    for _ in range(RUNS):
        before()
        spent.append(timed(work)["cpu_s"] * 1000)
    return min(spent)


def store_file(folder: Path, key: str) -> Path:
    """Return where a value lies."""
    return folder / "store" / key


def opened(folder: Path, key: Path | None) -> Store:
    """Return a store of its own below `folder`."""
    return open_store(str(folder / "store"), cache=folder / "cache", encryption_key=key, scratch=folder / "scratch")


def rows(size_bytes: int, times: int) -> list[Row]:
    """Return every measurement."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_user_key(folder / "key")
        for name in ("plain", "encrypted"):
            (folder / name).mkdir()
        theirs = costs(folder / "plain", None, size_bytes, times)
        ours = costs(folder / "encrypted", folder / "key", size_bytes, times)
    return [
        compared(work, "encrypted", value, "ms CPU", peer="plain", peer_value=theirs[work])
        for work, value in ours.items()
    ]


def main() -> None:
    """Measure and print every row."""
    options = parser(__doc__ or "").parse_args()
    report(rows(*((32 * 2**20, 200) if options.quick else (256 * 2**20, 2_000))), options.json)


if __name__ == "__main__":
    main()
