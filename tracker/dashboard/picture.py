"""An explanation as a picture: clicks with their leases, the subscription, what was spent, and whom the fan belonged to when.

Time runs from left to right, long gaps drawn shorter: what matters is the order and which lease was running.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from markupsafe import Markup

from tracker.dashboard import numbers
from tracker.explain.explanation import BindingCard, ClickCard, ConversionCard, Explanation, SubscriptionCard

WIDTH, LEFT, RIGHT = 1080, 190, 40
TOP, LANE = 30, 44
MOST_CLICKS, MOST_CONVERSIONS = 8, 40
NEAREST_LABELS = 118  # px between two times written below


@dataclass(frozen=True)
class Scale:
    """Instants → x. Between two events the distance grows with the logarithm of the time."""

    times: Sequence[datetime]
    places: Sequence[float]

    def x(self, at: datetime) -> float:
        """Where an instant lies; before the first or after the last event, at the margin."""
        index = bisect_right(self.times, at)
        if index == 0:
            return self.places[0]
        if index == len(self.times):
            return self.places[-1] if at == self.times[-1] else self.places[-1] + RIGHT * 0.7
        before, after = self.times[index - 1], self.times[index]
        part = (at - before) / (after - before)
        return self.places[index - 1] + part * (self.places[index] - self.places[index - 1])


def scale(times: Sequence[datetime]) -> Scale:
    """The scale of these instants; at least one."""
    found = sorted(set(times))
    steps = [
        1 + 1.2 * math.log10(1 + (after - before).total_seconds() / 20) for before, after in itertools.pairwise(found)
    ]
    whole = sum(steps) or 1
    places = [float(LEFT)]
    for step in steps:
        places.append(places[-1] + step / whole * (WIDTH - LEFT - RIGHT))
    return Scale(found, places)


def picture(told: Explanation, zone: ZoneInfo) -> Markup:
    """The SVG; empty when nothing happened."""
    clicks = _clicks(told)
    money = [one for one in told.conversions if one.type != "new_subscriber"][-MOST_CONVERSIONS:]
    times = [visit.at for click in clicks for visit in click.visits]
    times += (
        [one.at for one in told.subscriptions] + [one.at for one in money] + [one.valid_from for one in told.bindings]
    )
    if not times:
        return Markup()
    scaled = scale(times)
    fan_y = TOP + LANE * len(clicks) + 16
    height = fan_y + 84
    won = {one.click_id for one in told.subscriptions if one.click_id} | {
        one.click_id for one in told.bindings if one.retracted_at is None
    }
    lanes = {click.click_id: TOP + LANE * index for index, click in enumerate(clicks)}
    parts = [_axis(scaled, height, zone)]
    parts += [_lane(click, lanes[click.click_id], scaled, click.click_id in won, zone) for click in clicks]
    parts += _belongs(told.bindings, lanes, scaled, fan_y)
    parts.append(_text(8, fan_y - 4, "The fan", "") + _text(8, fan_y + 11, _fan_name(told), "soft"))
    parts.append(
        Markup('<line class="rule" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(LEFT - 14, fan_y, WIDTH - 8, fan_y)
    )
    parts += [_credit(one, lanes, scaled, fan_y) for one in told.subscriptions]
    parts += _money(money, scaled, fan_y, zone)
    label = "Timeline: " + " ".join(told.sentences)
    return Markup('<svg class="picture" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, label, Markup("").join(parts)
    )


def _clicks(told: Explanation) -> list[ClickCard]:
    """The clicks to draw: those that won or competed first, then the others, in the order of time."""
    weight = {one.click_id: 2 for subscription in told.subscriptions for one in subscription.candidates}
    weight |= {one.click_id: 3 for one in told.bindings} | {told.id: 4}
    chosen = sorted(told.clicks, key=lambda click: -weight.get(click.click_id, 0))[:MOST_CLICKS]
    return sorted(chosen, key=lambda click: click.clicked_at)


def _lane(click: ClickCard, y: int, scaled: Scale, won: bool, zone: ZoneInfo) -> Markup:
    short = click.click_id[:4] + "…" + click.click_id[-5:]
    lines = [_text(8, y - 3, _cut(click.smart_link_name, 27), ""), _text(8, y + 12, f"click {short}", "soft")]
    start = scaled.x(click.clicked_at)
    if click.leased_until is not None:
        end = max(scaled.x(click.leased_until), start + 6)
        title = f"{click.lease.capitalize()} lease until {numbers.moment(click.leased_until, zone)}"
        lines.append(
            Markup(
                '<rect class="lease{}" x="{:.1f}" y="{}" width="{:.1f}" height="16" rx="4"><title>{}</title></rect>'
            ).format("" if won else " lost", start, y - 8, end - start, title)
        )
    for visit in click.visits:
        title = f"Visit on {numbers.moment(visit.at, zone)}, known by {visit.visitor_by}"
        lines.append(_dot(scaled.x(visit.at), y, "won" if won else "", title))
    return Markup("").join(lines)


def _credit(card: SubscriptionCard, lanes: dict[str, int], scaled: Scale, fan_y: int) -> Markup:
    x = scaled.x(card.at)
    dot = _dot(x, fan_y, "subscribed", "Subscribed")
    words = _text(x, fan_y + 22, "subscribed", "", "middle")
    if card.click_id is None or card.click_id not in lanes:
        return dot + words + _text(x, fan_y + 37, "credited to nobody", "soft", "middle")
    winner = next((one for one in card.candidates if one.outcome == "won"), None)
    start_y = lanes[card.click_id]
    from_x = scaled.x(winner.latest_visit_at) if winner is not None and winner.latest_visit_at is not None else x
    bend = max(30.0, (x - from_x) / 2)
    path = Markup('<path class="credit" d="M{:.1f} {}C{:.1f} {} {:.1f} {} {:.1f} {}"/>').format(
        from_x, start_y, from_x + bend, start_y + 20, x, fan_y - 40, x, fan_y - 7
    )
    return path + dot + words


def _belongs(bindings: Sequence[BindingCard], lanes: dict[str, int], scaled: Scale, fan_y: int) -> list[Markup]:
    believed = sorted((one for one in bindings if one.retracted_at is None), key=lambda one: one.valid_from)
    parts = []
    for index, card in enumerate(believed):
        start = scaled.x(card.valid_from)
        last = index == len(believed) - 1
        end = WIDTH - 12.0 if last else scaled.x(believed[index + 1].valid_from) - 5
        title = f"Belongs to click {card.click_id} from here on, {card.confidence:.0%} sure"
        parts.append(
            Markup('<path class="belongs" d="M{:.1f} {}H{:.1f}"><title>{}</title></path>').format(
                start, fan_y, max(end, start + 1), title
            )
        )
        if card.rule == "clicked_again" and card.click_id in lanes:
            parts.append(Markup('<path class="credit" d="M{:.1f} {}V{}"/>').format(start, lanes[card.click_id], fan_y))
    return parts


def _money(conversions: Sequence[ConversionCard], scaled: Scale, fan_y: int, zone: ZoneInfo) -> list[Markup]:
    parts = []
    free_from = -1000.0
    for card in sorted(conversions, key=lambda one: one.at):
        x = scaled.x(card.at)
        amount = "" if card.amount_gross_cents is None else numbers.money(card.amount_gross_cents)
        kind = card.transaction_type or card.type.replace("_", " ")
        title = f"{kind} {amount} on {numbers.moment(card.at, zone)}"
        parts.append(
            _dot(x, fan_y, "taken" if card.retracted_at else "money" if card.type == "new_transaction" else "", title)
        )
        if amount and x - free_from > 54:
            parts.append(_text(x, fan_y - 12, amount, "", "middle"))
            free_from = x
    return parts


def _axis(scaled: Scale, height: int, zone: ZoneInfo) -> Markup:
    parts = []
    free_from = -1000.0
    day = ""
    for at, x in zip(scaled.times, scaled.places, strict=True):
        if x - free_from < NEAREST_LABELS:
            continue
        free_from = x
        local = at.astimezone(zone)
        today = f"{local.day} {local:%b %Y}"
        parts.append(Markup('<line class="rule" x1="{:.1f}" y1="10" x2="{:.1f}" y2="{}"/>').format(x, x, height - 38))
        anchor = "end" if x > WIDTH - 70 else "middle"
        parts.append(_text(x, height - 22, f"{local:%H:%M:%S}", "soft", anchor))
        if today != day:
            parts.append(_text(x, height - 7, today, "soft", anchor))
        day = today
    return Markup("").join(parts)


def _fan_name(told: Explanation) -> str:
    if not told.fans:
        return "nobody subscribed"
    fan = told.fans[0]
    more = f" and {len(told.fans) - 1} more" if len(told.fans) > 1 else ""
    return _cut(fan.name or fan.username or fan.fan_id, 22) + more


def _dot(x: float, y: float, kind: str, title: str) -> Markup:
    return Markup('<circle class="dot {}" cx="{:.1f}" cy="{}" r="5.5"><title>{}</title></circle>').format(
        kind, x, y, title
    )


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(kind, x, y, anchor, words)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
