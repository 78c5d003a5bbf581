"""Real disks for tests: a tiny one that fills up and one that turns read-only. Import the fixtures where needed."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a file system of 1 MiB."""
    with_disk = _mounted(tmp_path / "tiny", "size=1m")
    yield next(with_disk)
    next(with_disk, None)


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on another file system than the temporary folder."""
    with_disk = _mounted(tmp_path / "other", "size=64m")
    yield next(with_disk)
    next(with_disk, None)


@pytest.fixture
def lockable_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Return a folder, and a function that makes its file system read-only; chmod would not stop root."""
    with_disk = _mounted(tmp_path / "lockable", "size=16m")
    folder = next(with_disk)
    yield folder, lambda: _run("mount", "-o", "remount,ro", str(folder))
    next(with_disk, None)


def grow(folder: Path) -> None:
    """Give a tiny disk enough room, as somebody who deletes other files does."""
    _run("mount", "-o", "remount,size=64m", str(folder))


def _mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    if shutil.which("mount") is None or not _permitted("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)):
        pytest.skip(
            "not here: mounting a tmpfs is not permitted; run as root on Linux to test full and read-only disks"
        )
    try:
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))


def _permitted(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)
