"""Owns which model is champion: an append-only, hash-chained, signed log per registry and pipeline, kept on the store.

The store's conditional create of the next sequence number is the compare-and-swap: of two writers one wins. The
chain shows altered, swapped and missing entries; that the newest were cut off only a copy elsewhere can show.
"""

import getpass
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from resources.canonical import digest_value
from resources.errors import ConflictError, IntegrityError, ObjectMissing, SignatureError
from resources.refs import ModelRef, from_json, sources_of, to_json
from resources.signing import Keyring, Signer
from resources.storage.garbage.guard import keeping
from resources.storage.layered import fork_log, holder
from resources.storage.store import Store
from resources.storage.values import read_verified, seal, unseal

ALIAS = "champion"
FOLDER = "registry"
_KIND = "registry"
_FIRST = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One move of the alias.

    Attributes:
        registry: Name of the registry.
        pipeline: Name of the pipeline; both are signed, so that no entry can be copied elsewhere.
        sequence: Its place in the log, from 1.
        previous: Digest of the entry before, empty for the first.
        at: When, ISO 8601 in UTC.
        actor: Who, as user@host.
        action: Forward by the gate, or back by a person.
        alias: The alias that moved.
        model: The model it moved to.
        partition: The partition on which that model was judged; empty for an unpartitioned pipeline.
        report: Digest of the gate report of that model.
        reason: Why, in plain words.
        signature: Hex of the ed25519 signature over the digest.
        key_id: Id of the signing key.
    """

    registry: str
    pipeline: str
    sequence: int
    previous: str
    at: str
    actor: str
    action: Literal["promote", "rollback"]
    alias: str
    model: ModelRef
    partition: str
    report: str | None
    reason: str
    signature: str = ""
    key_id: str = ""

    @property
    def digest(self) -> str:
        """Digest of everything but the signature."""
        value = _to_json(self)
        del value["signature"], value["key_id"]
        return digest_value(value)


class Registry:
    """The log of one pipeline in one registry.

    Args:
        store: Where the log lies.
        name: Name of the registry.
        pipeline: Name of the pipeline.
        signer: Signs new entries.
        keyring: Keys whose entries count.
    """

    def __init__(self, store: Store, *, name: str, pipeline: str, signer: Signer, keyring: Keyring) -> None:
        self._store = store
        self._name = name
        self._pipeline = pipeline
        self._signer = signer
        self._keyring = keyring
        self._folder = f"{FOLDER}/{name}/{pipeline}"

    def entries(self) -> tuple[Entry, ...]:
        """Return the whole log, oldest first, with chain and signatures verified.

        Raises:
            IntegrityError: If an entry is missing, altered, out of place or signed by an unknown key.
        """
        found: list[Entry] = []
        for sequence, key in enumerate(self._store.list(self._folder), start=_FIRST):
            if key != self._key(sequence):
                raise self._damaged(self._key(sequence), f"it is missing, {key} was found in its place")
            entry = _read(self._store, key, lambda why, key=key: self._damaged(key, why))
            self._check(entry, key, sequence, found[-1].digest if found else "")
            found.append(entry)
        return tuple(found)

    def head(self) -> str:
        """Return the digest of the newest entry, empty for an empty log."""
        entries = self.entries()
        return entries[-1].digest if entries else ""

    def champion(self) -> Entry | None:
        """Return the newest entry: its model is the champion."""
        entries = self.entries()
        return entries[-1] if entries else None

    def champion_facing(self, challenger: str, partition: str) -> Entry | None:
        """Return the champion that the model `challenger`, judged on `partition`, has to answer to.

        It is the champion before `challenger` was first promoted, had no model of a later partition been judged: those
        have seen the rows of `partition`. Rollbacks away from such a model are left out with it. So judging a
        partition again asks the same question again.
        """
        facing: Entry | None = None
        entries = self.entries()
        for before, entry in zip((None, *entries), entries, strict=False):
            if entry.action == "promote" and entry.model.digest == challenger:
                break
            away = entry.partition if entry.action == "promote" or before is None else before.partition
            if not partition or (away <= partition and entry.partition <= partition):
                facing = entry
        return facing

    def rolled_back(self) -> set[str]:
        """Return the digests of the models that a rollback took away and nothing brought back."""
        return _line(self.entries())[1]

    def promote(self, model: ModelRef, *, partition: str, report: str, expected_head: str | None, reason: str) -> Entry:
        """Make `model` champion.

        Args:
            model: The new champion.
            partition: Partition on which it was judged.
            report: Digest of its gate report.
            expected_head: Digest of the newest entry when it was judged, empty for none; None takes the log as it is.
            reason: Why, in plain words.

        Raises:
            ConflictError: If another entry appeared since.
        """
        entries = self.entries()
        head = entries[-1].digest if entries else ""
        if expected_head is not None and expected_head != head:
            raise self._conflict()
        return self._append(entries, "promote", model=model, partition=partition, report=report, reason=reason)

    def rollback(self, *, to: str | None, reason: str) -> Entry:
        """Make an earlier champion champion again: the model `to`, or the one before the present.

        Raises:
            ObjectMissing: If no such model was ever champion.
            ConflictError: If another entry appeared meanwhile, or the model is champion already.
        """
        entries = self.entries()
        target = self._target(entries, to)
        return self._append(
            entries, "rollback", model=target.model, partition=target.partition, report=target.report, reason=reason
        )

    def _target(self, entries: tuple[Entry, ...], to: str | None) -> Entry:
        if to is None:
            line = _line(entries)[0]
            if len(line) < 2:
                raise ObjectMissing(f"{self._title()} has no earlier champion to return to: see penstock models")
            return line[-2]
        if entries and entries[-1].model.digest == to:
            raise ConflictError(f"model {to[:12]} is the champion of {self._title()} already: name another")
        for entry in reversed(entries):
            if entry.model.digest == to:
                return entry
        known = ", ".join(dict.fromkeys(entry.model.digest[:12] for entry in reversed(entries))) or "none"
        raise ObjectMissing(f"model {to[:12]} was never champion of {self._title()}; these were: {known}")

    def _append(
        self,
        entries: tuple[Entry, ...],
        action: Literal["promote", "rollback"],
        *,
        model: ModelRef,
        partition: str,
        report: str | None,
        reason: str,
    ) -> Entry:
        draft = Entry(
            registry=self._name,
            pipeline=self._pipeline,
            sequence=len(entries) + _FIRST,
            previous=entries[-1].digest if entries else "",
            at=datetime.now(UTC).isoformat(timespec="microseconds"),
            actor=_actor(),
            action=action,
            alias=ALIAS,
            model=model,
            partition=partition,
            report=report,
            reason=reason,
        )
        entry = replace(draft, signature=self._signer.sign(_KIND, draft.digest), key_id=self._signer.key_id)
        key, data = self._key(entry.sequence), seal(_to_json(entry))
        fork_log(self._store, self._folder)
        # Another process may have forked the log of a base at an earlier entry than was read here.
        if entries and not self._holds(entries[-1]):
            raise self._conflict()
        with keeping(self._store, [model.digest], [*sources_of(model), *([report] if report else [])]):
            # A request that was sent again after a lost answer finds its own entry.
            if not self._store.create(key, data) and self._store.get(key) != data:
                raise self._conflict()
        return entry

    def _holds(self, entry: Entry) -> bool:
        key = self._key(entry.sequence)
        try:
            return _read(self._store, key, lambda why: self._damaged(key, why)).digest == entry.digest
        except ObjectMissing:
            return False

    def _check(self, entry: Entry, key: str, sequence: int, previous: str) -> None:
        place = (entry.registry, entry.pipeline, entry.sequence)
        if place != (self._name, self._pipeline, sequence):
            raise self._damaged(key, f"it belongs to {entry.registry}/{entry.pipeline}, sequence {entry.sequence}")
        if entry.previous != previous:
            raise self._damaged(key, "it does not follow the entry before it")
        try:
            self._keyring.verify(_KIND, entry.digest, entry.signature, entry.key_id)
        except SignatureError as error:
            raise self._damaged(key, str(error)) from error

    def _key(self, sequence: int) -> str:
        return f"{self._folder}/{sequence:08d}.json"

    def _title(self) -> str:
        return f"pipeline {self._pipeline} in registry {self._name}"

    def _damaged(self, key: str, why: str) -> IntegrityError:
        where = holder(self._store, key).url
        return IntegrityError(f"registry entry {key} in store {where} is not to be trusted: {why}; restore it")

    def _conflict(self) -> ConflictError:
        return ConflictError(
            f"the champion of {self._title()} changed meanwhile: evaluate against the new champion, then deploy again"
        )


def logged_models(store: Store) -> Iterator[tuple[str, ModelRef, str | None]]:
    """Yield the store key, the model and the report's digest of every entry of every registry.

    Of each no more is verified than that its bytes are as they were written: not who signed it, nor what it follows.

    Raises:
        IntegrityError: If an entry cannot be read, or is damaged.
    """
    for key in store.list(FOLDER):
        try:
            entry = _read(
                store, key, lambda why, key=key: IntegrityError(f"{key} in store {store.url}: {why}; restore it")
            )
        except ObjectMissing:  # a backtest empties its log
            continue
        yield key, entry.model, entry.report


def _line(entries: tuple[Entry, ...]) -> tuple[list[Entry], set[str]]:
    """Return the champions in order, each model once, the present one last, and the models that rollbacks took away."""
    line: list[Entry] = []
    away: set[str] = set()
    for entry in entries:
        digest = entry.model.digest
        if entry.action == "rollback":
            # Back along the line, or, for a model that was itself rolled back, away from the present one only.
            places = [index + 1 for index, item in enumerate(line) if item.model.digest == digest]
            keep = places[0] if places else len(line) - 1
            away |= {item.model.digest for item in line[keep:]}
            line = line[:keep]
        away.discard(digest)
        line = [*(item for item in line if item.model.digest != digest), entry]
    return line, away


def _to_json(entry: Entry) -> dict[str, Any]:  # Any: JSON values
    return asdict(entry) | {"model": to_json(entry.model)}


def _read(store: Store, key: str, damaged: Callable[[str], IntegrityError]) -> Entry:
    try:
        value = read_verified(store, key, unseal)
        model = from_json(value.pop("model"))
        if not isinstance(model, ModelRef):
            raise TypeError("its model is not a model")
        return Entry(model=model, **value)
    except (ValueError, TypeError, KeyError, AttributeError, IntegrityError) as error:
        raise damaged(str(error)) from error


def _actor() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
