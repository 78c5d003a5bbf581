"""Owns environments of peers that do not install beside the locked set: one each, made on first use in .venv/peers."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / ".venv" / "peers"


def environment(name: str, *requirements: str) -> Path:
    """Return the Python of the environment `name`, with `requirements` installed."""
    python = FOLDER / name / "bin" / "python"
    done = FOLDER / name / "installed"
    if not done.exists() or done.read_text().split() != list(requirements):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER / name)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
        done.write_text("\n".join(requirements) + "\n")
    return python
