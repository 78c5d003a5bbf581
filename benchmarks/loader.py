"""The loader against others: rows a second, processor time, private memory, first batch, each in its best mode.

Each subject runs in a process of its own over the same samples, in the form that it reads quickest. The others are
installed in an environment of their own, which this script makes. The page cache is warm. A batch is copied once to a
staging buffer, whoever made it.

    python benchmarks/loader.py [--quick] [--json FILE] [--peers FOLDER] [--data FOLDER]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from _report import Row, parser, report

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OURS = "penstock"
TORCH = "torch==2.13.0"
PEERS = (
    "datasets==5.2.0",
    "grain==0.2.18",
    "litdata==0.2.76",
    "polars==2.1.0",
    "pylance==14.0.2",
    "ray[data]==2.60.0",
    "webdataset==1.0.2",
    "xxhash==3.6.0",
    "catalogue",
    "paramiko",
    "boto3",
    "Brotli",
    "python-snappy",
    "zstd",
    "s3fs==2026.9.0",
    "obstore",
)
UNRESOLVED = "mosaicml-streaming==0.13.0"
"""Its pins fit none of the others; it runs with them all the same."""
_MISSING = """
import sys
from importlib.metadata import distributions
there = {found.name.lower() for found in distributions()}
print(*(name for name in sys.argv[1:] if name.partition("=")[0].partition("[")[0].lower() not in there))
"""
FULL = {"tabular": 5_000_000, "records": 500_000, "tokens": 20_000, "blobs": 20_000}
QUICK = {"tabular": 300_000, "records": 20_000, "tokens": 1_000, "blobs": 1_000}
SECONDS, QUICK_SECONDS = 5.0, 1.0
REPEATS = 3
LIMIT = "memcpy from the map"
# At least this many times the rows a second of each.
TARGETS: dict[str, dict[str, float]] = {
    "tabular penstock run": {LIMIT: 0.75},
    "tabular penstock window": {
        "HF iterable": 30,
        "Ray Data": 24,
        "LitData": 400,
        "Grain": 400,
        "Lance take": 400,
        "torch DataLoader": 400,
        "MDS": 2500,
        "WebDataset": 2500,
    },
    "tabular penstock exact": {"torch batched in RAM": 2, "polars gather": 1.5, "Grain": 100, "torch DataLoader": 100},
    "tokens penstock run": {LIMIT: 0.6},
    "tokens penstock window": {LIMIT: 0.6, "HF arrow": 2.5, "LitData": 8, "Grain": 10, "MDS": 100},
    "blobs penstock run": {LIMIT: 0.95},
    "blobs penstock window": {LIMIT: 0.95, "LitData": 1.9, "WebDataset": 15, "MDS": 30, "HF bytes": 0.8},
}
MOST_PRIVATE_MB, MOST_FIRST_MS = 100, 25
FORMS = {
    "arrow": ("Grain", "polars gather", "torch DataLoader", "torch batched in RAM", "Ray Data"),
    "huggingface": ("HF iterable", "HF arrow", "HF bytes"),
    "lance": ("Lance take",),
    "litdata": ("LitData",),
    "mds": ("MDS",),
    "webdataset": ("WebDataset",),
}
QUICK_PEERS = ("polars gather",)

Told = dict[str, float]


def environment(folder: Path) -> Path:
    """Return the Python of the peers' environment in `folder`, made there if there is none; what it lacks is added."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    for wanted, options in (((TORCH,), ()), (PEERS, ()), ((UNRESOLVED,), ("--no-deps",))):
        told = subprocess.run([python, "-c", _MISSING, *wanted], check=True, stdout=subprocess.PIPE, text=True)
        if missing := told.stdout.split():
            subprocess.run([python, "-m", "pip", "install", "--quiet", *options, *missing], check=True)
    return python


def run(python: Path, data: Path, subject: str, seconds: float, repeats: int) -> Told | None:
    """Return the best of some runs of a subject, or None if it fails."""
    best: Told | None = None
    for _ in range(repeats):
        command = [python, HERE / "_loading_run.py", data, subject, str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            print(f"{subject} failed: {done.stderr.strip()[-300:]}", file=sys.stderr)
            return None
        told: Told = json.loads(lines[-1])
        if best is None or told["rows_per_s"] > best["rows_per_s"]:
            best = told
    return best


def rows_of(found: dict[str, Told]) -> list[Row]:
    """Return each of ours beside the peers that it is held to, and what it costs."""
    rows: list[Row] = []
    for ours, targets in TARGETS.items():
        kind, _, order = ours.split()
        for peer, least in targets.items():
            theirs = found.get(f"{kind} {peer}")
            if theirs is None:
                continue
            ratio = found[ours]["rows_per_s"] / theirs["rows_per_s"]
            rows.append(
                Row(
                    work=f"{kind}, rows a second",
                    subject=f"{OURS} {order}",
                    value=found[ours]["rows_per_s"] / 1e3,
                    unit="k/s",
                    peer=peer,
                    peer_value=theirs["rows_per_s"] / 1e3,
                    ratio=ratio,
                    target=f">= {least:g}x",
                    met=ratio >= least,
                )
            )
    for name, told in found.items():
        kind, _, subject = name.partition(" ")
        mine = subject.startswith(OURS)
        for work, key, unit, most in (
            ("CPU a row", "cpu_us", "us", None),
            ("private memory", "private_mb", "MB", MOST_PRIVATE_MB),
            ("first batch", "first_ms", "ms", MOST_FIRST_MS),
            ("import", "import_ms", "ms", None),
        ):
            limit = most if mine else None
            rows.append(
                Row(
                    work=f"{kind}, {work}",
                    subject=subject,
                    value=told[key],
                    unit=unit,
                    target="" if limit is None else f"<= {limit}",
                    met=None if limit is None else told[key] <= limit,
                )
            )
    return rows


def main(arguments: argparse.Namespace) -> None:
    """Write the data, run every subject, and report."""
    counts, seconds = (QUICK, QUICK_SECONDS) if arguments.quick else (FULL, SECONDS)
    repeats = 1 if arguments.quick else REPEATS
    with tempfile.TemporaryDirectory() as scratch:
        data = arguments.data or Path(scratch)
        write(Path(sys.executable), data, ["ours", "arrow"], counts)
        python = Path(sys.executable)
        names = [*TARGETS, *(f"{kind} {LIMIT}" for kind in ("tabular", "tokens", "blobs"))]
        found = {name: run(python, data, name, seconds, repeats) for name in names}
        peers = sorted(
            {f"{ours.split()[0]} {peer}" for ours, targets in TARGETS.items() for peer in targets} - set(names)
        )
        if arguments.quick:
            peers = [name for name in peers if name.partition(" ")[2] in QUICK_PEERS]
        else:
            python = environment(arguments.peers or Path(scratch) / "peers")
            write(python, data, [form for form in FORMS if form != "arrow"], counts)
        found |= {name: run(python, data, name, seconds, 1 if arguments.quick else 2) for name in peers}
    report(rows_of({name: told for name, told in found.items() if told is not None}), arguments.json)


def write(python: Path, data: Path, forms: Sequence[str], counts: dict[str, int]) -> None:
    """Write the samples in these forms, unless they are there."""
    for form in forms:
        if not (data / form).exists():
            subprocess.run([python, HERE / "_loading_data.py", data, form, json.dumps(counts)], check=True)


def options() -> argparse.Namespace:
    """Return what the command line says."""
    made = parser(__doc__ or "")
    made.add_argument("--peers", type=Path, help="folder of the peers' environment, made if it is not there")
    made.add_argument("--data", type=Path, help="folder of the samples, written if they are not there")
    return made.parse_args()


if __name__ == "__main__":
    main(options())
