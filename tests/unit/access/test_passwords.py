"""Passwords: what is refused, what is stored, what matches."""

from __future__ import annotations

import pytest

from tracker.access import passwords
from tracker.access.passwords import Cost, check, hashed, matches
from tracker.access.people import email_address
from tracker.management.errors import Invalid


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", Cost(n=2**8, p=1))


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "aaaaaaaaaaaa",
        "abababababab",
        "password123",
        "Passw0rd!!",
        "1234567890",
        "qwertyqwerty",
        "marianne12",
        "x" * 201,
    ],
)
def test_weak_passwords_are_refused_at_their_field(password: str) -> None:
    with pytest.raises(Invalid) as invalid:
        check(password, "marianne@example.com", "new_password")
    assert list(invalid.value.errors) == ["new_password"]


@pytest.mark.parametrize(
    "password", ["correct horse battery", "Ünïcödé wörds", "🐎🔋🧷✅🌂🎈🧊🪁🛶🎻", "k3-f9 zz!pq", "x1" * 9 + "abcd"]
)
def test_others_are_taken(password: str) -> None:
    check(password, "marianne@example.com")


async def test_only_the_password_matches_in_any_spelling_of_unicode() -> None:
    stored = await hashed("Ünïcödé wörds")
    assert stored != await hashed("Ünïcödé wörds"), "salted"
    assert stored.startswith("scrypt$256$8$1$")
    assert "cödé" not in stored
    assert await matches("Ünïcödé wörds", stored)
    assert await matches("U\u0308ni\u0308co\u0308de\u0301 wo\u0308rds", stored), "as another keyboard composes it"
    for wrong in ("", "Ünïcödé wörd", "ünïcödé wörds", "\ud800", "x" * 100_000):
        assert not await matches(wrong, stored)
        assert not await matches(wrong, None)


async def test_a_hash_of_another_cost_still_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = await hashed("correct horse battery")
    monkeypatch.setattr(passwords, "COST", Cost(n=2**9))
    assert await matches("correct horse battery", stored)


@pytest.mark.parametrize("text", ["", "a", "a@", "@b.com", "a b@example.com", "a@b@c.com", "a@example", "a" * 65 + "@example.com", "a@" + "x" * 250 + ".com", "a\0@example.com"])  # fmt: skip
def test_what_is_no_email_address(text: str) -> None:

    with pytest.raises(Invalid):
        email_address(text)


def test_email_addresses_are_one_in_any_case() -> None:
    assert email_address(" Ann.Lee+ads@Example.COM ") == "ann.lee+ads@example.com"
