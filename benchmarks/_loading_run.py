"""Owns the loaders that are compared, each in its best mode, and one run of one of them in a process of its own.

`_loading_run.py FOLDER SUBJECT SECONDS` prints what it took as JSON. Every batch is copied once into a staging buffer,
whoever made it: views that nobody touches prove nothing.
"""

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import abc, import_module, machinery
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
BATCH = {"tabular": 4096, "tokens": 16, "blobs": 64}
_STAGE_BYTES = 2**24

Batches = Iterator[Any]  # Any: whatever the loader gives; `staged` knows them all
Subject = Callable[[Path], Batches]
SUBJECTS: dict[str, Subject] = {}
IMPORTS: dict[str, str] = {}


def subject(name: str, imports: str = "numpy") -> Callable[[Subject], Subject]:
    """Put a loader into the table under `KIND NAME`, with the module whose import is not counted."""

    def put(made: Subject) -> Subject:
        SUBJECTS[name], IMPORTS[name] = made, imports
        return made

    return put


class Stage:
    """The staging buffer that every batch is copied to."""

    def __init__(self) -> None:
        self._memory = np.zeros(_STAGE_BYTES, np.uint8)
        self._view = memoryview(self._memory)

    def copy(self, batch: Any) -> None:  # Any: arrays, tensors, bytes; lists and dicts of these
        """Copy all bytes of `batch`."""
        self._copy(batch, 0)

    def _copy(self, part: Any, at: int) -> int:
        if isinstance(part, dict):
            part = list(part.values())
        elif hasattr(part, "parts"):
            part = part.parts
        if isinstance(part, list | tuple):
            for item in part:
                at = self._copy(item, at)
            return at
        if isinstance(part, bytes | memoryview):
            self._view[at : at + len(part)] = part
            return at + len(part)
        if hasattr(part, "numpy"):
            part = part.numpy()
        elif not isinstance(part, np.ndarray):
            part = (
                np.asarray(part) if not hasattr(part, "size") or callable(part.size) else np.frombuffer(part, np.uint8)
            )
        size = part.nbytes
        np.copyto(self._memory[at : at + size].view(part.dtype).reshape(part.shape), part)
        return at + -(-size // 64) * 64


# --- The limit, and Penstock.


def _shards(folder: Path) -> list[dict[str, Any]]:
    import pyarrow as pa

    sys.path.insert(0, str(ROOT))
    from resources.loader.columns import fixed, matrix

    found = []
    for file in sorted(folder.iterdir()):
        batch = pa.ipc.open_file(pa.memory_map(str(file))).get_batch(0)
        layouts = {field.name: fixed(field.type) for field in batch.schema}
        found.append(
            {
                name: batch.column(name) if layout is None else matrix(batch.column(name), layout)[0]
                for name, layout in layouts.items()
            }
        )
    return found


def _slices(kind: str) -> Subject:
    def run(folder: Path) -> Batches:
        shards, size = _shards(folder / "ours" / kind), BATCH[kind]
        places = [
            (n, at) for n, one in enumerate(shards) for at in range(0, len(next(iter(one.values()))) - size, size)
        ]
        random.Random(1).shuffle(places)
        while True:
            for number, at in places:
                yield [part[at : at + size] for part in shards[number].values()]

    return run


@subject("blobs memcpy from the map")
def _blob_slices(folder: Path) -> Batches:
    shards, size = [one["b"] for one in _shards(folder / "ours" / "blobs")], BATCH["blobs"]
    places = [(n, at) for n, one in enumerate(shards) for at in range(0, len(one) - size, size)]
    random.Random(1).shuffle(places)
    bounds = [np.frombuffer(one.buffers()[1], np.int64) for one in shards]
    data = [np.frombuffer(one.buffers()[2], np.uint8) for one in shards]
    while True:
        for number, at in places:
            yield data[number][bounds[number][at] : bounds[number][at + size]]


SUBJECTS |= {f"{kind} memcpy from the map": _slices(kind) for kind in ("tabular", "tokens")}
IMPORTS |= {f"{kind} memcpy from the map": "numpy" for kind in ("tabular", "tokens")}


def _ours(kind: str, order: str) -> Subject:
    def run(folder: Path) -> Batches:
        from resources.loader import Loader

        loader = Loader(folder / "ours" / kind, BATCH[kind], order=order, seed=1, drop_last=True)
        while True:
            yield from loader.numpy()

    return run


_ORDERS = {"tabular": ("run", "window", "exact"), "tokens": ("run", "window"), "blobs": ("run", "window")}
for _kind, _orders in _ORDERS.items():
    for _order in _orders:
        SUBJECTS[f"{_kind} penstock {_order}"] = _ours(_kind, _order)
        IMPORTS[f"{_kind} penstock {_order}"] = "resources.loader"


# --- Peers.


def _source(folder: Path, kind: str) -> Any:  # Any: a random-access source, as Grain and torch want it
    """Return a class that gives one sample at a time out of a mapped file."""
    from _loading_data import mapped

    table = mapped(folder / "arrow" / f"{kind}.arrow")
    if kind == "blobs":
        column = table["b"].chunk(0)
        bounds, data = np.frombuffer(column.buffers()[1], np.int64), np.frombuffer(column.buffers()[2], np.uint8)
        return _Random(len(column), lambda row: data[bounds[row] : bounds[row + 1]].tobytes())
    parts = {}
    for name in table.column_names:
        column = table[name].chunk(0)
        flat = np.from_dlpack(column.values if hasattr(column, "values") else column)
        parts[name] = flat.reshape(len(column), -1) if hasattr(column, "values") else flat
    return _Random(table.num_rows, lambda row: {name: part[row] for name, part in parts.items()}, parts)


class _Random:
    def __init__(self, rows: int, sample: Callable[[int], Any], parts: dict[str, Any] | None = None) -> None:
        self._rows, self._sample, self.parts = rows, sample, parts

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, row: int) -> Any:
        return self._sample(row)


def _as_list(samples: Any) -> Any:  # Any: a batch, left as it is
    return samples


def _huggingface(kind: str, mode: str) -> Subject:
    def run(folder: Path) -> Batches:
        import datasets

        datasets.disable_progress_bars()
        size = BATCH[kind]
        found = datasets.load_from_disk(str(folder / "huggingface" / ("columns" if kind == "tabular" else kind)))
        while True:
            if mode == "iterable":
                shuffled = found.to_iterable_dataset(num_shards=64).shuffle(seed=1, buffer_size=10_000)
                yield from shuffled.with_format("numpy").batch(size)
            elif mode == "bytes":
                yield from found.shuffle(seed=1).iter(size)
            else:
                arrow, order = found.with_format("arrow"), np.random.default_rng(1).permutation(len(found))
                for start in range(0, len(order) - size, size):
                    table = arrow[order[start : start + size]].combine_chunks()
                    yield [_plain(column.chunk(0)) for column in table.columns]

    return run


def _plain(column: Any) -> Any:  # Any: an Arrow array to a numpy array
    flat = column.flatten() if hasattr(column, "flatten") and hasattr(column.type, "value_type") else column
    return np.from_dlpack(flat)


def _torch(kind: str, mode: str) -> Subject:
    def run(folder: Path) -> Batches:
        import torch
        from torch.utils.data import DataLoader, Dataset, TensorDataset

        class Batched(Dataset):  # type: ignore[type-arg]
            def __init__(self, parts: list[Any]) -> None:
                self._parts = parts

            def __len__(self) -> int:
                return len(self._parts[0])

            def __getitems__(self, rows: list[int]) -> list[Any]:
                wanted = torch.as_tensor(rows)
                return [part[wanted] for part in self._parts]

        parts = [torch.from_numpy(np.array(part)) for part in _source(folder, kind).parts.values()]
        while True:
            if mode == "batched":
                yield from DataLoader(Batched(parts), BATCH[kind], shuffle=True, collate_fn=_as_list)
            else:
                yield from DataLoader(TensorDataset(*parts), BATCH[kind], shuffle=True)

    return run


def _litdata(kind: str) -> Subject:
    def run(folder: Path) -> Batches:
        from litdata import StreamingDataLoader, StreamingDataset
        from litdata.streaming.item_loader import TokensLoader

        options = {"item_loader": TokensLoader(block_size=2048)} if kind == "tokens" else {}
        collate = {"collate_fn": _as_list} if kind == "blobs" else {}
        while True:
            found = StreamingDataset(str(folder / "litdata" / kind), shuffle=True, seed=1, **options)
            yield from StreamingDataLoader(found, batch_size=BATCH[kind], num_workers=0, **collate)

    return run


def _mds(kind: str) -> Subject:
    def run(folder: Path) -> Batches:
        streaming = import_streaming()
        streaming.base.util.clean_stale_shared_memory()
        found = streaming.StreamingDataset(local=str(folder / "mds" / kind), shuffle=True, batch_size=BATCH[kind])
        collate = _as_list if kind == "blobs" else None
        while True:
            yield from streaming.StreamingDataLoader(found, batch_size=BATCH[kind], num_workers=0, collate_fn=collate)

    return run


class _Unused(abc.MetaPathFinder, abc.Loader):
    """Stands in for packages that mosaicml-streaming imports and that these paths never use."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> machinery.ModuleSpec | None:
        if name.partition(".")[0] in ("torchvision", "transformers"):
            return machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: machinery.ModuleSpec) -> ModuleType:
        made = ModuleType(spec.name)
        made.__dict__["__path__"] = []
        made.__dict__["__getattr__"] = lambda name: type(name, (), {})
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Leave it empty."""


def import_streaming() -> Any:  # Any: a module
    """Return mosaicml-streaming."""
    sys.meta_path.insert(0, _Unused())
    return import_module("streaming")


def _webdataset(kind: str) -> Subject:
    def decode(sample: dict[str, Any]) -> Any:  # Any: bytes or arrays
        data = sample["bin"]
        if kind == "blobs":
            return data
        values = np.frombuffer(data, np.int32)
        return (values,) if kind == "tokens" else (values[:20].view("f4"), values[20:24], values[24:].view("f4"))

    def run(folder: Path) -> Batches:
        import webdataset as wds

        files = [str(file) for file in sorted((folder / "webdataset" / kind).iterdir())]
        buffer = 10_000 if kind == "tabular" else 1_000
        collate = {"collation_fn": _as_list} if kind == "blobs" else {}
        while True:
            found = wds.WebDataset(files, shardshuffle=100, seed=1, empty_check=False)
            yield from found.shuffle(buffer).map(decode).batched(BATCH[kind], **collate)

    return run


def _grain(kind: str) -> Subject:
    def run(folder: Path) -> Batches:
        import grain

        found = grain.MapDataset.source(_source(folder, kind)).shuffle(seed=1)
        size = BATCH[kind]
        batched = found.batch(size, batch_fn=_as_list) if kind == "blobs" else found.batch(size)
        while True:
            yield from iter(batched.to_iter_dataset(grain.ReadOptions(num_threads=0)))

    return run


def _lance(kind: str) -> Subject:
    def run(folder: Path) -> Batches:
        import lance

        found, size = lance.dataset(str(folder / "lance" / kind)), BATCH[kind]
        order = np.random.default_rng(1).permutation(found.count_rows())
        while True:
            for start in range(0, len(order) - size, size):
                table = found.take(order[start : start + size]).combine_chunks()
                if kind == "blobs":
                    yield [value.as_buffer() for value in table["b"].chunk(0)]
                else:
                    yield [_plain(column.chunk(0)) for column in table.columns]

    return run


@subject("tabular Ray Data", "ray.data")
def _ray(folder: Path) -> Batches:
    import logging

    import ray

    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    while True:
        found = ray.data.read_parquet(str(folder / "arrow" / "columns.parquet"), shuffle="files")
        yield from found.iter_batches(
            batch_size=4096,
            batch_format="numpy",
            local_shuffle_buffer_size=65_536,
            local_shuffle_seed=1,
            prefetch_batches=4,
        )


@subject("tabular polars gather", "polars")
def _polars(folder: Path) -> Batches:
    import polars as pl

    frame = pl.read_ipc(folder / "arrow" / "columns.arrow")
    order = np.random.default_rng(1).permutation(len(frame))
    while True:
        for start in range(0, len(order) - 4096, 4096):
            yield [column.to_numpy() for column in frame[order[start : start + 4096]].get_columns()]


for _kind in BATCH:
    for _name, _make, _module in (
        ("LitData", _litdata, "litdata"),
        ("MDS", _mds, "numpy"),
        ("WebDataset", _webdataset, "webdataset"),
        ("Grain", _grain, "grain"),
        ("Lance take", _lance, "lance"),
    ):
        subject(f"{_kind} {_name}", _module)(_make(_kind))
subject("tabular HF iterable", "datasets")(_huggingface("tabular", "iterable"))
subject("tokens HF arrow", "datasets")(_huggingface("tokens", "arrow"))
subject("blobs HF bytes", "datasets")(_huggingface("blobs", "bytes"))
subject("tabular torch DataLoader", "torch")(_torch("tabular", "default"))
subject("tabular torch batched in RAM", "torch")(_torch("tabular", "batched"))


# --- One run.


def _private_bytes() -> int:
    """Return memory that this process and its children share with no file."""
    total, todo = 0, [os.getpid()]
    while todo:
        process = todo.pop()
        try:
            children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:  # it has ended
            continue
        todo += map(int, children)
        lines = (line.split() for line in status.splitlines())
        total += 1024 * sum(int(line[1]) for line in lines if line[0] in ("RssAnon:", "RssShmem:"))
    return total


def _cpu_s() -> float:
    """Return processor time of this process and its children."""
    total, todo, hertz = 0.0, [os.getpid()], os.sysconf("SC_CLK_TCK")
    while todo:
        process = todo.pop()
        try:
            todo += map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) / hertz
    return total


def main() -> None:
    """Run one subject and print what it took."""
    folder, name, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    sys.path.insert(0, str(ROOT))
    size, stage, peak = BATCH[name.split()[0]], Stage(), [0]
    began = time.perf_counter()
    import_module(IMPORTS[name])
    import_s, before = time.perf_counter() - began, _private_bytes()

    def watch() -> None:
        while True:
            peak[0] = max(peak[0], _private_bytes())
            time.sleep(0.1)

    began = time.perf_counter()
    batches = iter(SUBJECTS[name](folder))
    stage.copy(next(batches))
    first_s = time.perf_counter() - began
    threading.Thread(target=watch, daemon=True).start()
    warm = time.perf_counter() + seconds / 4
    while time.perf_counter() < warm:
        stage.copy(next(batches))
    count, began, cpu_s = 0, time.perf_counter(), _cpu_s()
    while (took := time.perf_counter() - began) < seconds:
        stage.copy(next(batches))
        count += 1
    told = {
        "rows_per_s": count * size / took,
        "cpu_us": 1e6 * (_cpu_s() - cpu_s) / max(count * size, 1),
        "private_mb": (peak[0] - before) / 1e6,
        "first_ms": 1e3 * first_s,
        "import_ms": 1e3 * import_s,
    }
    print(json.dumps(told), flush=True)
    os._exit(0)  # some peers wait for their threads


if __name__ == "__main__":
    main()
