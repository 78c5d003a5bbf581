"""A collector that is killed: run as a program, it dies by SIGKILL after the first file operation, then the second, ...

`python -m tests.integration.collecting HOME` does so until a collection gets through. After every death it checks that
nothing in use was lost, that writers go on, and that the next collection finishes the work; it prints the deaths.
"""

import shutil
import signal
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path

from resources.storage import refs
from resources.storage.datasets import read_frame, write_table
from resources.storage.garbage.collect import collect
from resources.storage.garbage.plan import KEY, read_plan
from resources.storage.memo import recall, remember
from resources.workspace import Workspace
from tests.integration.crashing import ASSET, die_after, forked, frame, workspace_of

_NOW = datetime(2026, 11, 25, tzinfo=UTC)
_LATER = _NOW + timedelta(days=1)


def write(workspace: Workspace, version: int) -> None:
    """Write a version in three shards, remember it, and make it the current one."""
    store = workspace.store
    ref = write_table(store, frame(version), scratch=workspace.scratch, rows_per_shard=100)
    remember(store, f"{version:064d}", {"requires": [ref.digest]})
    refs.save(store, "main", ASSET, "2011-01", ref)


def check(workspace: Workspace, version: int) -> None:
    """Fail unless `version` is current and whole, and every memo leads to something whole or to nothing."""
    store = workspace.store
    current = refs.load(store, "main", ASSET, "2011-01").digest
    if not read_frame(store, current).equals(frame(version)):
        raise AssertionError(f"version {version} has lost rows")
    for key in store.list("memo"):
        known = recall(store, key.rsplit("/", 1)[1].removesuffix(".json"))
        for digest in known["requires"] if known else ():
            read_frame(store, digest)


def _prepare(home: Path) -> None:
    workspace = workspace_of(home)
    for version in (0, 1):
        write(workspace, version)
    collect(workspace.store, now=_NOW)


def _collect_and_die(home: Path, operation: int) -> None:
    workspace = workspace_of(home)
    die_after(operation)
    collect(workspace.store, now=_LATER)
    sys.setprofile(None)


def _check_and_go_on(home: Path) -> None:
    workspace = workspace_of(home)
    check(workspace, 1)
    collect(workspace.store, now=_LATER)
    check(workspace, 1)
    write(workspace, 0)  # what was garbage is written again
    check(workspace, 0)
    collect(workspace.store, now=_LATER, grace_s=0)
    check(workspace, 0)
    left = workspace.store.list("objects"), workspace.store.list("files"), workspace.store.list("gc")
    if (len(left[0]), len(left[1]), left[2], read_plan(workspace.store).state) != (1, 3, [KEY], "idle"):
        raise AssertionError(f"garbage is left: {left}")


def main(home: Path) -> int:
    """Return at which operation a collection got through; each is killed on a fresh copy of the same store."""
    for name in ("polars", "pyarrow.parquet", "pyarrow.dataset"):  # once, not in every child
        import_module(name)
    base = home / "base"
    if forked(partial(_prepare, base)) != 0:
        raise SystemExit("the first versions cannot be written")
    for operation in count():
        copy = shutil.copytree(base, home / str(operation))
        ended = forked(partial(_collect_and_die, copy, operation))
        if ended not in (0, -signal.SIGKILL):
            raise SystemExit(f"the collection that should die after operation {operation} ended with {ended}")
        if forked(partial(_check_and_go_on, copy)) != 0:
            raise SystemExit(f"the store is broken after death at operation {operation}")
        if ended == 0:
            return operation
        shutil.rmtree(copy)
    raise AssertionError("unreachable")


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
