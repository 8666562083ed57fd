"""The product's fold and the reference model agree in random worlds. `CLICKBIND_WORLDS=10000` for the large run.

Hypothesis makes its worlds slowly and shrinks those that fail; ten times as many come from seeds.
"""

from __future__ import annotations

import os
from collections import defaultdict
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.reference import model
from tests.reference.worlds import MINUTE, World, build, worlds
from tracker.attribution.facts import Click, FanEvent, Folded
from tracker.attribution.fold import choose, fold

WORLDS = int(os.environ.get("CLICKBIND_WORLDS", "200"))
PRICE_WAIT = 5 * MINUTE


def product(events: list[FanEvent], clicks: list[Click], *, free_page: bool) -> Folded:
    """Run the fold on everything there is."""
    leases: dict[int, list[Click]] = defaultdict(list)
    visitors: dict[str, list[Click]] = defaultdict(list)
    for click in clicks:
        visitors[click.visitor].append(click)
        for link in {visit.inventory_link_id for visit in click.visits} - {None}:
            assert link is not None
            leases[link].append(click)
    return fold(events, choose(events, leases), visitors, price_wait=PRICE_WAIT, free_page=free_page)


def as_outcome(folded: Folded) -> model.Outcome:
    """The fold's result in the model's words."""
    return model.Outcome(
        bindings=tuple(
            model.Bound(
                binding.valid_from,
                binding.click.click_id,
                binding.rule,
                binding.competing_clicks,
                frozenset(binding.event_keys),
            )
            for binding in folded.bindings
        ),
        conversions=frozenset(
            model.Fired(
                type=conversion.type,
                identity=conversion.identity,
                at=conversion.at,
                click_id=conversion.click.click_id,
                keys=frozenset(conversion.event_keys),
                gross=conversion.gross_cents,
                net=conversion.net_cents,
                transaction_id=conversion.transaction_id,
                transaction_type=conversion.transaction_type,
                transaction_status=conversion.transaction_status,
                previously_subscribed=conversion.previously_subscribed,
                purchase=conversion.purchase,
                hold_until=conversion.hold_until,
            )
            for conversion in folded.conversions
        ),
        unattributed_reason=folded.unattributed_reason,
        first_subscribed_at=folded.first_subscribed_at,
    )


@settings(
    max_examples=WORLDS,
    deadline=None,
    derandomize="CLICKBIND_WORLDS" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(world=worlds(accounts=1, fans=1), shuffler=st.randoms(use_true_random=False))
def test_same_bindings_and_conversions_in_any_order(world: World, shuffler: Random) -> None:
    compare(world, shuffler)


def test_the_same_in_worlds_from_seeds() -> None:
    for seed in range(10 * WORLDS):
        random = Random(seed)
        compare(build(random), random, seed=seed)


def compare(world: World, shuffler: Random, **where: int) -> None:
    """Every fan of the world: the model's result, whatever the order of events and clicks."""
    for (account_id, _), told in world.events.items():
        free_page = account_id in world.free_pages
        events, clicks = list(told), list(world.clicks[account_id])
        folded = product(events, clicks, free_page=free_page)
        expected = model.outcome(events, clicks, price_wait=PRICE_WAIT, free_page=free_page)
        assert as_outcome(folded) == expected, where

        ids = [(conversion.type, conversion.identity) for conversion in folded.conversions]
        assert len(ids) == len(set(ids)), where
        starts = [binding.valid_from for binding in folded.bindings]
        assert starts == sorted(set(starts)), where
        assert all(0 < binding.confidence <= 1 for binding in folded.bindings), where
        for binding in folded.bindings:
            if binding.rule != "clicked_again":  # that one keeps the credit's, whatever the later click's lease
                alone = binding.competing_clicks == 1 and binding.click.lease == "exclusive"
                assert binding.confidence < 1 or alone, where

        shuffler.shuffle(events)
        shuffler.shuffle(clicks)
        assert product(events, clicks, free_page=free_page) == folded, where
