"""Send test really sends."""

from __future__ import annotations

import pytest

from loadtests.emulators.receiver import running_receiver
from postbacks.schema import ConfigError
from postbacks.trial import send_test
from tests.integration.postbacks.scene import LOOPBACK


async def test_the_sample_conversion_is_sent_and_shown() -> None:
    async with running_receiver() as receiver:
        receiver.mode("a", "status", status=403, body="bad token tok-12345")
        config = {"url": receiver.url_of("a") + "?id={click_id}&net={amount_net}&token=tok-12345"}
        tried = await send_test("postback", config, facts={"amount_net": "1.00"}, egress_allow=LOOPBACK)
        [request] = receiver.received("a")
    assert request.query == "id=01jd8z6h3n5p7r9t1v2x4y6z8b&net=1.00&token=tok-12345"
    assert [verdict.outcome for verdict in tried.verdicts] == ["transient"]
    assert (tried.status_code, tried.answer) == (403, "bad token ***")
    assert tried.request.endswith("&token=***")


async def test_a_private_address_says_how_to_allow_it() -> None:
    tried = await send_test("postback", {"url": "http://127.0.0.1:1/"})
    assert "CLICKBIND_EGRESS_ALLOW" in tried.verdicts[0].words


async def test_a_mistake_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ConfigError, match="unknown variable"):
        await send_test("postback", {"url": "https://h.example/{nope}"})
