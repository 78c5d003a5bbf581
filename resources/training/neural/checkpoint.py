"""Owns where a training notes how far it is, so that a process that was killed loses seconds and not the whole.

A checkpoint belongs to everything that decides the model: data, code, parameters, seed, libraries, kind of processor.
One of anything else, or one that was altered, counts for nothing; one that cannot be written is done without.
"""

import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resources.durable import sync_folder
from resources.training.neural.tensor_file import read_tensors, write_tensors

KEPT_S = 14 * 86_400.0
"""How long a checkpoint stays of which no training came to its end."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    """The checkpoint of one training.

    Attributes:
        folder: Where those of all trainings lie.
        identity: Digest of everything that decides the model.
        every_s: Seconds of training between two of them.
    """

    folder: Path
    identity: str
    every_s: float

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.folder / f"{self.identity[:32]}.safetensors"

    def read(self, surroundings: str) -> tuple[dict[str, Any], dict[str, Any]] | None:  # Any: torch.Tensor, JSON
        """Return the tensors and the value that `write` wrote; None where there are none to go on from."""
        try:
            tensors, about = read_tensors(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _LOG.warning("checkpoint %s is not used: %s; training begins anew", self.path, error)
            return None
        found = (about.get("identity"), about.get("surroundings"))
        if found != (self.identity, surroundings):
            _LOG.warning("checkpoint %s is not used: it is of %s, not of %s", self.path, found[1], surroundings)
            return None
        return tensors, about["progress"]

    def write(self, tensors: Mapping[str, Any], progress: Mapping[str, Any], surroundings: str) -> None:
        """Keep a checkpoint in the place of the one before."""
        about = {"identity": self.identity, "surroundings": surroundings, "progress": dict(progress)}
        aside = self.path.with_suffix(f".{os.getpid()}.part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                file.write(write_tensors(tensors, about))
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self.path)
            sync_folder(self.folder)
        except OSError as error:
            _LOG.warning("no checkpoint is kept in %s: %s; training goes on without", self.folder, error)
            with suppress(OSError):
                aside.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete it, for training came to its end, and those that were left behind long ago."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            for file in self.folder.glob("*"):
                if time.time() - file.stat().st_mtime > KEPT_S:
                    file.unlink(missing_ok=True)
