"""Every credit can be explained (spec 4): the whole chain from PostgreSQL, for one team only, as API value and as text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.integration.attribution.books import arrive
from tests.integration.attribution.test_told_once import (
    FAN,
    HOUR,
    a_click,
    clicks,
    drain,
    events,
    listed,
    notified,
    opened,
    paid,
)
from tests.reference.worlds import BASE, MINUTE
from tracker.attribution.facts import EXACT
from tracker.cli import explain as command
from tracker.explain.load import Ambiguous, explain
from tracker.explain.timeline import timeline
from tracker.settings import Settings
from tracker.stores.postgres import Pool

TEAM = "team-1"


async def test_a_fans_whole_chain(pool: Pool) -> None:
    account_id = await opened(pool)
    first = a_click(1, BASE - 10 * MINUTE, BASE - 5 * MINUTE, name="a")
    rival = replace(a_click(1, BASE - MINUTE, name="b", visitor="w"), lease="shared")
    await arrive(pool, clicks(account_id, first, rival))
    await arrive(pool, events(account_id, notified(BASE), listed(BASE), paid(BASE + HOUR)))
    await drain(pool)
    told = await explain(pool, "fan", FAN, team_id=TEAM)
    assert told is not None
    (subscription,) = told.subscriptions
    assert (subscription.click_id, subscription.competing_clicks) == (rival.click_id, 2)
    assert [(one.click_id, one.outcome) for one in subscription.candidates] == [
        (rival.click_id, "won"),
        (first.click_id, "lost"),
    ]
    assert subscription.candidates[0].probability == subscription.confidence < 1
    assert {source.event_key for source in subscription.sources} == {"sub:1", f"link:10:{FAN}:1"}
    (binding,) = told.bindings
    assert (binding.click_id, binding.rule, binding.confidence) == (
        rival.click_id,
        "subscribed",
        subscription.confidence,
    )
    cards = {card.click_id: card for card in told.clicks}
    assert len(cards[first.click_id].visits) == 2
    assert cards[rival.click_id].lease == "shared"
    assert {card.type for card in told.conversions} == {"new_subscriber", "new_transaction"}
    for card in told.conversions:
        assert card.deliveries, "two destinations want everything or tips"
        assert card.events
    said = " ".join(told.sentences)
    assert "2 clicks qualified" in said
    assert first.click_id in said
    text = timeline(told).partition("What happened")[2]
    order = [text.index(word) for word in ("click ", "visit ", "subscribed fan", "binding ", "new_transaction")]
    assert order == sorted(order)
    assert f"competed: {first.click_id}, 5 min before" in text
    assert "told by poll sub:1" in text


async def test_a_retracted_belief_stays_visible(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(pool, clicks(account_id, a_click(name="a")))
    await arrive(pool, events(account_id, listed(BASE)))
    await drain(pool)
    better = a_click(1, BASE - MINUTE, name="b", visitor="w")
    await arrive(pool, clicks(account_id, better))
    await drain(pool)
    told = await explain(pool, "fan", FAN, team_id=TEAM)
    assert told is not None
    assert [(one.click_id, one.retracted_at is None) for one in told.bindings] == [
        (a_click(name="a").click_id, False),
        (better.click_id, True),
    ]
    assert "was believed to belong to" in " ".join(told.sentences)
    (conversion,) = told.conversions
    assert conversion.corrected_at is not None
    assert "retracted 20" in timeline(told)
    story = await explain(pool, "conversion", conversion.conversion_id.upper(), team_id=TEAM)
    assert story is not None
    assert "It was corrected on" in " ".join(story.sentences)
    assert "Deliveries: 1 waiting." in story.sentences


async def test_a_later_sale_is_explained_by_the_binding(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(
        pool, clicks(account_id, a_click(1, BASE - HOUR, name="a"), a_click(1, BASE + HOUR, name="b", ad=1, link=11))
    )
    await arrive(pool, events(account_id, listed(BASE, precision=EXACT), paid(BASE + 2 * HOUR)))
    await drain(pool)
    sale = await pool.fetchval("SELECT conversion_id FROM conversions WHERE conversion_type = 'new_transaction'")
    told = await explain(pool, "conversion", sale, team_id=TEAM)
    assert told is not None
    said = " ".join(told.sentences)
    assert "new_transaction of $10.00" in said
    assert "the same browser, known by its cookie, clicked again" in said
    assert "60 min before" in said, "the subscription behind the binding is told too"
    assert len(told.conversions) == 1
    assert len(told.bindings) == 2


async def test_clicks_that_won_lost_or_led_to_nothing(pool: Pool) -> None:
    account_id = await opened(pool)
    lost, won = a_click(1, BASE - HOUR, name="a"), a_click(1, BASE - MINUTE, name="b", visitor="w")
    idle = a_click(1, BASE - MINUTE, name="c", visitor="x", link=11)
    await arrive(pool, clicks(account_id, lost, won, idle))
    await arrive(pool, events(account_id, listed(BASE)))
    await drain(pool)
    for one, words in ((won, "is credited"), (lost, "It competed for fan"), (idle, "No subscription has come")):
        told = await explain(pool, "click", one.click_id.upper(), team_id=TEAM)
        assert told is not None
        assert told.id == one.click_id
        assert words in " ".join(told.sentences)
        assert one.click_id in timeline(told)
    await pool.execute(
        "UPDATE clicks SET is_bot = true, bot_reason = 'crawler', lease = 'none', inventory_link_id = NULL"
    )
    bot = await explain(pool, "click", idle.click_id, team_id=TEAM)
    assert bot is not None
    assert "It was a machine's (crawler)" in " ".join(bot.sentences)


@pytest.mark.parametrize(
    ("ours", "reason"),
    [(False, "organic"), (True, "never_leased")],
    ids=("no event of a link", "a link without clicks"),
)
async def test_an_unattributed_fan_says_why(pool: Pool, ours: bool, reason: str) -> None:
    account_id = await opened(pool)
    await arrive(pool, events(account_id, listed(BASE) if ours else notified(BASE)))
    await drain(pool)
    told = await explain(pool, "fan", FAN, team_id=TEAM)
    assert told is not None
    assert (told.subscriptions[0].reason, told.fans[0].unattributed_reason) == (reason, reason)
    assert "No click is credited" in " ".join(told.sentences)
    assert "not credited" in timeline(told)


async def test_a_link_that_was_only_inferred_is_called_so(pool: Pool) -> None:
    account_id = await opened(pool)
    await arrive(pool, clicks(account_id, a_click()))
    await arrive(pool, events(account_id, replace(listed(BASE), inferred=True)))
    await drain(pool)
    told = await explain(pool, "fan", FAN, team_id=TEAM)
    assert told is not None
    (subscription,) = told.subscriptions
    assert subscription.link_inferred
    assert subscription.candidates[0].probability == subscription.confidence == told.bindings[0].confidence < 1
    assert "No source named that link" in " ".join(told.sentences)
    assert "(inferred)" in timeline(told)


async def test_teams_see_their_own_and_a_fan_of_two_accounts_is_asked_for(
    pool: Pool, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    accounts = [await opened(pool, number) for number in (1, 2)]
    for number, account_id in enumerate(accounts, 1):
        await arrive(pool, clicks(account_id, a_click(number)))
        await arrive(pool, events(account_id, listed(BASE, number=number)))
    await drain(pool)
    mine = await explain(pool, "fan", FAN, team_id="team-1")
    theirs = await explain(pool, "fan", FAN, team_id="team-2")
    assert mine is not None
    assert theirs is not None
    assert (mine.account_id, theirs.account_id) == tuple(accounts)
    assert await explain(pool, "fan", FAN, team_id="team-1", account_id=accounts[1]) is None
    assert await explain(pool, "click", theirs.clicks[0].click_id, team_id="team-1") is None
    assert await explain(pool, "conversion", theirs.conversions[0].conversion_id, team_id="team-1") is None
    with pytest.raises(Ambiguous) as several:
        await explain(pool, "fan", FAN, team_id=None)
    assert several.value.account_ids == accounts
    settings = Settings(database_url=database_url)
    assert await command.run(settings, "fan", FAN, None, as_json=False) == 1
    assert accounts[1] in capsys.readouterr().err
    assert await command.run(settings, "fan", FAN, accounts[1], as_json=False) == 0
    assert "What happened, in order" in capsys.readouterr().out
    assert await command.run(settings, "click", mine.clicks[0].click_id, None, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["id"] == mine.clicks[0].click_id
    assert await command.run(settings, "conversion", "nothing", None, as_json=False) == 1
    assert "no conversion nothing" in capsys.readouterr().err


@pytest.mark.parametrize("rubbish", ["", "\x00", "é", "a b", "x" * 500, "'; DROP TABLE fans; --"])
async def test_rubbish_is_simply_not_there(pool: Pool, rubbish: str) -> None:
    assert await explain(pool, "fan", rubbish, team_id=TEAM) is None
    assert await explain(pool, "click", rubbish, team_id=TEAM) is None
    assert await explain(pool, "conversion", rubbish, team_id=TEAM) is None
    assert await explain(pool, "fan", "1", team_id=TEAM, account_id=rubbish) is None
