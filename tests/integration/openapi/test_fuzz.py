"""Nonsense for every endpoint, made from the schema, and sense: ids of what there is. No answer is a 5xx, none is undocumented, none is
of another shape than the documentation says. Longer with `make fuzz`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_isolation import AWAY, SECRETS, World, _sample, world
from tests.integration.exports.scene import serving
from tracker.api.app import create_app
from tracker.management.services import Services
from tracker.settings import Settings
from tracker.stores.postgres import Pool
from tracker.stores.valkey import Client

SECONDS = int(os.environ.get("CLICKBIND_FUZZ_SECONDS", "7"))
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
__all__ = ["world"]
KNOWN = 0.8  # how often a path names something there is
# The provider is away here, and that is told as it is.
PROVIDED = 'checks = { not_a_server_error = { expected-statuses = ["2xx", "3xx", "4xx", "503"] } }\n'


class Witness:
    """The application, and which operations it answered well."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.good: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def watched(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                self.good.add(f"{scope['method']} {scope.get('path_template')}")
            await send(message)

        await self.app(scope, receive, watched)


def configuration(routes: Iterable[tuple[str, str]], ids: dict[str, str]) -> Iterator[str]:
    """schemathesis.toml: what path parameters may name, per route, given as (declared, as in the schema). What is deleted
    is nobody's any more, so deletions get random names only."""
    for number, (declared, path) in enumerate(routes):
        bindings = []
        for name in re.findall(r"{(\w+)", path):
            value = _sample(ids, name, declared)
            values = json.dumps([int(value) if name == "delivery_id" else value])
            yield f"[dictionaries.d{number}-{name}]\nvalues = {values}\n"
            bindings.append(f'"path.{name}" = {{ dictionary = "d{number}-{name}", probability = {KNOWN} }}')
        if bindings:
            yield (
                f"[[operations]]\ninclude-path = {json.dumps(path)}\nexclude-method = 'DELETE'\nparameters = {{ {', '.join(bindings)} }}\n"
                + (PROVIDED if path.startswith("/api/{account}/") else "")
            )


@pytest.mark.parametrize("with_key", [True, False])
async def test_nothing_a_stranger_sends_is_a_defect(
    world: World, pool: Pool, redis: Client, tmp_path: Path, with_key: bool
) -> None:
    settings = Settings(
        rate_limit_minute=0, data_dir=str(tmp_path), onlyfansapi_url=AWAY, meta_url=AWAY, provider_timeout=1.0
    )
    app = create_app(Services(settings, pool, redis, SECRETS))
    documented = app.openapi_schema.to_schema()["paths"]
    routes = [
        (route.path, route.path_format)
        for route in app.routes
        if route.path_format in documented and "/schema" not in route.path
    ]
    (tmp_path / "schemathesis.toml").write_text("\n".join(configuration(routes, world.ids)))
    key = (await world.key("team_one")).headers["Authorization"]
    witness = Witness(app)
    async with serving(witness) as url:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("st")), "run", f"{url}/schema/openapi.json",
            *(["--header", f"Authorization: {key}"] if with_key else []),
            "--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", "3", "--max-time", str(SECONDS), "--no-color",
            *(() if "CLICKBIND_FUZZ_SECONDS" in os.environ else ("--seed", "1", "--no-shrink")),
            cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
    text = output.decode()
    lines = [line[:400] for line in text.splitlines()]
    assert process.returncode == 0, "\n".join(lines[-150:])
    assert "generated" in text, "something was tried"
    # How far it comes in its time is the machine's affair; that it knows ids of what there is, is not.
    assert any("{" in name for name in witness.good) or not with_key, sorted(witness.good)
