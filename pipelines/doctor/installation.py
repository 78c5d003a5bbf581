"""Owns the checks of what is installed: Python, libraries, packages against the lock file, the code location."""

import ctypes
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

from pipelines.doctor.finding import Finding
from resources.settings import PROJECT_ROOT

LOCK = PROJECT_ROOT / "requirements.lock"
REINSTALL = "make install (after `make clean`, if that does not help)"
LOAD_LIMIT_S = 120
_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>[^\\]+?))?\s*\\?$", re.MULTILINE
)
_LOAD = """
import time
start = time.perf_counter()
import dagster
base = time.perf_counter()
from pipelines.definitions import defs
definitions = defs() if callable(defs) else defs
graph = definitions.resolve_asset_graph()
end = time.perf_counter()
print(f"RESULT {len(graph.get_all_asset_keys())} {end - base:.1f} {base - start:.1f}")
"""

Environment = Mapping[str, str]
Check = Callable[[Environment], list[Finding]]


def python(_: Environment) -> list[Finding]:
    """Look at the version of Python."""
    version = platform.python_version()
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return [Finding("broken", f"Python {version} is not 3.11-3.13", "make clean install PYTHON=python3.12")]
    return [Finding("ok", f"Python {version} at {sys.executable}")]


def openmp(_: Environment) -> list[Finding]:
    """Look for the OpenMP library that LightGBM links to."""
    if sys.platform == "darwin":
        names, remedy = ("/opt/homebrew/opt/libomp/lib/libomp.dylib", "libomp.dylib"), "brew install libomp"
    else:
        names, remedy = ("libgomp.so.1",), "apt-get install libgomp1 (Debian), dnf install libgomp (Fedora)"
    for name in names:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return [Finding("ok", f"{name} is there for LightGBM")]
    return [Finding("broken", f"{names[-1]} is missing, so LightGBM cannot train", remedy)]


def packages(_: Environment) -> list[Finding]:
    """Compare the installed packages with the lock file."""
    if not LOCK.is_file():
        return [
            Finding(
                "broken",
                f"{LOCK} is missing, so nothing says what should be installed",
                "git checkout requirements.lock",
            )
        ]
    pinned = dict(locked(LOCK.read_text(encoding="utf-8")))
    drift = [f"{name} {found or 'missing'} (locked {wanted})" for name, found, wanted in drifted(pinned)]
    if not drift:
        return [Finding("ok", f"{len(pinned)} packages are those of requirements.lock")]
    more = f" and {len(drift) - 5} more" if len(drift) > 5 else ""
    return [
        Finding(
            "broken", f"{len(drift)} packages differ from requirements.lock: {'; '.join(drift[:5])}{more}", REINSTALL
        )
    ]


def locked(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and version of every pin of a lock file that applies to this machine."""
    from packaging.markers import Marker

    for pin in _PIN.finditer(text):
        if pin["marker"] is None or Marker(pin["marker"].strip()).evaluate():
            yield pin["name"], pin["version"]


def drifted(pinned: Mapping[str, str]) -> Iterator[tuple[str, str | None, str]]:
    """Yield name, installed version (None: missing) and pinned version of each package that differs."""
    for name, wanted in pinned.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = None
        if found != wanted:
            yield name, found, wanted


def selection_parser(_: Environment) -> list[Finding]:
    """Look whether Dagster parses asset selections: an old antlr4, as DVC once required, breaks every `--select`."""
    from dagster import AssetSelection

    version = importlib.metadata.version("antlr4-python3-runtime")
    try:
        AssetSelection.from_string('key:"a/b"+')
    except Exception as error:  # a TypeError today, from deep inside the parser
        what = f"Dagster cannot parse asset selections with antlr4 {version}: {type(error).__name__}"
        return [Finding("broken", what, f"antlr4 must be 4.13 or newer: {REINSTALL}")]
    return [Finding("ok", f"Dagster parses asset selections (antlr4 {version})")]


def code_location(environment: Environment) -> list[Finding]:
    """Load the code location in a fresh process, as Dagster does, and say how long it takes."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _LOAD],
            cwd=PROJECT_ROOT,
            env={**os.environ, **environment},
            timeout=LOAD_LIMIT_S,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        what = f"the code location did not load within {LOAD_LIMIT_S} s"
        return [Finding("broken", what, "look for work at import time in pipelines/catalog/ and PENSTOCK_PIPELINES")]
    result = re.search(r"^RESULT (\d+) ([\d.]+) ([\d.]+)$", done.stdout, re.MULTILINE)
    if done.returncode or result is None:
        return [_not_loaded(done.stderr)]
    assets, own, base = result.groups()
    return [Finding("ok", f"the code location loads: {assets} assets in {own} s, after {base} s for Dagster itself")]


def _not_loaded(traceback: str) -> Finding:
    """Return the finding that the last error of a traceback is; Penstock's own errors name file and line themselves."""
    kind, _, told = re.split(r"\n(?=\S)", f"\n{traceback.strip()}")[-1].partition(": ")
    remedy = "correct what the message names; `penstock list` shows which files load"
    if kind.endswith("SettingsError"):
        remedy = "correct the variable, docs/settings.md lists them; then run this again"
    what = f"the code location does not load: {' '.join(told.split()) or kind or 'no output'}"
    return Finding("broken", what, remedy)


INSTALLATION: Mapping[str, Check] = {
    "Python": python,
    "OpenMP": openmp,
    "packages": packages,
    "asset selection": selection_parser,
    "code location": code_location,
}
