"""The loader over a dataset in an S3 store against raw reads of the same objects, on a real server on loopback.

Every subject runs in a process of its own, in turns; of several runs the quickest counts. Server and client share the
processors. A batch is copied once to a staging buffer, whoever made it. Raw reads are ranged GETs of obstore, whose
bytes nobody looks at: the limit of the network. The same bytes hashed and copied to the staging buffer are the limit of
what may be handed over; these neither shuffle nor keep anything.

Finding rows by a predicate of which statistics tell nothing, order `exact` and a mixture are held beside the cold epoch
in order `window`; so they are once more from where the server is far: each request takes 20 ms, each connection carries
16 MB/s, which tells how much is asked for at once.

LitData, MDS and Hugging Face streaming read the same blobs out of the same bucket, in their own formats and in files of
the same size, shuffled, with copies in a fresh folder where they keep any; each without worker processes and with two,
of which the quicker counts. They run in an environment of their own, which this script makes as `loader.py` does;
`--quick` leaves them out unless one is there, and does without processes.

    python benchmarks/loader_s3.py [--quick] [--json FILE] [--scratch FOLDER] [--peers FOLDER] [--rows N]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _far import far_from
from _report import Row, compared, measured, parser, report
from _usage import READY_BYTES, ready_memory
from loader import environment

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

OURS, RAW, PYARROW = "penstock window", "raw ranged GETs", "pyarrow.dataset, unshuffled"
PROVED = "raw ranged GETs, hashed and staged"
FULL_ROWS, QUICK_ROWS = 40_000, 4_000
FULL_SHARD_BYTES, QUICK_SHARD_BYTES = 64 * 2**20, 12 * 2**20
REPEATS = 5
RANKS = 4
LEAST_OF_RAW, MOST_CPU, MOST_FIRST_S = 0.85, 1.4, 0.25
MOST_AGAIN, LEAST_FASTER = 0.52, 1.8
PEERS = {"LitData": 2.5, "MDS": 4.0, "HF streaming": 12.0}
"""At least this many times the bytes a second of each."""
PEER_REPEATS = 2
PEER_MODES = ("0 workers", "2 workers")
PEER_TIMEOUT_S = 600

OTHERWISE = {"found": "rows found by a predicate", "exact": "order exact, cold", "mixed": "mixture of two, cold"}

Told = dict[str, float]


def main() -> None:
    """Run the comparison and print it."""
    arguments = parser(__doc__)
    arguments.add_argument("--scratch", type=Path, help="folder for server and files, eight times the data free")
    arguments.add_argument("--rows", type=int, default=FULL_ROWS, help="blobs of a full run, of 50 KB each")
    arguments.add_argument("--repeats", type=int, help="runs of each subject")
    arguments.add_argument("--peers", type=Path, help="folder of the peers' environment, made if it is not there")
    options = arguments.parse_args()
    report(_rows(options), options.json)


def _rows(options: argparse.Namespace) -> list[Row]:
    from _loading_s3 import store_dataset, store_halves

    from tests.integration.seaweed import run_seaweed

    rows, shard_bytes, repeats = options.rows, FULL_SHARD_BYTES, options.repeats or REPEATS
    if options.quick:
        rows, shard_bytes, repeats = QUICK_ROWS, QUICK_SHARD_BYTES, options.repeats or 1
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        scratch = Path(folder)
        server = run_seaweed(scratch / "server")
        os.environ.update(next(server).env())
        os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
        try:
            digest, size_bytes = store_dataset(scratch, rows, shard_bytes)
            runs = Runs(scratch, digest, size_bytes, 0 if options.quick else READY_BYTES)
            runs.halves = store_halves(scratch, rows, shard_bytes)
            found = [*_cold(runs, repeats), *_again(runs, repeats), *_together(runs), *_otherwise(runs, repeats)]
            found += _far(runs)
            if options.quick and (options.peers is None or not options.peers.exists()):
                return found
            runs.peers = environment(options.peers or scratch / "peers")
            runs.store_for_peers(rows, shard_bytes)
            modes = PEER_MODES[:1] if options.quick else PEER_MODES
            return [*found, *_beside_peers(runs, min(repeats, PEER_REPEATS), modes)]
        finally:
            server.close()


class Runs:
    """Runs subjects over the dataset, each with a cache of its own.

    Attributes:
        size_bytes: Of the dataset.
        halves: Digests of the same blobs as two datasets.
        peers: The Python of the peers' environment, once there is one.
    """

    def __init__(self, scratch: Path, digest: str, size_bytes: int, ready_bytes: int) -> None:
        self._scratch = scratch
        self._digest = digest
        self._ready_bytes = ready_bytes
        self.size_bytes = size_bytes
        self.halves = ""
        self.peers: Path | None = None

    def best(self, subjects: Sequence[str], repeats: int) -> dict[str, list[Told]]:
        """Return the runs of each subject, the quickest first."""
        runs: dict[str, list[Told]] = {subject: [] for subject in subjects}
        for turn in range(repeats):
            for subject in (*subjects[turn % len(subjects) :], *subjects[: turn % len(subjects)]):
                with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
                    runs[subject].append(self.one(subject, Path(folder)))
        return {subject: sorted(found, key=lambda told: told["wall_s"]) for subject, found in runs.items()}

    def one(self, subject: str, cache: Path) -> Told:
        """Return what one run took."""
        ready_memory(self._ready_bytes)
        return json.loads(subprocess.run(self._command(subject, cache), check=True, stdout=subprocess.PIPE).stdout)

    def together(self, cache: Path) -> list[Any]:  # Any: JSON
        """Return what ranks took that read at once with one cache."""
        ranks = [
            subprocess.Popen([*self._command("rank", cache), str(rank), str(RANKS)], stdout=subprocess.PIPE)
            for rank in range(RANKS)
        ]
        return [json.loads(rank.communicate()[0]) for rank in ranks]

    def _command(self, subject: str, cache: Path) -> list[str]:
        digest = self.halves if subject == "mixed" else self._digest
        return [sys.executable, str(HERE / "_loading_s3.py"), subject, digest, str(cache)]

    def store_for_peers(self, rows: int, shard_bytes: int) -> None:
        """Store the same blobs in the form of each peer."""
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            self._as_peer("write", folder, str(rows), str(shard_bytes))

    def peer(self, subject: str, size_bytes: float) -> Told | None:
        """Return what one run of a peer took, or None if it failed or gave other than `size_bytes`, which is told."""
        ready_memory(self._ready_bytes)
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            try:
                lines = self._as_peer(subject, folder).splitlines()
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                why = (error.stderr or b"").decode(errors="replace").strip()
                print(f"{subject} failed ({type(error).__name__}): {why[-1000:]}", file=sys.stderr)
                return None
        told: Told = json.loads(next(line for line in reversed(lines) if line.startswith("{")))
        if told["size_bytes"] == size_bytes:
            return told
        print(f"{subject} gave {told['size_bytes']:,} bytes, {size_bytes:,} are there", file=sys.stderr)
        return None

    def _as_peer(self, *arguments: str) -> str:
        command = [str(self.peers), str(HERE / "_loading_s3_peers.py"), *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=PEER_TIMEOUT_S).stdout.decode()


def _cold(runs: Runs, repeats: int) -> list[Row]:
    found = runs.best(("raw", "proved", "cold", "pyarrow"), repeats)
    raw, proved, ours, arrow = (found[subject][0] for subject in ("raw", "proved", "cold", "pyarrow"))
    work = f"cold epoch of {runs.size_bytes / 1e9:.2f} GB of blobs of 50 KB"
    cpu = {subject: min(told["cpu_s"] for told in found[subject]) for subject in found}
    first_s = min(told["first_s"] for told in found["cold"])
    return [
        _faster(f"{work}, MB/s", ours, RAW, raw, least=LEAST_OF_RAW),
        _faster(f"{work}, MB/s", ours, PROVED, proved),
        _faster(f"{work}, MB/s", ours, PYARROW, arrow, least=1.0),
        compared(f"{work}, CPU", OURS, cpu["cold"], "s", peer=RAW, peer_value=cpu["raw"], most_ratio=MOST_CPU),
        compared(f"{work}, CPU", OURS, cpu["cold"], "s", peer=PROVED, peer_value=cpu["proved"]),
        compared(f"{work}, CPU", OURS, cpu["cold"], "s", peer=PYARROW, peer_value=cpu["pyarrow"]),
        measured(f"{work}, first batch", OURS, first_s, "s", most=MOST_FIRST_S),
        measured(f"{work}, private memory", OURS, max(told["private_mb"] for told in found["cold"]), "MB"),
        measured(f"{work}, private memory", PYARROW, max(told["private_mb"] for told in found["pyarrow"]), "MB"),
        measured(f"{work}, fetched", OURS, ours["fetched_bytes"] / runs.size_bytes, "share of the dataset", most=1.0),
    ]


def _faster(work: str, ours: Told, peer: str, theirs: Told, *, least: float | None = None) -> Row:
    mine, other = (told["size_bytes"] / told["wall_s"] / 1e6 for told in (ours, theirs))
    ratio = mine / other
    return Row(
        work=work,
        subject=OURS,
        value=mine,
        unit="MB/s",
        peer=peer,
        peer_value=other,
        ratio=ratio,
        target="" if least is None else f">= {least:g}x",
        met=None if least is None else ratio >= least,
    )


def _beside_peers(runs: Runs, repeats: int, modes: Sequence[str]) -> list[Row]:
    work = f"cold epoch of {runs.size_bytes / 1e9:.2f} GB of blobs of 50 KB"
    ours, theirs = list[Told](), dict[str, list[Told]]()
    for _ in range(repeats):
        ours += runs.best(("cold",), 1)["cold"]
        for peer in PEERS:
            found = [runs.peer(f"{peer}, {mode}", ours[-1]["size_bytes"]) for mode in modes]
            theirs.setdefault(peer, []).extend(told for told in found if told is not None)
    mine = min(ours, key=lambda told: told["wall_s"])
    rows = list[Row]()
    for peer, found in theirs.items():
        if not found:
            continue
        best = min(found, key=lambda told: told["wall_s"])
        first_s = min(told["first_s"] for told in found)
        rows += [
            _faster(f"{work}, MB/s", mine, peer, best, least=PEERS[peer]),
            compared(f"{work}, CPU", OURS, mine["cpu_s"], "s", peer=peer, peer_value=best["cpu_s"]),
            compared(f"{work}, first batch", OURS, min(t["first_s"] for t in ours), "s", peer=peer, peer_value=first_s),
            compared(
                f"{work}, private memory", OURS, mine["private_mb"], "MB", peer=peer, peer_value=best["private_mb"]
            ),
        ]
    return rows


def _otherwise(runs: Runs, repeats: int, where: str = "") -> list[Row]:
    found = runs.best(("cold", *OTHERWISE), repeats)
    window = found["cold"][0]
    rows = list[Row]()
    for subject, work in OTHERWISE.items():
        best = found[subject][0]
        share = best["fetched_bytes"] / best["stored_bytes"]
        private_mb = max(told["private_mb"] for told in found[subject])
        rows += [
            _faster(f"{work}{where}, MB/s", best, "its cold epoch, window", window),
            measured(f"{work}{where}, fetched", OURS, share, "share of the dataset", most=1.0),
            measured(f"{work}{where}, private memory", OURS, private_mb, "MB"),
        ]
    return rows


def _far(runs: Runs) -> list[Row]:
    near = os.environ["AWS_ENDPOINT_URL"]
    with far_from(near) as endpoint:
        os.environ["AWS_ENDPOINT_URL"] = endpoint
        try:
            return _otherwise(runs, 1, ", from afar")
        finally:
            os.environ["AWS_ENDPOINT_URL"] = near


def _again(runs: Runs, repeats: int) -> list[Row]:
    found = runs.best(("second",), repeats)["second"]
    best = max(found, key=lambda told: told["first_epoch_s"] / told["wall_s"])
    share = max(told["fetched_bytes"] for told in found) / runs.size_bytes
    ratio = best["first_epoch_s"] / best["wall_s"]
    work = "second epoch, cache of half the data"
    return [
        measured(f"{work}, fetched", OURS, share, "share of the dataset", most=MOST_AGAIN),
        Row(
            work=f"{work}, speed",
            subject=OURS,
            value=runs.size_bytes / best["wall_s"] / 1e6,
            unit="MB/s",
            peer="its first epoch",
            peer_value=runs.size_bytes / best["first_epoch_s"] / 1e6,
            ratio=ratio,
            target=f">= {LEAST_FASTER:g}x",
            met=ratio >= LEAST_FASTER,
        ),
    ]


def _together(runs: Runs) -> list[Row]:
    from resources.storage.cache.cache import HostCache

    with tempfile.TemporaryDirectory(dir=runs._scratch) as folder:
        told = runs.together(Path(folder))
        fetched_bytes = HostCache(Path(folder) / "cache").host_stats().fetched_bytes
    work = f"{RANKS} processes, one cache"
    return [
        measured(f"{work}, fetched", OURS, fetched_bytes / runs.size_bytes, "share of the dataset", most=1.0),
        measured(f"{work}, the last is through after", OURS, max(one["wall_s"] for one in told), "s"),
    ]


if __name__ == "__main__":
    main()
