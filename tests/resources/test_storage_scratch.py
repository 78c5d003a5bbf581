import os
import subprocess
import sys
import time
from pathlib import Path

from resources.settings import PROJECT_ROOT
from resources.storage.scratch import ScratchFolder, sweep


def aged(folder: Path) -> Path:
    os.utime(folder, (time.time(), time.time() - 3600))
    return folder


def test_each_scratch_folder_is_its_own_and_goes_when_removed(tmp_path):
    first, second = ScratchFolder(tmp_path), ScratchFolder(tmp_path)
    (first.path / "shard").write_bytes(b"half")

    first.remove()
    first.remove()

    assert list(tmp_path.iterdir()) == [second.path]
    second.remove()


def test_the_scratch_of_a_killed_process_is_swept(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from resources.storage.scratch import ScratchFolder\n"
        "folder = ScratchFolder(Path(sys.argv[1])).path; (folder / 'shard').write_bytes(b'half')\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, cwd=PROJECT_ROOT)
    left = aged(next(tmp_path.iterdir()))

    mine = ScratchFolder(tmp_path)

    assert not left.exists()
    mine.remove()


def test_the_scratch_of_a_living_process_stays_however_old(tmp_path):
    living = ScratchFolder(tmp_path)
    aged(living.path)

    sweep(tmp_path)

    assert living.path.exists()
    living.remove()


def test_sweeping_leaves_everything_else_alone(tmp_path):
    (tmp_path / "cache").mkdir()
    aged(tmp_path / "cache")

    sweep(tmp_path)

    assert (tmp_path / "cache").exists()
