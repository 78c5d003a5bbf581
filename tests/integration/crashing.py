"""A writer that is killed: run as a program, it commits versions one after another to the folder that it is given.

`python -m tests.integration.crashing HOME` commits until it is killed, and prints each version that it has committed.
`python -m tests.integration.crashing HOME operations` dies by SIGKILL after the first file operation, then after the
second, and so on until a commit gets through, checking after every death what a reader sees; it prints the deaths.
"""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import polars as pl

from resources.canonical import digest_value
from resources.errors import IntegrityError, ObjectMissing
from resources.refs import DatasetRef, ModelRef
from resources.settings import load_settings
from resources.signing import load_signer
from resources.storage import refs
from resources.storage.datasets import read_frame, write_table
from resources.storage.manifest import read_manifest
from resources.storage.objects import get_object
from resources.storage.provenance import Parent, Provenance, ancestors, record
from resources.workspace import Workspace, open_workspace

ASSET = ("bike", "raw")
_ROWS = 300
_CHANGES = {"os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}
_FUNCTIONS = {"open", "write", "link", "rename", "replace", "unlink", "mkdir", "rmdir"}


def workspace_of(home: Path) -> Workspace:
    """Return the workspace whose home is `home`; PENSTOCK_STORE and PENSTOCK_ENCRYPTION_KEY count as ever."""
    names = ("PENSTOCK_STORE", "PENSTOCK_ENCRYPTION_KEY")
    given = {name: os.environ[name] for name in names if name in os.environ}
    return open_workspace(load_settings({"PENSTOCK_HOME": str(home), **given}))


def frame(version: int) -> pl.DataFrame:
    """Return the rows of a version."""
    return pl.DataFrame(
        {"version": [version] * _ROWS, "row": range(_ROWS), "text": [f"{version} {i}" for i in range(_ROWS)]}
    )


def commit(workspace: Workspace, version: int) -> None:
    """Commit a version: a dataset in three shards, its provenance, its ref, a promotion, and a key."""
    store = workspace.store
    ref = write_table(store, frame(version), scratch=workspace.scratch, rows_per_shard=100)
    source = Parent(kind="source", name="file", digest=digest_value(version))
    record(
        store,
        Provenance(subject=ref.digest, kind="dataset", pipeline="bike", stage="raw", parents=(source,)),
    )
    refs.save(store, "main", ASSET, "2011-01", ref)
    model = ModelRef(
        digest=digest_value(("model", version)), location=store.url, trainer="none",
        training_digests={"": ref.digest}, code_version="", parameters={}, seed=version,
    )  # fmt: skip
    registry = workspace.registry("bike")
    registry.promote(model, partition="", report=ref.digest, expected_head=registry.head(), reason="")
    load_signer(workspace.settings.home / "keys" / f"{version}.pem")


def check(workspace: Workspace, committed: int) -> None:
    """Fail unless a reader finds every committed version whole, and nothing half-written.

    Args:
        workspace: Where to read.
        committed: Newest version whose commit came back; -1 for none.
    """
    store = workspace.store
    datasets = [digest for digest in _objects(workspace) if _is_dataset(workspace, digest)]
    for digest in datasets:
        data = read_frame(store, digest)
        if not data.equals(frame(data["version"][0])):
            raise AssertionError(f"dataset {digest} holds other rows than were written")
    _check_versions(workspace, committed, len(datasets))
    for path in (workspace.settings.home / "keys").glob("*.pem"):
        load_signer(path)


def _objects(workspace: Workspace) -> list[str]:
    digests = [key.rsplit("/", 1)[1] for key in workspace.store.list("objects")]
    for digest in digests:
        get_object(workspace.store, digest)  # verifies
    return digests


def _is_dataset(workspace: Workspace, digest: str) -> bool:
    try:
        read_manifest(workspace.store, digest)
    except IntegrityError:
        return False  # a shard
    return True


def _check_versions(workspace: Workspace, committed: int, datasets: int) -> None:
    entries = workspace.registry("bike").entries()
    if min(len(entries), datasets) < committed + 1:
        raise AssertionError(f"{committed + 1} versions were committed, {len(entries)} entries and {datasets} found")
    for entry in entries:
        read_frame(workspace.store, entry.model.training_digests[""])
        if ancestors(workspace.store, entry.model.training_digests[""]).children == ():
            raise AssertionError(f"version {entry.model.seed} was promoted before its provenance was recorded")
    try:
        ref = refs.load(workspace.store, "main", ASSET, "2011-01")
    except ObjectMissing:
        if committed >= 0:
            raise
        return
    if not isinstance(ref, DatasetRef) or read_frame(workspace.store, ref.digest)["version"][0] < committed:
        raise AssertionError("the ref points to an older version than was committed")


def die_after(operation: int) -> None:
    """Arrange for SIGKILL right after the operation number `operation` that changes files, over all threads."""
    seen = count()
    thread = threading.local()

    def announce(event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        thread.changes = event in _CHANGES or writes or getattr(thread, "changes", False)

    def watch(_frame: object, event: str, function: object) -> None:
        if event != "c_return" or (name := getattr(function, "__name__", "")) not in _FUNCTIONS:
            return
        if (name == "write" or getattr(thread, "changes", False)) and next(seen) == operation:
            os.kill(os.getpid(), signal.SIGKILL)
        thread.changes = False

    sys.addaudithook(announce)
    threading.setprofile(watch)
    sys.setprofile(watch)


def forked(work: Callable[[], None]) -> int:
    """Return how a child process ended that does `work`; this one stays without threads."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _die_after_every_operation(home: Path) -> int:
    """Return after how many operations the commit of version 1 was killed, each time on a fresh copy of version 0."""
    base = home / "base"
    if forked(lambda: commit(workspace_of(base), 0)) != 0:
        raise SystemExit("the first commit failed")
    for operation in count():
        copy = shutil.copytree(base, home / str(operation))
        ended = forked(partial(_commit_and_die, copy, operation))
        if ended not in (0, -signal.SIGKILL):
            raise SystemExit(f"the commit that should die after operation {operation} ended with {ended}")
        if forked(partial(_check_and_go_on, copy, 1 if ended == 0 else 0)) != 0:
            raise SystemExit(f"what a reader sees is broken after death at operation {operation}")
        if ended == 0:
            return operation
        shutil.rmtree(copy)
    raise AssertionError("unreachable")


def _commit_and_die(home: Path, operation: int) -> None:
    workspace = workspace_of(home)
    die_after(operation)
    commit(workspace, 1)
    sys.setprofile(None)


def _check_and_go_on(home: Path, committed: int) -> None:
    workspace = workspace_of(home)
    check(workspace, committed)
    commit(workspace, 2)
    check(workspace, committed + 1)


def _commit_until_killed(home: Path) -> None:
    workspace = workspace_of(home)
    version = len(workspace.registry("bike").entries())
    while True:
        commit(workspace, version)
        print(version, flush=True)
        version += 1


if __name__ == "__main__":
    if sys.argv[2:] == ["operations"]:
        print(_die_after_every_operation(Path(sys.argv[1])))
    else:
        _commit_until_killed(Path(sys.argv[1]))
