"""Owns which samples of an epoch the batches of one rank have: pure arithmetic of positions."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One batch of a rank: samples from `start` to before `stop` of the epoch, of a step that ends at `after`."""

    start: int
    stop: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """How the samples of an epoch are dealt to ranks.

    Each step is one stretch of the epoch, of which each rank has its own part; the last one is dealt evenly.

    Attributes:
        batch_size: Samples of a rank in a whole step.
        rank: The rank.
        world_size: How many ranks there are.
        drop_last: Whether a last step that has fewer samples is left out.
    """

    batch_size: int
    rank: int
    world_size: int
    drop_last: bool

    def parts(self, position: int, rows: int) -> Iterator[Part]:
        """Yield the batches of an epoch of `rows` samples from a position on.

        >>> steps = Steps(batch_size=2, rank=1, world_size=2, drop_last=False)
        >>> [(part.start, part.stop) for part in steps.parts(0, 11)]
        [(2, 4), (6, 8), (10, 11)]
        """
        size, world = self.batch_size, self.world_size
        while rows - position >= size * world:
            start = position + self.rank * size
            position += size * world
            yield Part(start, start + size, position)
        rest = rows - position
        if rest and not self.drop_last:
            start, stop = position + self._dealt(rest, self.rank), position + self._dealt(rest, self.rank + 1)
            if stop > start:
                yield Part(start, stop, rows)

    def count(self, position: int, rows: int) -> int:
        """Return how many batches those are."""
        steps, rest = divmod(rows - position, self.batch_size * self.world_size)
        return steps + int(not self.drop_last and self._dealt(rest, self.rank + 1) > self._dealt(rest, self.rank))

    def _dealt(self, rest: int, rank: int) -> int:
        """Return where the share of `rank` begins when `rest` samples are dealt evenly."""
        return -(-rest * rank // self.world_size)
