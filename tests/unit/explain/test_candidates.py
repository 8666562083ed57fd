"""The clicks an explanation shows as competitors are the fold's own, weighed as the fold weighs them."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings

from tests.reference.worlds import World, worlds
from tests.unit.attribution.story import HOUR, MINUTE, at, click, listed
from tracker.attribution.facts import Click
from tracker.attribution.fold import choose
from tracker.explain.candidates import candidates

T = at(0)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(world=worlds())
def test_the_winner_its_rivals_and_its_confidence_are_the_folds(world: World) -> None:
    for (account_id, _), events in world.events.items():
        leases: dict[int, list[Click]] = defaultdict(list)
        for one in world.clicks[account_id]:
            for link in {visit.inventory_link_id for visit in one.visits} - {None}:
                assert link is not None
                leases[link].append(one)
        for credit in choose(events, leases):
            link_id = credit.subscription.link.inventory_link_id if credit.subscription.link else -1
            found = candidates(credit, leases.get(link_id, ()))
            qualifying = [one for one in found if one.outcome in ("won", "lost")]
            assert len(qualifying) == credit.competing_clicks
            assert [one.click_id for one in found if one.outcome == "won"] == (
                [credit.click.click_id] if credit.click else []
            )
            if qualifying:
                assert qualifying[0].probability == credit.confidence
            assert sum(one.probability for one in found) <= 1 + 1e-9


def test_each_click_on_the_link_says_why_it_did_not_win() -> None:
    leased = [
        click("A", T - 7 * HOUR),
        click("B", T - 2 * HOUR),
        click("C", T - MINUTE, lease="shared"),
        click("D", T + HOUR),
        click("E", T - MINUTE, link=2),
    ]
    (credit,) = choose([listed(T)], {1: leased[:4]})
    found = candidates(credit, leased[:4])
    assert [(one.click_id, one.outcome) for one in found] == [
        ("C", "won"),
        ("B", "lost"),
        ("D", "later"),
        ("A", "expired"),
    ]
    won, lost, later, expired = found
    assert won.probability > 0.9 > lost.probability > 0
    assert (later.probability, expired.probability) == (0, 0)
    assert (won.delay_seconds, expired.delay_seconds) == (60.0, 7 * 3600.0)


def test_a_subscription_without_a_link_of_ours_has_none() -> None:
    (credit,) = choose([listed(T, ours=False)], {1: [click("A", T - MINUTE)]})
    assert candidates(credit, [click("A", T - MINUTE)]) == []
