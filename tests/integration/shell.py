"""`penstock` as a process in an installation of its own: its exit code, its words.

The fixtures `shell` and `empty` reach every test of this folder by its conftest.py. The runs of `shell` are made once
a session and worker; each module gets a copy of that installation, with which it does what it likes.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.instance import BIN, ROOT, Installation

NAME = "coffee"
PARTITIONS = ("2024-02", "2024-03")


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Shell:
    """Runs commands in one installation."""

    home: Installation
    pipelines: Path

    def __call__(self, *arguments: str | Path, **env: str) -> Done:
        done = subprocess.run(
            [str(BIN / "penstock"), *map(str, arguments)],
            cwd=ROOT, env={**self.home.environment(), **env}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def declare(self, name: str, *changes: tuple[str, str]) -> None:
        """Write the starter under another name, changed."""
        from pipelines.starter import text

        source = text(name)
        for old, new in changes:
            assert old in source
            source = source.replace(old, new)
        (self.pipelines / f"{name}.py").write_text(source)


def shell_at(folder: Path) -> Shell:
    """Return the installation in `folder`, made where there is none yet."""
    pipelines = folder / "pipelines"
    pipelines.mkdir(exist_ok=True)
    return Shell(Installation.at(folder / "home", pipelines=pipelines), pipelines)


def run_starter(folder: Path) -> Shell:
    """Run the starter pipeline for two partitions in a new installation in `folder`."""
    made = shell_at(folder)
    assert made("new", NAME, "--folder", made.pipelines).code == 0
    ran = made("run", NAME, "--from", PARTITIONS[0], "--to", PARTITIONS[1], "--json")
    assert (ran.code, ran.json["summary"]["champion"]["sequence"]) == (0, 2), ran.err
    return made


@pytest.fixture(scope="session")
def already_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an installation with the starter pipeline, run for two partitions; to be copied, not used."""
    folder = tmp_path_factory.mktemp("cli")
    run_starter(folder)
    return folder


@pytest.fixture(scope="module")
def shell(already_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """An installation with the starter pipeline, run for two partitions; its data came from where it was run first."""
    return shell_at(shutil.copytree(already_run, tmp_path_factory.mktemp("shell"), symlinks=True, dirs_exist_ok=True))


@pytest.fixture
def empty(tmp_path: Path) -> Shell:
    """An installation in which nothing was run."""
    return shell_at(tmp_path)
