"""The life cycle between a store and an archive in S3, killed at requests all along the way there and back."""

import os
import secrets
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TypeVar

import polars as pl
import pytest

from resources.settings import load_settings
from resources.storage.datasets import read_frame, write_table
from resources.storage.lifecycle.archive import archived, recall_version
from resources.storage.lifecycle.cycle import lifecycle
from resources.storage.lifecycle.policy import Policy
from resources.storage.objects import has_object
from resources.storage.provenance import Provenance, record
from resources.storage.store import Store
from resources.workspace import Workspace, archive_of, open_workspace
from tests.integration.faults.proxy import FaultProxy, Moment, NetworkFault
from tests.integration.faults.steps import Actor
from tests.integration.seaweed import BUCKET, Seaweed

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
POLICY = Policy(keep_last=0)
KILLS = int(os.environ.get("PENSTOCK_TEST_SOAK", "3"))
T = TypeVar("T")
_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Settings of a workspace; it can be sent to a process."""

    settings: dict[str, str]
    env: dict[str, str]

    def open(self, endpoint: str | None = None) -> tuple[Workspace, Store]:
        """Return the workspace and its archive, reached through `endpoint` if given."""
        os.environ.update(self.env | ({"AWS_ENDPOINT_URL": endpoint} if endpoint else {}))
        settings = load_settings(self.settings)
        archive = archive_of(settings)
        assert archive is not None
        return open_workspace(settings), archive


def write(place: Place) -> str:
    """Write a dataset in three shards that has been cold for ten days."""
    workspace, _ = place.open()
    frame = pl.DataFrame({"number": range(30)})
    ref = write_table(workspace.store, frame, scratch=workspace.scratch, rows_per_shard=10)
    at = (NOW - timedelta(days=40)).isoformat()
    record(workspace.store, Provenance(subject=ref.digest, kind="dataset", pipeline="p", stage="raw", created_at=at))
    return ref.digest


def turn(place: Place, endpoint: str | None = None) -> int:
    """Do one round of the life cycle, and return how many versions went into the archive."""
    workspace, archive = place.open(endpoint)
    return len(lifecycle(workspace.store, archive, POLICY, now=NOW, grace_s=0).moved)


def bring_back(place: Place, digest: str, endpoint: str | None = None) -> int:
    """Recall the version."""
    workspace, archive = place.open(endpoint)
    return recall_version(workspace.store, archive, digest)


def look(place: Place, digest: str) -> tuple[bool, bool, bool]:
    """Return whether the version can be read whole from the store and from the archive, and whether it is marked."""
    workspace, archive = place.open()
    return is_whole(workspace.store, digest), is_whole(archive, digest), digest in archived(workspace.store)


def is_whole(store: Store, digest: str) -> bool:
    """Return whether the store has the version; what it has must be right."""
    return has_object(store, digest) and read_frame(store, digest)["number"].to_list() == list(range(30))


def new_place(kind: str, home: Path, server: Seaweed) -> Place:
    """Return a new workspace with an empty store, in a folder or in S3, and an empty archive in S3."""
    name = secrets.token_hex(6)
    settings = {"PENSTOCK_HOME": str(home / name), "PENSTOCK_ARCHIVE": f"s3://{BUCKET}/{name}/archive"}
    if kind == "s3":
        settings["PENSTOCK_STORE"] = f"s3://{BUCKET}/{name}/store"
    return Place(settings=settings, env=server.env())


def do(step: Callable[..., T], *arguments: object, actor: Actor) -> T:
    """Let a process do a step."""
    return actor.do(step, *arguments, within_s=_WITHIN_S)


def requests_of(server: Seaweed, step: Callable[..., object], *arguments: object, actor: Actor) -> int:
    """Do a step, and return how many requests that took."""
    with FaultProxy(server.endpoint) as proxy:
        do(step, *arguments, proxy.endpoint, actor=actor)
        return len(proxy.log)


def killed_at(server: Seaweed, point: tuple[int, Moment], step: Callable[..., object], *arguments: object) -> bool:
    """Do a step in a process that is killed at its n-th request, and return whether it was."""
    with closing(Actor()) as actor:
        fault = NetworkFault(kind="call", request=point[0], moment=point[1], action=actor.kill)
        with FaultProxy(server.endpoint, fault) as proxy:
            done = actor.do(step, *arguments, proxy.endpoint, within_s=_WITHIN_S)
    return done is None


def points(requests: int, chance: Random) -> list[tuple[int, Moment]]:
    """Return at which of so many requests to kill, one in each part of them, and at which moment."""
    moments: tuple[Moment, ...] = ("before", "answer")
    return [(int(requests * (part + chance.random()) / KILLS), chance.choice(moments)) for part in range(KILLS)]


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_who_is_killed_while_it_archives_or_recalls_loses_nothing_and_the_next_run_finishes(kind, tmp_path, seaweed):
    with closing(Actor()) as actor:
        place = new_place(kind, tmp_path, seaweed)
        digest = do(write, place, actor=actor)
        there = requests_of(seaweed, turn, place, actor=actor)
        assert do(look, place, digest, actor=actor) == (False, True, True)
        back = requests_of(seaweed, bring_back, place, digest, actor=actor)
        assert do(look, place, digest, actor=actor) == (True, True, False)

        chance = Random(kind)
        for first, second in zip(points(there, chance), points(back, chance), strict=True):
            place = new_place(kind, tmp_path, seaweed)
            assert do(write, place, actor=actor) == digest

            assert killed_at(seaweed, first, turn, place)
            in_store, in_archive, marked = do(look, place, digest, actor=actor)
            assert in_store or (in_archive and marked), first
            do(turn, place, actor=actor)
            assert do(look, place, digest, actor=actor) == (False, True, True), first

            assert killed_at(seaweed, second, bring_back, place, digest)
            assert do(look, place, digest, actor=actor)[1], second
            do(bring_back, place, digest, actor=actor)
            assert do(look, place, digest, actor=actor) == (True, True, False), second
