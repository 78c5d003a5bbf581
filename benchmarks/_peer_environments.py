"""Owns virtual environments for peers that do not install beside the core: evidently needs pandas below 3, and so on.

They are made once, in a folder that may be kept, with pinned families of versions; one that does not install is told.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PEERS = {
    "evidently": ("evidently>=0.7", "pandas<3", "pyarrow"),
    "nannyml": ("nannyml>=0.13", "statsmodels", "pyarrow"),
    "whylogs": ("whylogs[viz]>=1.6", "numpy<2", "pandas<3", "polars"),
    "pandera": ("pandera[polars]==0.35.0", "polars", "pyarrow"),
    "tfdv": ("tensorflow-data-validation>=1.16", "dill", "setuptools<80", "pyarrow"),
}
"""Peer to what is installed for it."""
FOLDER = Path(tempfile.gettempdir()) / "penstock-peers"


def environment(peer: str, folder: Path = FOLDER) -> Path | None:
    """Return the Python of the environment of `peer`, made where it is missing; None where it does not install."""
    place = folder / peer
    python = place / "bin" / "python"
    if python.exists():
        return python
    uv = shutil.which("uv", path=Path(sys.executable).parent.as_posix()) or shutil.which("uv")
    steps = (
        [[uv, "venv", "-q", "--python", sys.executable, place], [uv, "pip", "install", "-q", "--python", python]]
        if uv
        else [[sys.executable, "-m", "venv", place], [python, "-m", "pip", "install", "-q"]]
    )
    for command in (steps[0], [*steps[1], *PEERS[peer]]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{peer} does not install here: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
            shutil.rmtree(place, ignore_errors=True)
            return None
    return python
