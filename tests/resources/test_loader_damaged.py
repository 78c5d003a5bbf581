"""Files that nobody vouches for, damaged at random: an error that names the file, never a crash or a wrong offset."""

import subprocess
import sys
from pathlib import Path

import pytest

from resources.settings import PROJECT_ROOT

SCRIPT = Path(__file__).with_name("damaged_shards.py")


def errors(folder: Path, what: str, rounds: int, seed: int) -> int:
    """Return how many of so many damaged files gave an error of the loader; any other end is a failure."""
    command = [sys.executable, str(SCRIPT), str(folder), what, str(rounds), str(seed)]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr[-3000:]}"
    return int(done.stdout)


def test_offsets_that_were_damaged_are_an_error(tmp_path):
    assert errors(tmp_path, "offsets", 100, seed=1) > 90  # what is left are bytes that were drawn as they were


def test_damage_anywhere_never_ends_the_process(tmp_path):
    assert errors(tmp_path, "anything", 150, seed=2) > 30


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 16))
@pytest.mark.parametrize("what", ["offsets", "anything"])
def test_thousands_of_damaged_files_never_end_the_process(tmp_path, what, seed):
    assert errors(tmp_path, what, 1_000, seed) > 200
