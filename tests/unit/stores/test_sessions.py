"""Pooled connections are not reset between uses (docs/decisions/0015-connections.md): nothing may outlive its transaction."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What a session keeps; `set_config(..., true)` and SET LOCAL end with the transaction, as locks with `xact` in their name do.
LASTING = re.compile(
    r"pg_(?:try_)?advisory_lock(?:_shared)?\(|\bset_config\([^()]*,\s*false\s*\)|\bWITH HOLD\b|\.add_listener\(|[\"';]\s*LISTEN\s"
    r"|[\"';]\s*SET\s+(?!LOCAL\b)(?:SESSION\b|[a-z_.]+\s*(?:=|TO\b))|\bTEMP(?:ORARY)? TABLE (?!.*ON COMMIT (?:DELETE ROWS|DROP))",
)
# `locked` gives back what it takes; the recorder's locks are on a connection of their own, in no pool.
KNOWN = {"tracker/stores/postgres.py", "tracker/recorder/locks.py"}


def lasting(text: str) -> list[str]:
    """What lasts in a source text; a statement may span lines."""
    return [found.group() for found in LASTING.finditer(re.sub(r"\s+", " ", text))]


@pytest.mark.parametrize("folder", ["tracker", "postbacks"])
def test_nothing_of_ours_outlives_its_transaction_in_a_session(folder: str) -> None:
    sources = [path for ending in ("py", "sql") for path in (ROOT / folder).rglob(f"*.{ending}")]
    assert len(sources) > 20
    names = {str(path.relative_to(ROOT)): lasting(path.read_text()) for path in sources}
    assert {name: found for name, found in names.items() if found and name not in KNOWN} == {}


def test_the_known_places_are_still_there() -> None:
    assert all(lasting((ROOT / name).read_text()) for name in KNOWN)


@pytest.mark.parametrize(
    ("text", "lasts"),
    [
        ("SELECT pg_try_advisory_lock($1)", True),
        ("SELECT pg_try_advisory_xact_lock($1)", False),
        ('execute("SET lock_timeout = 5")', True),
        ('execute("SET LOCAL lock_timeout = 5")', False),
        ("set_config('jit', 'off', false)", True),
        ("set_config('jit', 'off', true)", False),
        ("CREATE TEMP TABLE t (a int)", True),
        ("CREATE TEMP TABLE t (a int) ON COMMIT DELETE ROWS", False),
        ('execute("LISTEN changes")', True),
        ("UPDATE t SET a = 1", False),
    ],
)
def test_what_lasts_is_told_from_what_does_not(text: str, lasts: bool) -> None:
    assert bool(lasting(text)) is lasts
