"""Local files that go wrong on purpose, at the file operation that a fault names; and bits that flip on the disk.

`DiskLayer` replaces the functions of `os`, `open` and `pyarrow.OSFile` in this process, for files below one folder.
What native code does by itself (SQLite, the reading of Parquet) passes unseen; kills at random times hit that, too.
"""

import builtins
import errno
import io
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal

Kind = Literal["full", "error", "kill"]
_FILLS = frozenset(
    {"create", "write", "pwrite", "ftruncate", "posix_fallocate", "link", "mkdir", "rename", "replace", "fsync"}
)
_READS = frozenset({"open", "read", "pread", "preadv"})
_BY_PATH = ("link", "rename", "replace", "unlink", "mkdir", "chmod")
_BY_DESCRIPTOR = ("write", "pwrite", "pread", "preadv", "fsync", "ftruncate", "posix_fallocate")
_WRITES = os.O_WRONLY | os.O_RDWR
_BLOCK_BYTES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskFault:
    """What goes wrong with file operations.

    Attributes:
        kind: The disk is full from then on; an operation fails with EIO; or the process dies by SIGKILL.
        operation: Number of the first operation that is hit, from 0, among those that `DiskLayer.eligible` counts.
        half: Whether a write gets half way and a kill comes after the operation, not before it.
        lasting: Whether I/O errors go on; a full disk always stays full.
    """

    kind: Kind
    operation: int
    half: bool = False
    lasting: bool = False


class DiskLayer:
    """The operations of this process on files below `root`, from entering the context to leaving it.

    Args:
        root: Folder whose files it watches.
        fault: What goes wrong; None only counts.
    """

    def __init__(self, root: Path, fault: DiskFault | None = None) -> None:
        self.operations: list[str] = []
        self.struck = False
        self._root = os.path.realpath(root) + os.sep
        self._fault = fault
        self._paths: dict[int, str] = {}  # of open descriptors
        self._seen = 0
        self._lock = Lock()
        self._real = {
            name: getattr(os, name) for name in (*_BY_PATH, *_BY_DESCRIPTOR, "open", "close") if hasattr(os, name)
        }
        self._real_open = io.open
        self._real_arrow: Any = None  # Any: a class of pyarrow

    def __enter__(self) -> "DiskLayer":
        import pyarrow as pa

        for name in _BY_PATH:
            setattr(os, name, self._by_path(name))
        for name in set(_BY_DESCRIPTOR) & self._real.keys():
            setattr(os, name, self._by_descriptor(name))
        os.open, os.close = self._open, self._close
        io.open = builtins.open = self._open_file
        self._real_arrow, pa.OSFile = pa.OSFile, self._open_arrow
        return self

    def __exit__(self, *_: object) -> None:
        import pyarrow as pa

        self._fault = None  # for what stays open
        for name, function in self._real.items():
            setattr(os, name, function)
        io.open = builtins.open = self._real_open
        pa.OSFile = self._real_arrow

    def strike(self, operation: str, path: str, do: Callable[[], Any], half: Callable[[], Any] | None = None) -> Any:
        """Do an operation, or what the fault makes of it."""
        fault = self._due(operation)
        if fault is None:
            return do()
        if fault.kind == "kill":
            if fault.half:
                (half or do)()
            os.kill(os.getpid(), signal.SIGKILL)
        first, self.struck = not self.struck, True
        if fault.half and half is not None and first:
            written = half()
            if fault.kind == "full":  # what fitted is told by the count, the error comes with the rest
                return written
        if fault.kind == "error" and operation == "fsync":
            self._lose_block(path)
        number = errno.ENOSPC if fault.kind == "full" else errno.EIO
        raise OSError(number, os.strerror(number), path)

    def opened(self, descriptor: int, path: str) -> None:
        """Remember an open file."""
        self._paths[descriptor] = path

    def closed(self, descriptor: int) -> None:
        """Forget it."""
        self._paths.pop(descriptor, None)

    def _due(self, operation: str) -> DiskFault | None:
        with self._lock:
            self.operations.append(operation)
            fault = self._fault
            if fault is None or not eligible(fault.kind, operation):
                return None
            self._seen += 1
            now, first = self._seen - 1, fault.operation
            lasting = fault.lasting or fault.kind == "full"
            return fault if now == first or (now > first and lasting) else None

    def _watches(self, path: object) -> bool:
        return isinstance(path, str | os.PathLike) and str(Path(path).absolute()).startswith(self._root)

    def _by_path(self, name: str) -> Callable[..., Any]:
        real = self._real[name]

        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            if not self._watches(path) or options.get("dir_fd") is not None:
                return real(path, *arguments, **options)
            return self.strike(name, os.fspath(path), lambda: real(path, *arguments, **options))

        return call

    def _by_descriptor(self, name: str) -> Callable[..., Any]:
        real = self._real[name]

        def call(descriptor: int, *arguments: Any) -> Any:
            path = self._paths.get(descriptor)
            if path is None:
                return real(descriptor, *arguments)
            if name not in ("write", "pwrite") or len(arguments[0]) == 1:
                return self.strike(name, path, lambda: real(descriptor, *arguments))
            data, *rest = arguments
            half = data[: len(data) // 2]
            return self.strike(name, path, lambda: real(descriptor, *arguments), lambda: real(descriptor, half, *rest))

        return call

    def _open(self, path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        real = self._real["open"]
        if not self._watches(path) or options.get("dir_fd") is not None:
            return real(path, flags, *arguments, **options)
        creates = bool(flags & os.O_CREAT) and not Path(path).exists()
        descriptor = self.strike(
            "create" if creates else "open", os.fspath(path), lambda: real(path, flags, *arguments, **options)
        )
        self.opened(descriptor, os.fspath(path))
        return descriptor

    def _close(self, descriptor: int) -> None:
        self.closed(descriptor)
        self._real["close"](descriptor)

    def _open_file(self, file: Any, mode: str = "r", buffering: int = -1, *arguments: Any, **options: Any) -> Any:
        if not self._watches(file):
            return self._real_open(file, mode, buffering, *arguments, **options)
        raw = _File(self, os.fspath(file), mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        both = raw.readable() and raw.writable()
        kind = io.BufferedRandom if both else io.BufferedWriter if raw.writable() else io.BufferedReader
        return kind(raw) if "b" in mode else io.TextIOWrapper(kind(raw), *arguments, **options)

    def _open_arrow(self, path: str, mode: str) -> Any:  # Any: a file of pyarrow
        import pyarrow as pa

        if not self._watches(path):
            return self._real_arrow(path, mode)
        return pa.PythonFile(_WholeFile(self, path, mode), mode=mode[0])

    def _lose_block(self, path: str) -> None:
        """Do what a disk does that failed to flush: what was written last is gone, and reads say nothing about it."""
        if not Path(path).is_file() or not (size := Path(path).stat().st_size):
            return
        descriptor = self._real["open"](path, os.O_WRONLY)
        start = random.Random(size).randrange(size) // _BLOCK_BYTES * _BLOCK_BYTES
        self._real["pwrite"](descriptor, bytes(min(_BLOCK_BYTES, size - start)), start)
        self._real["close"](descriptor)


class _File(io.FileIO):
    """An open file whose reads and writes pass through the layer."""

    def __init__(self, layer: DiskLayer, path: str, mode: str) -> None:
        self._layer = layer
        creates = mode[0] in "xw" and not Path(path).exists()
        layer.strike("create" if creates else "open", path, lambda: super(_File, self).__init__(path, mode))
        layer.opened(self.fileno(), path)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        half = (lambda: super(_File, self).write(view[: len(view) // 2])) if len(view) > 1 else None
        return self._layer.strike("write", str(self.name), lambda: super(_File, self).write(view), half)

    def readinto(self, buffer: Any) -> int:
        return self._layer.strike("read", str(self.name), lambda: super(_File, self).readinto(buffer))

    def readall(self) -> bytes:
        return self._layer.strike("read", str(self.name), super().readall)

    def close(self) -> None:
        if not self.closed:
            self._layer.closed(self.fileno())
        super().close()


class _WholeFile(_File):
    """One for pyarrow, which takes every write for a whole one; its own files write until all is written."""

    def write(self, data: Any) -> int:
        view, written = memoryview(data).cast("B"), 0
        while written < len(view):
            written += super().write(view[written:])
        return written


def eligible(kind: Kind, operation: str) -> bool:
    """Return whether a fault of `kind` can hit an operation: a full disk stops what needs room, a kill what changes."""
    if kind == "full":
        return operation in _FILLS
    return kind == "error" or operation not in _READS


def flip_bit(path: Path, share: float) -> None:
    """Flip one bit of a file where it lies, at the place that `share` tells, keeping its mode.

    Time and inode stay as they are, as when the disk itself fails.
    """
    before = path.stat()
    mode = before.st_mode
    path.chmod(mode | 0o200)
    bit = int(share * 8 * before.st_size)
    with path.open("r+b") as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))
    path.chmod(mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
