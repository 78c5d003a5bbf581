"""Small values are verified whole, and read once more before they are called damaged."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.errors import IntegrityError
from resources.storage.files import get_bytes, put_bytes
from resources.storage.folder import FolderStore
from resources.storage.objects import get_object, put_object
from resources.storage.values import seal, unseal

VALUE = {"kind": "dataset", "rows": 300, "partitions": ["2011-01"], "é": [1.5, None, True]}


class FlippingOnce(FolderStore):
    """A store on whose way one bit flips, in the first reading of each key."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.flipped: set[str] = set()

    def get(self, key: str) -> bytes:
        """Return the bytes, the first time not quite."""
        data = super().get(key)
        if key in self.flipped:
            return data
        self.flipped.add(key)
        return bytes([data[0] ^ 1]) + data[1:]


def test_a_bit_that_flips_on_the_way_costs_a_second_reading(tmp_path):
    store = FlippingOnce(tmp_path)

    assert get_object(store, put_object(store, b"truth")) == b"truth"
    assert get_bytes(store, put_bytes(store, b"truth")) == b"truth"


@given(st.integers(0, 8 * len(seal(VALUE)) - 1))
def test_a_bit_that_flips_in_a_sealed_value_is_found_out(bit):
    data = bytearray(seal(VALUE))
    data[bit // 8] ^= 1 << bit % 8

    with pytest.raises(ValueError):
        unseal(bytes(data))


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{}", b'{"digest":"","value":1}', b"\xff", seal(VALUE)[:-1]])
def test_what_is_no_sealed_value_is_refused(data):
    with pytest.raises(ValueError):
        unseal(data)


def test_an_object_damaged_in_the_store_is_still_refused(tmp_path):
    store = FolderStore(tmp_path)
    digest = put_object(store, b"truth")
    (path,) = (path for path in tmp_path.rglob("*") if path.name == digest)
    path.write_bytes(b"a lie")

    with pytest.raises(IntegrityError, match="read twice"):
        get_object(store, digest)
