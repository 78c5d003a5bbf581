"""Owns leases: what a running job reads stays until it ends, even if the refs move on meanwhile.

A lease is one small file, written before the job reads and deleted after it. Whoever is killed leaves it behind: it no
longer counts once its process is known to be dead, which only the same machine can tell, or once it has expired. It
carries a digest of its own.
"""

import secrets
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from resources.errors import IntegrityError, ObjectMissing, StoreError
from resources.process import is_dead, this_process
from resources.storage.garbage.guard import keeping
from resources.storage.store import Store
from resources.storage.uses import note
from resources.storage.values import read_verified, seal, unseal

FOLDER = "leases"
TERM = timedelta(days=7)
"""How long a lease counts unless it is renewed."""
RENEWAL_S = 86_400.0
"""How often a job that goes on renews it, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What one running job reads.

    Attributes:
        job: Which job, in plain words.
        run_id: Its Dagster run, or empty.
        digests: The versions that it reads.
        process: The process that does it, as `resources.process` names it.
        since: When it began, ISO 8601 in UTC.
        expires: When the lease ends unless it is renewed.
    """

    job: str
    run_id: str
    digests: tuple[str, ...]
    process: str
    since: str
    expires: str

    def counts(self, now: datetime) -> bool:
        """Return whether the job may still run."""
        return datetime.fromisoformat(self.expires) > now and not is_dead(self.process, unique_host=False)


@contextmanager
def leased(store: Store, digests: Iterable[str], *, job: str, run_id: str = "") -> Generator[None]:
    """Keep the versions `digests` until the block ends; nothing is written where there are none.

    Args:
        store: Where they lie.
        digests: What the job reads.
        job: Which job, in plain words.
        run_id: Its Dagster run.
    """
    wanted = tuple(sorted(set(digests)))
    if not wanted:
        yield
        return
    now = datetime.now(UTC)
    lease = Lease(
        job=job, run_id=run_id, digests=wanted, process=this_process(), since=_text(now), expires=_text(now + TERM)
    )
    key = f"{FOLDER}/{run_id or 'job'}-{secrets.token_hex(6)}.json"
    with keeping(store, wanted, look=False):
        store.create(key, _encode(lease))
    note(store, wanted, now)
    renewing = _Renewal(store, key, lease)
    try:
        yield
    finally:
        renewing.stop()
        with suppress(StoreError):  # it expires
            store.delete(key)


def leases(store: Store) -> dict[str, Lease]:
    """Return store key to lease of every lease, those that no longer count included.

    Raises:
        IntegrityError: If one cannot be read.
    """
    found = {key: _read(store, key) for key in store.list(FOLDER)}
    return {key: lease for key, lease in found.items() if lease is not None}


class _Renewal:
    """Renews a lease as long as the job goes on, from a thread that sleeps until then."""

    def __init__(self, store: Store, key: str, lease: Lease) -> None:
        self._store, self._key, self._lease = store, key, lease
        self._stopped = False
        self._lock = threading.Lock()
        self._timer = self._next()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
        self._timer.cancel()

    def _next(self) -> threading.Timer:
        timer = threading.Timer(RENEWAL_S, self._renew)
        timer.daemon = True
        timer.start()
        return timer

    def _renew(self) -> None:
        with self._lock:
            if self._stopped:
                return
            with suppress(StoreError):  # again in a day; the term has several
                self._store.put(self._key, _encode(replace(self._lease, expires=_text(datetime.now(UTC) + TERM))))
            self._timer = self._next()


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


def _encode(lease: Lease) -> bytes:
    return seal(asdict(lease))


def _read(store: Store, key: str) -> Lease | None:
    try:
        value: dict[str, Any] = read_verified(store, key, unseal)  # Any: JSON values
        value["digests"] = tuple(value["digests"])
        return Lease(**value)
    except ObjectMissing:  # released meanwhile
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{key} in store {store.url} is no lease: {error}; delete it once the job that its name tells has ended"
        ) from error
