"""Owns the way from a packed archive to the raw files in it; each is verified by its own digest."""

import os
from collections.abc import Sequence
from pathlib import Path

from resources.errors import IntegrityError
from resources.storage.content import chunk_digest
from resources.storage.folders import Member


def unpack(archive: Path, members: Sequence[Member], folder: Path, *, pack: str) -> None:
    """Write `members` of the archive into `folder`, whose folders are there.

    Args:
        archive: The archive.
        members: What to write.
        folder: Where to.
        pack: What the archive is, for errors.

    Raises:
        IntegrityError: If the bytes of one are not those that its digest names.
    """
    root = str(folder)
    with archive.open("rb", buffering=0) as file:
        for member in members:
            data = checked(member, os.pread(file.fileno(), member.size_bytes, member.offset), pack=pack)
            with open(f"{root}/{member.name}", "xb", buffering=0) as target:  # noqa: PTH123 (a Path each is felt)
                target.write(data)


def checked(member: Member, data: bytes, *, pack: str) -> bytes:
    """Return the bytes of a packed file if they are its own.

    Raises:
        IntegrityError: If they are not.
    """
    if len(data) != member.size_bytes or chunk_digest(data).hex() != member.digest:
        raise IntegrityError(f"file {member.name!r} in {pack} was altered: import the folder again")
    return data
