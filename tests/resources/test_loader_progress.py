"""The progress line: on a terminal, in a file, after a break, and nowhere where nobody asked for it."""

import io
import os
import pty
import subprocess
import sys

import pytest

from resources.errors import LoaderError
from resources.loader import Loader, LoaderStats
from resources.loader.progress import Position, text_of
from tests.resources.loading import ids, write_arrow

SCRIPT = """
import sys
from resources.loader import Loader
loader = Loader(sys.argv[1], 10, progress=True)
for batch in getattr(loader, sys.argv[2])() if sys.argv[2:] else loader:
    pass
"""


def position(rows: int, seconds: float, *, epoch: int = 3) -> Position:
    stats = LoaderStats(
        rows=rows,
        size_bytes=rows * 1000,
        batches=1,
        elapsed_s=seconds,
        waited_s=seconds / 4,
        gathered_s=0.0,
        first_batch_s=0.0,
        slabs_replaced=0,
        decoded_s=0.0,
        broken_rows=0,
        threads=0,
    )
    return Position(epoch=epoch, rows=rows, total=5_000_000, stats=stats)


def on_terminal(*arguments: str) -> tuple[str, int]:
    """Return what a script writes to a terminal, and how it ended."""
    master, slave = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], stderr=slave, stdin=subprocess.DEVNULL)
    os.close(slave)
    written = b""
    try:
        while piece := os.read(master, 4096):
            written += piece
    except OSError:  # Linux tells so that the other side is closed
        pass
    os.close(master)
    return written.decode(), process.wait(timeout=60)


@pytest.fixture
def folder(tmp_path):
    return write_arrow(tmp_path / "rows", (500, 500))


def test_the_line_tells_how_far_how_fast_and_how_much_was_waited():
    line = text_of(position(1_000_000, 2.0), position(2_000_000, 6.0))
    assert line == "epoch 3  40% of 5,000,000 rows  250 k rows/s  0.25 GB/s  25% stalled  0:12 left"
    over = text_of(position(0, 0.0), position(0, 20.0), is_over=True)
    assert over == "epoch 3  100% of 5,000,000 rows  0 rows/s  0 GB/s  25% stalled  took 0:20"


def test_the_line_of_a_loop_that_just_began_divides_by_nothing():
    assert text_of(position(5, 1.0), position(5, 1.0)).endswith("0 rows/s  0 GB/s  0% stalled  ? left")


@pytest.mark.parametrize("form", [(), ("numpy",)])
def test_a_terminal_gets_one_line_that_ends(folder, form):
    written, code = on_terminal(str(folder), *form)
    assert code == 0
    assert written.startswith("\r")
    assert "100% of 1,000 rows" in written
    assert written.count("\n") == 1
    assert written.endswith("\n")


def test_stderr_that_is_no_terminal_gets_nothing(folder):
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


def test_a_stream_that_was_asked_for_gets_a_line_an_epoch(folder):
    stream = io.StringIO()
    loader = Loader(folder, 100, progress=stream)
    assert len(ids(loader)) == len(ids(loader)) == 1000
    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[:2] for line in lines] == [
        ["epoch 0", "100% of 1,000 rows"],
        ["epoch 1", "100% of 1,000 rows"],
    ]


def test_the_rows_are_the_same_with_and_without_a_line(folder):
    assert ids(Loader(folder, 7, progress=io.StringIO())) == ids(Loader(folder, 7))


def test_a_loop_that_was_left_goes_on_where_it_stopped(folder):
    loader = Loader(folder, 100, progress=io.StringIO())
    for _ in loader:
        break
    assert loader.state().position == 100
    assert len(ids(loader)) == 900


def test_a_stream_that_was_closed_ends_nothing(folder):
    stream = io.StringIO()
    loader = Loader(folder, 100, progress=stream)
    stream.close()
    assert len(ids(loader)) == 1000


@pytest.mark.parametrize("value", ["yes", 1, None, 2.5])
def test_what_is_no_stream_is_refused(folder, value):
    with pytest.raises(LoaderError, match="give True, False, or a text stream"):
        Loader(folder, 10, progress=value)
