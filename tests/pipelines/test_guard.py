"""Tests how a command ends when it is interrupted."""

import subprocess
import sys

import pytest

INTERRUPTED_IN_A_LIBRARY = """
import logging, os, signal, time
from pipelines.cli.guard import guarded

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it

def command():
    try:
        os.kill(os.getpid(), signal.{name})
        time.sleep(10)
    except BaseException:  # as a connection pool does
        logging.getLogger("pool").error("closing failed", exc_info=True)
        raise

guarded(command)()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_library_that_is_interrupted_prints_no_traceback(name: str):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IN_A_LIBRARY.format(name=name)], capture_output=True, text=True, check=False
    )
    assert "closing failed" not in done.stderr
    assert done.stderr.splitlines()[0] == "stopped"
