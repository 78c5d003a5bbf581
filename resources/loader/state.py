"""Owns the state of a loader: where it is, as an explicit value of under 200 bytes."""

from dataclasses import asdict, dataclass, fields

from resources.canonical import DIGEST_LENGTH, canonical_json, is_hex, parse_json
from resources.errors import LoaderError
from resources.loader.order import ORDERS, OrderName

_LARGEST = 2**63
_SHORT = {"root": "d", "order": "o", "seed": "s", "epoch": "e", "position": "p"}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a loader is; any number of ranks may go on from it.

    Attributes:
        root: Digest of what decides the order of the dataset's samples.
        order: Name of the order.
        seed: Of the order.
        epoch: Number of the epoch.
        position: Samples of the epoch that all ranks together have had.

    >>> state = State(root="0" * 64, order="window", seed=7, epoch=2, position=4096)
    >>> State.from_bytes(state.to_bytes()) == state
    True
    """

    root: str
    order: OrderName
    seed: int
    epoch: int
    position: int

    def __post_init__(self) -> None:
        if len(self.root) != DIGEST_LENGTH or not is_hex(self.root):
            raise LoaderError(f"root of a state is {self.root!r}, no digest of 64 hex digits: take it from state()")
        if self.order not in ORDERS:
            raise LoaderError(f"order of a state is {self.order!r}, none of {', '.join(ORDERS)}: take it from state()")
        for name in ("seed", "epoch", "position"):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value < _LARGEST:
                raise LoaderError(f"{name} of a state is {value!r}, no integer from 0 to 2**63: take it from state()")

    def to_bytes(self) -> bytes:
        """Return the state as canonical JSON, under 200 bytes."""
        return canonical_json({_SHORT[name]: value for name, value in asdict(self).items()})

    @classmethod
    def from_bytes(cls, data: bytes) -> "State":
        """Return the state that `to_bytes` wrote.

        Raises:
            LoaderError: If `data` is none.
        """
        try:
            value = parse_json(data)
            if set(value) != set(_SHORT.values()):
                raise ValueError(f"keys {sorted(value)}")
            return cls(**{field.name: value[_SHORT[field.name]] for field in fields(cls)})
        except (ValueError, TypeError) as error:
            raise LoaderError(
                f"no state of a loader: {error}; keep the bytes of state().to_bytes() as they are"
            ) from None
