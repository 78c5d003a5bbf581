"""Owns what commands store under a name that a person gives, beside what pipelines make: the name, and its record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from resources.errors import ConflictError, ObjectMissing
from resources.refs import DatasetRef, FolderRef
from resources.storage import refs
from resources.storage.provenance import Parent, Provenance, record, records_of
from resources.workspace import Workspace


@dataclass(frozen=True, slots=True)
class GivenName:
    """A name that a person gives: asset key and partition.

    Attributes:
        text: As it was typed.
        asset: Asset key, two parts at least.
        partition: Partition key, or None.
    """

    text: str
    asset: tuple[str, ...]
    partition: str | None

    @classmethod
    def parse(cls, text: str) -> "GivenName":
        """Return the name that `text` is.

        Raises:
            BadParameter: If it is none.
        """
        path, _, partition = text.partition("@")
        asset = tuple(path.split("/"))
        if len(asset) < 2 or not all(asset):
            raise typer.BadParameter(f"{text!r} is no name: give NAME/NAME or NAME/NAME@PARTITION, such as photos/raw")
        return cls(text, asset, partition or None)

    def check_free(self, opened: Workspace) -> None:
        """Refuse the name of something that a run made.

        Raises:
            ConflictError: If there is such a thing.
        """
        try:
            found = refs.load(opened.store, opened.registry_name, self.asset, self.partition)
        except ObjectMissing:
            return
        stage = "/".join(self.asset[1:])
        made = [
            one for one in records_of(opened.store, found.digest) if (one.pipeline, one.stage) == (self.asset[0], stage)
        ]
        if not made or any(one.run_id for one in made):
            raise ConflictError(f"{self.text} is made by a pipeline: give what you store another name")

    def save(
        self,
        opened: Workspace,
        ref: DatasetRef | FolderRef,
        *,
        parameters: Mapping[str, Any],  # Any: JSON values
        parents: Sequence[Parent] = (),
    ) -> None:
        """Make `ref` what the name means, and record how it came to be.

        Raises:
            ConflictError: If somebody else stored something under it at the same moment.
        """
        from datetime import UTC, datetime

        refs.save(opened.store, opened.registry_name, self.asset, self.partition, ref)
        made = Provenance(
            subject=ref.digest,
            kind="dataset",
            pipeline=self.asset[0],
            stage="/".join(self.asset[1:]),
            partition=self.partition or "",
            parents=tuple(parents),
            parameters=parameters,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        record(opened.store, made)
