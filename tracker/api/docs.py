"""The documentation: the OpenAPI schema with every answer there is, and a page of it that needs no other host."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from litestar import Litestar, MediaType, Request, Response, get
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.routes import HTTPRoute

from tracker.api.manual import METHODS, page
from tracker.api.shapes import shape
from tracker.exports.formats import FORMATS

POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

ERROR = {
    "type": "object",
    "required": ["error", "message"],
    "properties": {
        "error": {"type": "string", "description": "A code that does not change."},
        "message": {"type": "string", "description": "What is wrong and how to mend it, in words."},
        "description": {"type": "string"},
        "errors": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
    },
}
# Status -> (what it means, code, message). Told of every route they can come from.
ERRORS: dict[str, tuple[str, str, str]] = {
    "400": (
        "The request cannot be read.",
        "BAD_REQUEST",
        "A value holds characters or a number that cannot be stored.",
    ),
    "401": ("No key, or not a good one.", "UNAUTHORIZED", "This API key is not known, expired or revoked."),
    "403": (
        "The key lacks the permission.",
        "FORBIDDEN",
        "This needs the permission {permission}, which you do not have.",
    ),
    "404": ("There is no such thing, or not in your team.", "NOT_FOUND", "The smart link was not found."),
    "409": ("What is there stands against it.", "CONFLICT", "This link is in a pool; it cannot be deleted."),
    "413": ("The body is longer than 1 MB.", "BODY_TOO_LARGE", "Request Entity Too Large"),
    "422": ("A field breaks a rule; `errors` names it.", "VALIDATION_ERROR", "The name field is required."),
    "429": (
        "Too many requests; `Retry-After` says how long to wait.",
        "RATE_LIMITED",
        "Too many requests; wait 12 seconds.",
    ),
    "502": ("The provider did not do what was asked of it.", "PROVIDER_ERROR", "The provider does not answer."),
    "503": ("A store is away; nothing was changed.", "UNAVAILABLE", "A store is away; try again in a few seconds."),
}


def permissions(app: Litestar) -> dict[tuple[str, str], str]:
    """(method, path as in the schema) -> the permission its handler asks for; 'public' for what anybody may."""
    found = {}
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for method in handler.http_methods:
                    found[method.lower(), route.path_format] = str(handler.opt.get("permission", ""))
    return found


def documented(schema: Mapping[str, Any], asked: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """The schema with every answer, the keys, groups and examples. Pure; `schema` stays as it is."""
    told: dict[str, Any] = copy.deepcopy(dict(schema))
    components = told.setdefault("components", {})
    components.setdefault("schemas", {})["Error"] = ERROR
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key: `clickbind bootstrap` makes the first one.",
        }
    }
    told["info"]["description"] = (
        "Smart links, attribution and postbacks. Times are UTC and ISO 8601, money is in dollars."
    )
    told["paths"] = {path: item for path, item in told["paths"].items() if not path.startswith("/schema")}
    groups = set()
    for path, item in told["paths"].items():
        for method in METHODS:
            if method in item:
                groups.add(_document(path, method, item[method], asked.get((method, path), "")))
    told["tags"] = [{"name": group} for group in sorted(groups)]
    return told


def _document(path: str, method: str, operation: dict[str, Any], permission: str) -> str:
    public = permission == "public"
    operation["security"] = [] if public else [{"key": []}]
    if not public:
        operation["x-permission"] = permission
    group = _group(path)
    operation["tags"] = [group]
    answers = operation["responses"]
    for status in _statuses(path, method, operation, public):
        meaning, code, message = ERRORS[status]
        body: dict[str, Any] = {"error": code, "message": message.format(permission=permission)}
        if status == "422":
            body |= {"description": "The request parameters failed validation.", "errors": {"name": [message]}}
        answers[status] = {
            "description": meaning,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}, "example": body}},
        }
    # The server itself, before any of us, refuses what is no HTTP or has a line of more than 64 KB.
    answers["400"]["content"]["text/plain"] = {
        "schema": {"type": "string"},
        "example": "Invalid HTTP request received.",
    }
    if path == "/api/exports/{file}":
        answers["200"] = {
            "description": "The file, streamed.",
            "content": {form.media_type: {"schema": {"type": "string"}} for form in FORMATS.values()},
        }
    for status, answer in _examples().get(f"{method.upper()} {path}", {}).items():
        if status == "body":
            content = operation.get("requestBody", {}).get("content", {})
        else:
            content = answers.get(status, {}).get("content", {})
        for media_type, form in content.items():
            if isinstance(answer, str) != media_type.startswith("text/"):
                continue  # a table as CSV; the same as XLSX is nothing to read
            form["example"] = answer
            if status != "body" and not isinstance(answer, str):
                form["schema"] = shape(answer)
    return group


def _statuses(path: str, method: str, operation: Mapping[str, Any], public: bool) -> list[str]:
    found = ["400", "429", "503"]
    if not public:
        found += ["401", "403"]
    elif path.startswith(("/api/", "/webhooks/")):
        found += ["401", "403", "409"]  # a login that fails, a set-up that is over, a signature that does not hold
    if operation.get("parameters") or "requestBody" in operation:
        found += ["404", "422"]
    if "requestBody" in operation:
        found.append("413")
    if method != "get":
        found += ["409", "502"] if not public else []
    if path.startswith("/api/{account}/") or path.endswith("/test-event"):
        found.append("502")
    return sorted(set(found))


def _group(path: str) -> str:
    parts = [part for part in path.split("/") if part and part != "api"]
    if parts[0].startswith("{"):
        parts = [part for part in parts[1:] if part != "stored"]
    return parts[0]


@cache
def _examples() -> dict[str, dict[str, Any]]:
    """`METHOD /path` -> `body` and statuses -> example."""
    text = files("tracker.api").joinpath("static/examples.json").read_text()
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found


class Schema(JsonRenderPlugin):
    """The schema as served at /schema/openapi.json."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The documented schema as JSON."""
        return self.render_json(request, documented(openapi_schema, permissions(request.app)))


@get("/docs", permission="public", media_type=MediaType.HTML, include_in_schema=False)
async def documentation(request: Request[Any, Any, Any]) -> Response[str]:
    """The documentation as a page to read: every endpoint with its parameters, examples and errors."""
    schema = documented(request.app.openapi_schema.to_schema(), permissions(request.app))
    return Response(page(schema), headers={"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"})


@get("/docs/style.css", permission="public", media_type="text/css", include_in_schema=False)
async def style() -> Response[str]:
    """The page's style sheet."""
    return Response(files("tracker.api").joinpath("static/docs.css").read_text(), media_type="text/css")


@get("/docs/filter.js", permission="public", media_type="text/javascript", include_in_schema=False)
async def script() -> Response[str]:
    """The page's filter."""
    return Response(files("tracker.api").joinpath("static/filter.js").read_text(), media_type="text/javascript")
