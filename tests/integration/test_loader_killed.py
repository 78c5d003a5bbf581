"""A process that loads samples is killed at any moment: another goes on from the last state it kept, with any ranks."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resources.loader import Loader, State
from resources.settings import PROJECT_ROOT
from tests.resources.loading import ids, write_arrow

pytestmark = pytest.mark.slow

KILLS = 6
ROWS = (3_000, 1_777, 64, 2_500)
READER = """
import os, sys
from resources.loader import Loader, State
folder, log = sys.argv[1:]
out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
loader = Loader(folder, 9, order="window", seed=3, columns=["id"])
for batch in loader.numpy():
    line = " ".join(map(str, batch["id"].tolist())) + "|" + loader.state().to_bytes().decode() + "\\n"
    os.write(out, line.encode())
"""


def test_after_a_kill_the_rest_of_the_epoch_is_what_would_have_come(tmp_path: Path):
    folder = write_arrow(tmp_path / "data", ROWS)
    whole = ids(Loader(folder, 9, order="window", seed=3, columns=["id"]))
    chance, struck = random.Random(5), 0
    for attempt in range(KILLS):
        log = tmp_path / f"log-{attempt}"
        reader = subprocess.Popen([sys.executable, "-c", READER, str(folder), str(log)], cwd=PROJECT_ROOT)
        wanted = chance.randrange(2_000, 60_000)
        while reader.poll() is None and (not log.exists() or log.stat().st_size < wanted):
            time.sleep(0.001)
        reader.kill()
        reader.wait()
        lines = log.read_text().split("\n")[:-1]  # what comes after the last end of a line was cut by the kill
        seen = [int(number) for line in lines for number in line.partition("|")[0].split()]
        state = State.from_bytes(lines[-1].partition("|")[2].encode())
        struck += state.epoch == 0
        assert seen == whole[: len(seen)]
        ranks = [
            Loader.from_state(folder, state, 4, columns=["id"], rank=rank, world_size=3, threads=rank)
            for rank in range(3)
        ]
        rest = [number for one in ranks for number in ids(one)]
        assert sorted(rest) == sorted(whole[len(seen) :] if state.epoch == 0 else whole)
    assert struck >= KILLS // 2
