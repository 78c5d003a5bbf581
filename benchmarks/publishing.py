"""Publishing a version and pulling it, against `dvc add && dvc push` and `dvc pull` of the same files on one server.

A SeaweedFS server runs on loopback and shares the processor with its clients. Beside both stands the bare client:
obstore putting the same bytes without hashing them, and getting them without verifying or flushing them.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _remote import BUCKET, bucket
from _report import Row, compared, parser, report
from _usage import READY_BYTES, ready_memory, timed

OURS = "penstock"
LARGE, SMALL = "1 GiB in 16 files", "5,000 files of 8 KB"
# Files, bytes of each, and the least ratio of DVC's time to ours.
WORKS = {SMALL: (5_000, 8_192, 15.0), LARGE: (16, 64 * 2**20, 2.5)}
QUICK = {"4 files of 4 MiB": (4, 4 * 2**20, 2.5), "200 files of 8 KB": (200, 8_192, 15.0)}
THREADS = 4


def published(files: Path, name: str, scratch: Path) -> tuple[str, float]:
    """Return the version of `files` in a store of its own, and the seconds that it took."""
    from resources.storage.packing import put_folder

    made: list[str] = []
    cost = timed(lambda: made.append(put_folder(_store(name, scratch), files, scratch=scratch / "unfinished")))
    return made[0], cost["wall_s"]


def pulled(digest: str, name: str, scratch: Path) -> float:
    """Return the seconds that it takes to pull a version through an empty cache."""
    from resources.storage.pull import pull
    from resources.storage.versions import version

    def work() -> None:
        store = _store(name, scratch / "reader")
        pull(store, version(store, digest), scratch / f"pulled-{name}")

    return timed(work)["wall_s"]


def by_dvc(files: Path, name: str, scratch: Path) -> tuple[float, float]:
    """Return the seconds of `dvc add && dvc push`, and of `dvc pull` elsewhere."""
    author, reader = (_repository(scratch / f"dvc-{who}-{name}", name) for who in ("author", "reader"))
    shutil.copytree(files, author / "data")
    push_s = timed(lambda: [_dvc(author, "add", "data"), _dvc(author, "push")])["wall_s"]
    shutil.copy(author / "data.dvc", reader)
    return push_s, timed(lambda: _dvc(reader, "pull"))["wall_s"]


def bare(files: Path, name: str, scratch: Path) -> tuple[float, float]:
    """Return the seconds in which obstore puts the files one by one, and gets them back into files."""
    import obstore

    behind, target = bucket(), scratch / f"bare-{name}"
    target.mkdir()
    paths = list(files.iterdir())

    def put(path: Path) -> None:
        obstore.put(behind, f"bare/{name}/{path.name}", path)

    def get(path: Path) -> None:
        with (target / path.name).open("wb") as file:
            for part in obstore.get(behind, f"bare/{name}/{path.name}").stream():
                file.write(part)

    return _all(put, paths), _all(get, paths)


def _all(work: Callable[[Path], None], paths: list[Path]) -> float:
    with ThreadPoolExecutor(THREADS) as pool:
        return timed(lambda: list(pool.map(work, paths)))["wall_s"]


def _store(name: str, scratch: Path):
    from resources.storage.object_store import ObjectStore

    return ObjectStore(f"s3://{BUCKET}/{name}", cache=scratch / f"cache-{name}", cache_bytes=10**11)


def _repository(folder: Path, name: str) -> Path:
    folder.mkdir()
    _dvc(folder, "init", "--no-scm")
    _dvc(folder, "remote", "add", "-d", "server", f"s3://{BUCKET}/dvc-{name}")
    _dvc(folder, "remote", "modify", "server", "endpointurl", os.environ["AWS_ENDPOINT_URL"])
    return folder


def _dvc(folder: Path, *arguments: str) -> None:
    program = Path(sys.executable).parent / "dvc"
    subprocess.run([str(program), *arguments, "-q"], cwd=folder, env=os.environ | {"DVC_NO_ANALYTICS": "1"}, check=True)


def compare(work: str, files_of: tuple[int, int, float], *, repeats: int, ready_bytes: int, scratch: Path) -> list[Row]:
    """Publish and pull some files, each subject in turns, and return the quickest of each beside DVC's."""
    count, size_bytes, least = files_of
    files = scratch / f"files-{count}"
    files.mkdir()
    for number in range(count):
        (files / f"{number:05d}.bin").write_bytes(os.urandom(size_bytes))
    ours, dvc, plain = ([(float("inf"), float("inf"))] for _ in range(3))
    for repeat in range(repeats):
        name = f"{count}-{repeat}"
        ready_memory(ready_bytes)
        digest, put_s = published(files, name, scratch)
        ours.append((put_s, pulled(digest, name, scratch)))
        ready_memory(ready_bytes)
        dvc.append(by_dvc(files, name, scratch))
        ready_memory(ready_bytes)
        plain.append(bare(files, name, scratch))
    rows: list[Row] = []
    for number, what in enumerate(("publish", "pull")):
        best, theirs, client = (min(times[number] for times in found) for found in (ours, dvc, plain))
        peer = "dvc add && dvc push" if what == "publish" else "dvc pull"
        rows.append(
            compared(f"{what} {work}", OURS, best, "s", peer=peer, peer_value=theirs, most_ratio=round(1 / least, 3))
        )
        rows.append(compared(f"{what} {work}", OURS, best, "s", peer="bare obstore, file by file", peer_value=client))
    return rows


def main() -> None:
    """Run the comparison and print it."""
    arguments = parser(__doc__)
    arguments.add_argument("--scratch", type=Path, help="folder for server and files, with 15 GB free")
    arguments.add_argument("--repeats", type=int, default=3, help="runs of each subject (default: 3)")
    options = arguments.parse_args()
    report(_rows(options), options.json)


def _rows(options: argparse.Namespace) -> list[Row]:
    from tests.integration.seaweed import run_seaweed

    works, repeats, ready_bytes = (QUICK, 1, 0) if options.quick else (WORKS, options.repeats, READY_BYTES)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        scratch = Path(folder)
        server = run_seaweed(scratch / "server")
        os.environ.update(next(server).env())
        os.environ["DVC_SITE_CACHE_DIR"] = str(scratch / "dvc-site")
        try:
            return [
                row
                for work, given in works.items()
                for row in compare(work, given, repeats=repeats, ready_bytes=ready_bytes, scratch=scratch)
            ]
        finally:
            server.close()


if __name__ == "__main__":
    main()
