"""Roles, grants and scopes: pure rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.access.permissions import (
    ASSIGNABLE,
    GRANTABLE,
    OWN,
    PERMISSIONS,
    ROLES,
    effective,
    expand,
    known,
    may_grant,
    of_key,
)
from tracker.management.errors import Invalid, Refused

names = st.frozensets(st.sampled_from(sorted(PERMISSIONS)))


def test_roles_are_the_vendors() -> None:
    assert ROLES["owner"] - ROLES["admin"] == {OWN}
    assert ROLES["viewer"] == {name for name in GRANTABLE if name.endswith(".view")}
    assert ROLES["custom"] == frozenset()
    for role in ("member", "developer"):
        assert not any(name.startswith("team.") for name in ROLES[role])
        assert "api-keys.manage" in ROLES[role]
        assert "webhooks.manage" in ROLES[role]
    assert "smart-links.manage" in ROLES["member"]
    assert "smart-links.manage" not in ROLES["developer"]
    assert "data-protection.manage" not in ROLES["member"]
    assert "owner" not in ASSIGNABLE


@given(st.sampled_from(ASSIGNABLE), names)
def test_no_role_and_no_grant_makes_an_owner(role: str, granted: frozenset[str]) -> None:
    assert OWN not in effective(role, granted)
    assert ROLES[role] <= effective(role, granted)


@given(names, st.none() | names)
def test_a_key_never_exceeds_its_maker(maker: frozenset[str], scopes: frozenset[str] | None) -> None:
    assert of_key(maker, scopes) <= maker
    assert of_key(of_key(maker, scopes), None) == of_key(maker, scopes)


@given(names, names)
def test_one_grants_exactly_what_one_has(own: frozenset[str], granted: frozenset[str]) -> None:
    if expand(granted) <= own:
        may_grant(own, granted)
    else:
        with pytest.raises(Refused) as refused:
            may_grant(own, granted)
        assert refused.value.status == 403


def test_managing_implies_seeing() -> None:
    assert expand(["postbacks.manage", "nonsense.view"]) == {"postbacks.manage", "postbacks.view"}


def test_unknown_permissions_are_named() -> None:
    assert known(["reports.view", "exports.view", "reports.view"]) == ["exports.view", "reports.view"]
    for name in (OWN, "reports.own", "", "x" * 10_000):
        with pytest.raises(Invalid) as invalid:
            known([name])
        assert list(invalid.value.errors) == ["permissions"]
        assert len(str(invalid.value.errors)) < 300
