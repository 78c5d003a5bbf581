"""Names what this machine lacks before the long part of `make install` starts.

Needs nothing but the standard library of Python 3.11; it installs nothing and changes nothing. Every finding
has its remedy. Ends with 1 if something required is missing.

    python3 scripts/preflight.py [core|dev|torch]
"""

import ctypes
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ((3, 11), (3, 13))
OLDEST_GLIBC = (2, 28)
"""The wheels of LightGBM, Polars and obstore are built for manylinux_2_28."""
NEEDED_BYTES = {"core": 4_000_000_000, "dev": 5_000_000_000, "torch": 9_000_000_000}
"""Virtual environment (1.0, 1.6 or, with CUDA, 7 GB) and the download cache that fills it, with some room for data."""

INSTALLERS = {
    "apt-get": "apt-get install {}",
    "dnf": "dnf install {}",
    "zypper": "zypper install {}",
    "pacman": "pacman -S {}",
    "brew": "brew install {}",
}
PACKAGES = {
    "git": {},
    "make": {},
    "chromium": {"brew": "--cask chromium"},
    "openmp": {"apt-get": "libgomp1", "dnf": "libgomp", "zypper": "libgomp1", "pacman": "gcc-libs", "brew": "libomp"},
    "venv": {"apt-get": f"python{sys.version_info[0]}.{sys.version_info[1]}-venv", "brew": "python@3.13"},
}


@dataclass(frozen=True)
class Missing:
    """One thing that this machine lacks, and how to get it."""

    what: str
    remedy: str
    required: bool = True


def remedy(tool: str) -> str:
    """Return the command that installs `tool` with the package manager of this machine."""
    for manager, command in INSTALLERS.items():
        if shutil.which(manager):
            sudo = "" if manager == "brew" or os.geteuid() == 0 else "sudo "
            return sudo + command.format(PACKAGES[tool].get(manager, tool))
    return f"install {PACKAGES[tool].get('apt-get', tool)} with the package manager of this system"


def check_python() -> Missing | None:
    """Find a wrong version of Python, or a 32-bit one."""
    found = ".".join(map(str, sys.version_info[:3]))
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return Missing(f"Python {found} at {sys.executable} is not 3.11-3.13", "make install PYTHON=python3.13")
    if sys.maxsize < 2**32:
        return Missing(f"Python {found} at {sys.executable} is a 32-bit one", "install a 64-bit Python 3.11-3.13")
    return None


def check_venv() -> Missing | None:
    """Find a Python that cannot make virtual environments (Debian splits it off)."""
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            return Missing(f"{sys.executable} lacks the module {module}, so it cannot make .venv", remedy("venv"))
    return None


def check_git() -> Missing | None:
    """Find a missing git."""
    return None if shutil.which("git") else Missing("git is not installed", remedy("git"))


def check_make() -> Missing | None:
    """Find a missing make."""
    return None if shutil.which("make") else Missing("make is not installed", remedy("make"))


def check_libc() -> Missing | None:
    """Find a C library that the locked wheels do not run on."""
    if sys.platform != "linux":
        return None
    name, version = platform.libc_ver()
    if name != "glibc":
        return Missing(
            "this Linux has no glibc (musl?); LightGBM has no wheel for it", "use Debian, Fedora or the like"
        )
    if tuple(map(int, version.split(".")[:2])) < OLDEST_GLIBC:
        return Missing(f"glibc {version} is older than 2.28", "use a newer system, such as Debian 10 or RHEL 8")
    return None


def openmp_candidates() -> tuple[str, ...]:
    """Return where LightGBM looks for its OpenMP library on this platform."""
    if sys.platform == "darwin":
        return ("libomp.dylib", "/opt/homebrew/opt/libomp/lib/libomp.dylib", "/usr/local/opt/libomp/lib/libomp.dylib")
    return ("libgomp.so.1",)


def check_openmp() -> Missing | None:
    """Find a missing OpenMP library: the LightGBM wheel links to it and does not bring it."""
    candidates = openmp_candidates()
    for name in candidates:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return None
    return Missing(f"{candidates[0]} is not installed, LightGBM cannot be loaded without it", remedy("openmp"))


def check_writable() -> Missing | None:
    """Find a project folder that this user may not write to."""
    try:
        with tempfile.TemporaryFile(dir=ROOT):
            return None
    except OSError as error:
        return Missing(f"cannot write to {ROOT}: {error.strerror}", f"run as its owner, or: sudo chown -R $USER {ROOT}")


def check_disk(extra: str) -> Missing | None:
    """Find too little disk space for what is not installed yet."""
    free = shutil.disk_usage(ROOT).free
    venv = ROOT / (".venv-torch" if extra == "torch" else ".venv")
    needed = NEEDED_BYTES[extra] if not (venv / ".installed-core").exists() else NEEDED_BYTES[extra] // 4
    if free >= needed:
        return None
    return Missing(
        f"{free / 1e9:.1f} GB are free in {ROOT}, the installation takes up to {needed / 1e9:.1f} GB",
        "free some space, or clone to a larger disk",
    )


def check_browser(extra: str) -> Missing | None:
    """Find a missing Chromium; only the browser tests need it."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    applications = Path("/Applications/Google Chrome.app")
    if extra != "dev" or any(map(shutil.which, names)) or applications.exists():
        return None
    if os.environ.get("PENSTOCK_TEST_CHROMIUM"):
        return None
    return Missing("no Chromium: the browser tests will be skipped", remedy("chromium"), required=False)


def findings(extra: str) -> list[Missing]:
    """Return all that this machine lacks for the installation `extra`: core, dev or torch."""
    checks: tuple[Callable[[], Missing | None], ...] = (
        check_python,
        check_venv,
        check_git,
        check_make,
        check_libc,
        check_openmp,
        check_writable,
        lambda: check_disk(extra),
        lambda: check_browser(extra),
    )
    return [missing for check in checks if (missing := check()) is not None]


def main(arguments: list[str]) -> int:
    """Print every finding with its remedy; return 1 if a required thing is missing."""
    extra = arguments[0] if arguments else "core"
    if extra not in NEEDED_BYTES:
        print(f"preflight: expected core, dev or torch, got {extra!r}", file=sys.stderr)
        return 2
    found = findings(extra)
    for missing in found:
        kind = "missing" if missing.required else "note"
        print(f"{kind}: {missing.what}\n  remedy: {missing.remedy}", file=sys.stderr)
    if any(missing.required for missing in found):
        print("Nothing was installed. Fix the above and run the same command again.", file=sys.stderr)
        return 1
    print(f"preflight: this machine has what the installation needs (Python {platform.python_version()})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
