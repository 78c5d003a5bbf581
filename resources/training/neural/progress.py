"""Owns how far a training is: numbers beside its tensors, as a value that goes into a checkpoint."""

from dataclasses import dataclass, field, replace
from typing import Any

from resources.training.neural.batches import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a training is, beside its tensors.

    Attributes:
        epoch: Number of the epoch, from 0.
        batch: Batches of it that were learned.
        place: Of the next row.
        loss: Sum of the losses of its rows so far.
        rows: How many these are.
        losses: Mean loss of each epoch that is over.
        held_out: Loss on the held-out rows after each of them.
    """

    epoch: int = 0
    batch: int = 0
    place: Place = field(default_factory=Place)
    loss: float = 0.0
    rows: int = 0
    losses: tuple[float, ...] = ()
    held_out: tuple[float, ...] = ()

    def after(self, loss: float, rows: int, place: Place) -> "Progress":
        """Return how far it is after a further batch of so many rows with a mean loss."""
        return replace(self, batch=self.batch + 1, place=place, loss=self.loss + loss * rows, rows=self.rows + rows)

    def over(self, held_out: tuple[float, ...]) -> "Progress":
        """Return how far it is when the epoch is over."""
        losses = (*self.losses, self.loss / max(self.rows, 1))
        return Progress(epoch=self.epoch + 1, losses=losses, held_out=(*self.held_out, *held_out))

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Progress":
        """Return the progress that `asdict` made a JSON value of."""
        return cls(
            epoch=value["epoch"],
            batch=value["batch"],
            place=Place(**value["place"]),
            loss=value["loss"],
            rows=value["rows"],
            losses=tuple(value["losses"]),
            held_out=tuple(value["held_out"]),
        )
