"""Owns a copy of this checkout for a test: what git would clone, in a folder of its own. It runs nothing in it.

`copied` leaves `.venv` out; `with_borrowed_venv` lets the copy use the packages of this one, with its own code.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = ("PENSTOCK_", "DAGSTER_", "BIKE_DEMAND_", "FLIGHT_DELAYS_")
"""Settings of the person who runs the tests, kept out of them."""
OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON")
"""The tests may run within `make test`."""


def copied(folder: Path) -> Path:
    """Copy what git would clone, and what is not committed yet, into `folder` and return it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def with_borrowed_venv(folder: Path) -> Path:
    """Give the copy in `folder` a `.venv` of links that counts as installed, and return `folder`."""
    venv = folder / ".venv"
    venv.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    inputs = (
        "pwd; cat requirements-uv.lock requirements.lock pyproject.toml | cksum"  # `wanted core` of scripts/install
    )
    wanted = subprocess.run(["sh", "-c", inputs], cwd=folder, capture_output=True, check=True).stdout
    (venv / ".installed-core").write_bytes(wanted)
    return folder


def environment(folder: Path) -> Mapping[str, str]:
    """Return the environment of a newcomer in the copy: no settings, its code before that of this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN) and name not in OF_MAKE}
    return {**kept, "PATH": f"{folder}/.venv/bin:{os.environ['PATH']}", "PYTHONPATH": str(folder)}
