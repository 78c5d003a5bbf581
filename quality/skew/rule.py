"""Owns what a skew check is asked to do: which columns name a row, and how much may differ."""

from dataclasses import dataclass

from resources.errors import DeclarationError


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewRule:
    """How rows of training and serving are paired, and when their difference blocks.

    Attributes:
        keys: Columns that name the entity of a row, in both tables.
        time: Event time of a row, in both tables; keys and time together name one row. None where keys alone do.
        columns: Features to compare; None takes all that both tables have.
        arrived: Column of training with the time at which the newest value that a row was made of was there to be
            read; a row is late where that is after its event time.
        tolerance: Largest tolerated share of cells of a column that differ, from 0 to 1.
        ulps: Units in the last place by which two floats may differ and still count as equal.
        unpaired: Largest tolerated share of rows that one side alone has, from 0 to 1; 1 where it is meant to.
        duplicates: Largest tolerated share of rows that repeat the key of an earlier row of their side, from 0 to 1.
        confidence: One-sided confidence of the bounds, from 0 to 1.
        examples: How many differing cells to show of each column.
    """

    keys: tuple[str, ...] = ()
    time: str | None = None
    columns: tuple[str, ...] | None = None
    arrived: str | None = None
    tolerance: float = 0.001
    ulps: int = 0
    unpaired: float = 0.01
    duplicates: float = 0.001
    confidence: float = 0.95
    examples: int = 5

    def __post_init__(self) -> None:
        if not self.named_by:
            raise DeclarationError("neither keys nor time is given: name the columns that say which row is which")
        if len(set(self.named_by)) < len(self.named_by):
            raise DeclarationError(f"keys {', '.join(self.named_by)} name a column twice: name each once")
        for name in ("tolerance", "unpaired", "duplicates"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise DeclarationError(f"{name} is {value}: a share lies between 0 and 1")
        if not 0 < self.confidence < 1:
            raise DeclarationError(f"confidence is {self.confidence}: it lies between 0 and 1, such as 0.95")
        if self.ulps < 0 or self.examples < 0:
            raise DeclarationError(f"ulps is {self.ulps} and examples {self.examples}: neither may be negative")
        if self.arrived and not self.time:
            raise DeclarationError("arrived is given without time: late is what arrived after the event time; name it")

    @property
    def named_by(self) -> tuple[str, ...]:
        """Columns that together name one row."""
        return (*self.keys, self.time) if self.time else self.keys
