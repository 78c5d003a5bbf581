"""One world of a cell and the process that acts in it, through all rounds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Timer

from tests.integration.faults.disk import flip_bit
from tests.integration.faults.operations import Wrong
from tests.integration.faults.plans import Plan, Undisturbed
from tests.integration.faults.proxy import FaultProxy
from tests.integration.faults.steps import Actor, Attempt, Findings, Outcome, attempt, examine, prepare
from tests.integration.faults.world import CALL_S, World
from tests.integration.seaweed import Seaweed

STUCK_S = 2 * CALL_S
_PATIENCE_S = 30.0


class Track:
    """A world, its operation, and a process; close it at the end.

    Args:
        world: The world.
        operation: Name of the operation.
        server: The S3 server.
        fresh: Whether each look is by a new process, even where the one before still lives.
    """

    def __init__(self, world: World, operation: str, *, server: Seaweed, fresh: bool) -> None:
        self.world = world
        self._operation = operation
        self._server = server
        self._fresh = fresh
        self._actor = Actor()
        self._damage: _Damage | None = None

    def __enter__(self) -> "Track":
        return self

    def __exit__(self, *_: object) -> None:
        self._actor.close()

    def begin(self, versions: int) -> Undisturbed:
        """Prepare the world for this many versions, do the operation once with version 1, and return what that took."""
        self._actor.do(prepare, self.world, self._operation, versions, within_s=_PATIENCE_S)
        with FaultProxy(self._server.endpoint) as proxy:
            done = self._try(Attempt(world=self.world, operation=self._operation, version=1, endpoint=proxy.endpoint))
        if not isinstance(done, Outcome) or done.error:
            raise RuntimeError(f"{self._operation} failed with nothing going wrong: {done}")
        return Undisturbed(requests=len(proxy.log), operations=done.operations, took_s=done.took_s)

    def strike(self, version: int, plan: Plan) -> Outcome | str | None:
        """Let the operation happen while something goes wrong.

        Returns:
            How it ended; None if its process was killed; a text if it did not end in time.
        """
        if not self._actor.alive:
            self._renew()
        if plan.flip is not None:
            if plan.disk:
                self._strike(version, replace(plan, flip=None))
            self._flip(plan.flip)
            plan = Plan()
        return self._strike(version, plan)

    def look(self, version: int) -> Findings | str:
        """Return what is wrong with nothing going wrong any more; a text if that could not be found out."""
        if self._fresh or not self._actor.alive:
            self._renew()
        try:
            refused = self._look_at_damage(version) if self._damage else ()
            found = self._examine(version, again=True)
        except (TimeoutError, RuntimeError) as error:
            return f"afterwards: {error}"
        return replace(found, wrong=(*refused, *found.wrong))

    def last_look(self, version: int) -> Findings | str:
        """Look at everything once more, with a new process."""
        self._renew()
        try:
            return self._examine(version, again=False, thorough=True)
        except (TimeoutError, RuntimeError) as error:
            return f"at the end: {error}"

    def _examine(self, version: int, *, again: bool, thorough: bool = False) -> Findings:
        return self._actor.do(
            examine, self.world, self._operation, version, again=again, thorough=thorough, within_s=_PATIENCE_S
        )

    def _look_at_damage(self, version: int) -> tuple[Wrong, ...]:
        """Return what is wrong while the only copy of something is damaged, then restore it, as from a backup.

        That it is refused is right; that it is read would not be.
        """
        assert self._damage is not None
        seen = self._examine(version, again=False)
        self._damage.mend()
        self._damage = None
        self._renew()
        return tuple(wrong for wrong in seen.wrong if wrong.kind != "lost")

    def _strike(self, version: int, plan: Plan) -> Outcome | str | None:
        network = plan.network
        if network and network.kind == "call":
            network = replace(network, action=self._actor.kill if plan.kills else self._server.freeze)
        with FaultProxy(self._server.endpoint, network) as proxy, self._killed_after(plan.kill_after_s):
            return self._try(
                Attempt(
                    world=self.world,
                    operation=self._operation,
                    version=version,
                    endpoint=proxy.endpoint,
                    disk=plan.disk,
                    jump=plan.jump,
                )
            )

    def _try(self, wanted: Attempt) -> Outcome | str | None:
        try:
            return self._actor.do(attempt, wanted, within_s=STUCK_S)
        except (TimeoutError, RuntimeError) as error:
            return str(error)

    @contextmanager
    def _killed_after(self, wait_s: float | None) -> Iterator[None]:
        if wait_s is None:
            yield
            return
        timer = Timer(wait_s, self._actor.kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _flip(self, share: float) -> None:
        """Flip a bit in a file of the store or, where that is a server's, of the cache."""
        files = [path for path in sorted(self._damageable().rglob("*")) if path.is_file() and path.stat().st_size]
        if files:
            file, within = files[int(share * len(files))], share * len(files) % 1
            flip_bit(file, within)
            self._damage = _Damage(file, within, file.read_bytes()) if self.world.place == "folder" else None
        self._renew()  # a process that has verified a file looks at it again only if its time or size change

    def _damageable(self) -> Path:
        return Path(self.world.url) if self.world.place == "folder" else self.world.cache

    def _renew(self) -> None:
        self._actor.close()
        self._actor = Actor()


@dataclass(frozen=True, slots=True)
class _Damage:
    """The only copy of something with one bit flipped.

    Attributes:
        file: Where it lies.
        share: Which bit, as `flip_bit` takes it.
        data: What it held afterwards.
    """

    file: Path
    share: float
    data: bytes = field(repr=False)

    def mend(self) -> None:
        """Flip the bit back, unless the operation has put something else in the place of the damage."""
        if self.file.exists() and self.file.read_bytes() == self.data:
            flip_bit(self.file, self.share)
