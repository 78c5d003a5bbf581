"""A laptop works on production's data with the real command line, and production never changes by a byte."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.instance import Installation
from tests.integration.shell import NAME, PARTITIONS, Shell, run_starter

pytestmark = pytest.mark.slow
NEXT = "2024-04"


@dataclass(frozen=True)
class Two:
    """Production, where two partitions were run, and a laptop whose base it is."""

    production: Shell
    laptop: Shell

    @property
    def base(self) -> Path:
        return self.production.home.folder / "penstock" / "store"

    @property
    def own(self) -> Path:
        return self.laptop.home.folder / "penstock" / "store"


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Production, run where it lies: the provenance of its data names the folder that they were generated in."""
    return run_starter(tmp_path_factory.mktemp("production"))


@pytest.fixture(scope="module")
def two(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("laptop")
    trusted = folder / "trusted"
    trusted.mkdir()
    (trusted / "production.pem").write_text(shell("key").out)
    base = shell.home.folder / "penstock" / "store"
    home = Installation.at(
        folder / "home", pipelines=shell.pipelines, PENSTOCK_BASE_STORE=str(base), PENSTOCK_TRUSTED_KEYS=str(trusted)
    )
    made = Two(production=shell, laptop=Shell(home, shell.pipelines))
    before = fingerprint(base)
    modes(base, 0o555)
    yield made
    modes(base, 0o755)
    assert fingerprint(base) == before, "production changed"


def modes(folder: Path, mode: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(mode)


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    """Return name to digest and time of every file, those without a store key too."""
    files = [Path(root) / name for root, _, names in os.walk(folder) for name in names]
    return {
        str(file.relative_to(folder)): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in files
    }


def kept(two: Two, folder: str = "") -> list[str]:
    root = two.own / folder
    return sorted(str(path.relative_to(two.own)) for path in root.rglob("*") if path.is_file())


def test_the_laptop_sees_what_production_has(two):
    for command in (
        ("summary", NAME),
        ("models", NAME),
        ("lineage", NAME),
        ("lineage", f"{NAME}/raw@2024-03", "--down"),
    ):
        there, here = two.production(*command, "--json"), two.laptop(*command, "--json")
        assert (here.code, here.json) == (0, there.json), here.err
    assert two.laptop("verify", NAME).code == 0
    assert kept(two) == []


def test_without_trust_in_productions_key_its_champion_is_refused_and_told_how_to_trust(two):
    done = two.laptop("models", NAME, PENSTOCK_TRUSTED_KEYS="")

    assert done.code == 1
    assert (
        "put its public key (PEM, which `penstock key` prints there) into the folder PENSTOCK_TRUSTED_KEYS" in done.err
    )


def test_unchanged_work_on_productions_data_costs_nothing(two):
    same_source = two.production.home.folder / "penstock" / "scratch"  # there the starter generates its data

    done = two.laptop("run", NAME, "--partition", PARTITIONS[1], "--json", PENSTOCK_SCRATCH=str(same_source))

    assert done.code == 0, done.err
    states = {item["stage"]: item["state"] for item in done.json["outcomes"][0]["stages"]}
    assert set(states.values()) <= {"reused", "unchanged"}
    assert [
        name for name in kept(two) if not name.startswith(("reports/", "flags/"))
    ] == []  # what this run had to tell


def test_forced_work_makes_the_same_content_which_is_not_stored_again(two):
    same_source = two.production.home.folder / "penstock" / "scratch"

    done = two.laptop("run", NAME, "--partition", PARTITIONS[1], "--force", "--json", PENSTOCK_SCRATCH=str(same_source))

    assert done.code == 0, done.err
    assert kept(two, "files") == kept(two, "objects") == kept(two, "trees") == kept(two, "registry") == []
    assert kept(two, "refs") == [f"refs/main/{NAME}/evaluation/p{PARTITIONS[1]}.json"]  # a report signed here


def test_new_work_reads_production_and_is_promoted_on_a_fork_of_its_log(two):
    before = two.production("models", NAME, "--json").json["entries"]

    done = two.laptop("run", NAME, "--partition", NEXT, "--json")

    assert done.code == 0, done.err
    mine = two.laptop("models", NAME, "--json").json["entries"]
    assert mine[:-1] == before
    assert mine[-1]["model"]["digest"] == done.json["champion_after"] != done.json["champion_before"]
    assert two.production("models", NAME, "--json").json["entries"] == before
    tree = json.dumps(two.laptop("lineage", NAME, "--json").json)
    assert all(f"raw {key}" in tree for key in PARTITIONS)  # made by production
    assert two.laptop("rollback", NAME, "--reason", "only here").code == 0
    assert len(two.laptop("models", NAME, "--json").json["entries"]) == len(before) + 2


def test_a_pushed_result_is_a_candidate_there_and_changes_nothing_else(two, tmp_path):
    there = tmp_path / "store"
    shutil.copytree(two.base, there)
    before = fingerprint(there)

    offer = ("data", "push", f"{NAME}/model@{NEXT}", "--as", "ann/model")

    done = two.laptop(*offer, "--json", PENSTOCK_BASE_STORE=str(there))

    assert done.code == 0, done.err
    assert (done.json["candidate"], done.json["store"]) == ("candidates/ann/model", str(there))
    assert done.json["copied"]
    after = fingerprint(there)
    new = after.keys() - before.keys()
    assert before.items() <= after.items()
    assert {name.split("/")[0] for name in new} <= {"files", "objects", "provenance", "children", "signatures", "refs"}
    assert [name for name in new if name.startswith("refs")] == ["refs/candidates/ann/model/_.json"]

    def production(*command: str):
        return two.production(*command, PENSTOCK_STORE=str(there))

    assert production("data", "show", "candidates/ann/model", "--json").json["digest"] == done.json["digest"]
    assert production("data", "verify", "candidates/ann/model").code == 0
    assert f"{NAME}/raw {PARTITIONS[1]}" in production("lineage", "candidates/ann/model").out
    assert "ann/model" in production("data", "ls", "--registry", "candidates").out
    again = two.laptop(*offer, "--to", str(there))
    assert "copied 0 versions (0 files and records, 0 B)" in again.out
    assert fingerprint(there) == after


def test_without_another_store_there_is_nothing_to_push_to(two):
    done = two.production("data", "push", NAME)

    assert (done.code, "give --to URL, or set PENSTOCK_BASE_STORE" in done.err) == (1, True)
