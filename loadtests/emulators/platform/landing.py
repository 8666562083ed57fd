"""The fan-facing pages a smart link redirects to: a profile with a Subscribe button that really subscribes."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from aiohttp import web

from .payloads import usd
from .records import Account, Link

if TYPE_CHECKING:
    from .world import World

FAN_COOKIE = "emulated_fan"

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{name} OnlyFans</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem}}
button{{font:inherit;padding:.7rem 1.4rem;border:0;border-radius:2rem;background:#00aff0;color:#fff;cursor:pointer}}
small{{color:#667}}</style></head>
<body><h1>{name}</h1><p>@{username}</p>{body}</body></html>"""

_FORM = """<p>{offer}</p><form method="post"><button type="submit">Subscribe</button>
<p><label>Subscribe as fan id <input name="fan_id" inputmode="numeric" value="{fan}"></label>
<small>empty: a new fan</small></p></form>"""


class Landing:
    """Handlers under `/onlyfans` and `/fansly`. GET counts a click; POST subscribes (form field `fan_id`, else the fan of the
    cookie, else a new one) and answers a page, or JSON when the client accepts that."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add(self, app: web.Application) -> None:
        """Route the pages."""
        for path in (
            r"/fansly/{username}/t/{fansly:\d+}",
            r"/onlyfans/action/trial/{trial:[a-z0-9]{32}}",
            r"/onlyfans/{username}/trial/{trial:[a-z0-9]{32}}",
            r"/onlyfans/{username}/c{campaign:\d+}",
            r"/onlyfans/{username}",
        ):
            app.router.add_get(path, self.show, allow_head=True)
            app.router.add_post(path, self.subscribe)

    def _target(self, request: web.Request) -> tuple[Account, Link | None]:
        parts = request.match_info
        username = parts.get("username", "")
        link = None
        if "trial" in parts:
            link = self._world.links.by_code(username, "trial", parts["trial"])
        elif "fansly" in parts:
            link = self._world.links.by_fansly_code(username, parts["fansly"])
        elif "campaign" in parts:
            link = self._world.links.by_code(username, "tracking", parts["campaign"])
        if link is not None:
            return self._world.accounts[link.account_id], link
        account = self._world.account_named(username)
        if account is None:
            raise web.HTTPNotFound(text="Sorry, this page is not available.")
        return account, None

    async def show(self, request: web.Request) -> web.Response:
        """The page; a dead trial offer shows the normal price, a deleted tracking link the profile."""
        account, link = self._target(request)
        now = self._world.clock.now()
        trial_days = None
        if link is not None:
            if request.method == "GET":
                self._world.links.click(link, now)
            if link.kind == "trial" and self._world.links.fate(link, now) == "open":
                trial_days = link.days
        if trial_days is not None:
            offer = f"Free trial for {trial_days} days, then ${account.subscribe_price / 100:.2f} per month"
        elif account.subscribe_price:
            offer = f"Subscribe for ${account.subscribe_price / 100:.2f} per month"
        else:
            offer = "Subscribe for free"
        fan = request.cookies.get(FAN_COOKIE, "")
        return _page(account, _FORM.format(offer=offer, fan=escape(fan)))

    async def subscribe(self, request: web.Request) -> web.Response:
        """Subscribe as the page promises."""
        account, link = self._target(request)
        form = await request.post()
        wanted = str(form.get("fan_id") or "") or request.cookies.get(FAN_COOKIE, "")
        if wanted and not wanted.isdigit():
            raise web.HTTPBadRequest(text="fan_id must be a number")
        fan = self._world.fans.person(int(wanted) if wanted else None)
        outcome = self._world.fans.subscribe(account, fan, link, click=False)
        done = outcome.subscription
        if "application/json" in request.headers.get("Accept", ""):
            answer = {
                "fan_id": fan.id,
                "subscribed": done is not None,
                "subscribed_at": None if done is None else done.at.isoformat(),
                "price": None if done is None else usd(done.price),
                "link_used": outcome.link is not None,
            }
            response = web.json_response(answer)
        elif done is None:
            response = _page(account, "<p>You are subscribed already.</p>")
        else:
            response = _page(
                account, f"<p>You are subscribed for ${done.price / 100:.2f}. Your fan id is {fan.id}.</p>"
            )
        response.set_cookie(FAN_COOKIE, str(fan.id), path="/onlyfans", httponly=True, samesite="Lax")
        return response


def _page(account: Account, body: str) -> web.Response:
    page = _PAGE.format(name=escape(account.name), username=escape(account.username), body=body)
    return web.Response(text=page, content_type="text/html", headers={"Cache-Control": "no-store"})
