"""Fresh ULIDs, checked by ulid-py."""

from __future__ import annotations

import ulid

from tracker.edge.ulids import UlidSource, is_lower_ulid


def test_ulids_carry_their_time_and_are_lower_case() -> None:
    source = UlidSource()
    for at_ms in (0, 1_700_000_000_123, 1_700_000_000_124, 2**48 - 1):
        text = source.new(at_ms)
        assert text == text.lower()
        assert is_lower_ulid(text.encode())
        assert ulid.parse(text.upper()).timestamp().int == at_ms


def test_ulids_of_one_millisecond_differ_and_are_not_in_order() -> None:
    source = UlidSource()
    made = [source.new(1_700_000_000_000) for _ in range(5000)]
    assert len(set(made)) == len(made)
    assert made != sorted(made)
    assert {character for text in made for character in text[10:]} == set("0123456789abcdefghjkmnpqrstvwxyz")


def test_only_our_spelling_is_a_lower_ulid() -> None:
    assert is_lower_ulid(b"01k5zzzzzzzzzzzzzzzzzzzzzz")
    for text in (b"", b"01K5ZZZZZZZZZZZZZZZZZZZZZZ", b"81k5zzzzzzzzzzzzzzzzzzzzzz", b"01k5zzzzzzzzzzzzzzzzzzzzzl",
                 b"01k5zzzzzzzzzzzzzzzzzzzzzz\n"):  # fmt: skip
        assert not is_lower_ulid(text)
