from hypothesis import given
from hypothesis import strategies as st

from resources.storage.renting import MOST_AT_ONCE, REQUEST_BYTES, Rents

MB = 2**20
SIZE = 64 * MB


def until_due(rents: Rents, part_bytes: int) -> int:
    """Return which request for a part of one file of `SIZE` is the one upon which the whole is to be fetched."""
    return next(number for number in range(1, 10_000) if rents.paid("a", SIZE, part_bytes))


def test_small_parts_pay_for_the_requests():
    assert until_due(Rents(), 64 * 1024) == SIZE // REQUEST_BYTES


def test_one_pass_in_large_parts_pays_for_the_requests_alone_and_the_next_for_the_bytes():
    requests = until_due(Rents(), 8 * MB)

    assert 8 < requests <= 16


def test_when_the_whole_was_fetched_all_begins_anew():
    rents = Rents()

    first = until_due(rents, 64 * 1024)
    rents.came("a")
    assert until_due(rents, 64 * 1024) == first


def test_a_file_that_is_coming_is_not_fetched_twice_nor_are_many_at_a_time():
    rents = Rents()
    until_due(rents, SIZE)

    assert not any(rents.paid("a", SIZE, SIZE) for _ in range(100))
    due = [name for name in "bcdef" if any(rents.paid(name, SIZE, SIZE) for _ in range(9))]
    assert len(due) == MOST_AT_ONCE - 1
    rents.came("a")
    assert any(rents.paid("f", SIZE, SIZE) for _ in range(9))


def test_files_are_counted_apart_and_only_the_last_are_remembered():
    rents = Rents(most_files=2)
    for _ in range(SIZE // REQUEST_BYTES - 1):
        assert not rents.paid("a", SIZE, 1)
    assert not rents.paid("b", SIZE, 1)
    assert rents.paid("a", SIZE, 1)
    rents.came("a")

    for _ in range(SIZE // REQUEST_BYTES - 1):
        assert not rents.paid("a", SIZE, 1)
    assert not rents.paid("b", SIZE, 1)
    assert not rents.paid("c", SIZE, 1)
    assert not rents.paid("a", SIZE, 1)  # forgotten


@given(st.lists(st.integers(1, 8 * MB), max_size=200), st.integers(4 * MB, SIZE))
def test_never_is_more_paid_than_two_passes_and_one_request_before_the_whole_is_fetched(parts, size):
    rents, paid, read = Rents(), 0, 0
    for part in (min(item, size) for item in parts):
        paid, read = paid + REQUEST_BYTES, read + part
        if rents.paid("a", size, part):
            assert paid + max(0, read - size) >= size
            rents.came("a")
            paid, read = 0, 0
        else:
            assert paid < size
            assert read < 2 * size
