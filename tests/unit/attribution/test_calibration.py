"""What a confidence says comes true (spec 11), in a small fixed run of loadtests/attribution.py; and its rules one by one."""

from __future__ import annotations

import pytest

from loadtests.attribution import calibration_error, reliability
from loadtests.fans import WORLDS, Delays, simulate
from tracker.attribution.confidence import confidence, delay_density, shares

MINUTE = 60_000
HOUR = 60 * MINUTE


@pytest.mark.parametrize(
    ("world", "bound"), [("typical", 0.03), ("quicker", 0.05), ("slower", 0.07), ("more regular", 0.07)]
)
def test_shared_credits_are_as_right_as_they_say(world: str, bound: float) -> None:
    settings = [simulate(share, WORLDS[world], 600, seed=3) for share in (0.05, 0.2, 0.6)]
    judged = [one for setting in settings for one in setting.judged]
    bins = reliability(judged)
    assert sum(one.count for one in bins) > 1000
    assert calibration_error(bins) < bound
    surest = bins[-1]
    assert surest.said > 0.95
    assert abs(surest.said - surest.right) < 0.05


def test_more_links_make_more_credits_right_and_certain() -> None:
    short, enough = (simulate(share, WORLDS["typical"], 1500, seed=4) for share in (0.05, 1.2))
    assert short.shared == short.leases
    assert enough.shared == 0
    assert short.precision() < 0.9 < 0.97 < enough.precision()
    assert all(one.credit.confidence < 1 for one in short.credited())
    assert all(one.credit.confidence == 1 for one in enough.credited() if one.credit.competing_clicks == 1)
    assert any(one.truth is None for one in enough.credited()), "a link passed on deceives an exclusive lease too"


@pytest.mark.parametrize("share", [1.0, 1.2])
def test_with_enough_links_and_honest_fans_every_credit_is_right_and_none_is_missing(share: float) -> None:
    # Nobody passes a link on and nobody takes longer than the window: all that a lease can promise.
    within_the_window = Delays(median=5.0, sigma=1.0, slow_share=0.0)
    setting = simulate(share, within_the_window, 2000, seed=5, leaked=0.0)
    assert len(setting.judged) > 1800
    assert setting.precision() == setting.recall() == 1.0
    assert all(one.credit.confidence == 1 for one in setting.judged)


def test_certainty_is_for_exclusive_leases_without_rivals_only() -> None:
    assert confidence(MINUTE, ()) == 1.0
    assert 0.99 < confidence(MINUTE, (), exclusive=False) < 1
    assert confidence(MINUTE, (300 * MINUTE,)) < 1
    assert confidence(5 * HOUR, (), exclusive=False) < confidence(MINUTE, (), exclusive=False)


def test_shares_leave_room_for_somebody_else() -> None:
    parts = shares((MINUTE, 20 * MINUTE, 5 * HOUR), MINUTE)
    assert list(parts) == sorted(parts, reverse=True)
    assert 0.99 < sum(parts) < 1
    assert shares(()) == ()


def test_a_floored_minute_is_averaged_over() -> None:
    # The visit came 50 s into the minute: a sixth of it is left for the subscription.
    late, early = delay_density(-50_000, MINUTE), delay_density(0, MINUTE)
    assert late == pytest.approx(early / 6, rel=0.25)
    assert delay_density(10 * MINUTE, MINUTE) == pytest.approx(delay_density(10.5 * MINUTE), rel=0.01)
    assert delay_density(-MINUTE, MINUTE) > 0, "the interval's last millisecond counts"
    assert 0 < confidence(30 * 24 * HOUR, (), spread=999, exclusive=False) < 1
