"""The documentation: the OpenAPI schema with every answer there is, and a page of it that needs no other host and no script."""

from __future__ import annotations

import copy
import html
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from litestar import Litestar, MediaType, Request, Response, get
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.routes import HTTPRoute

from tracker.exports.formats import FORMATS

POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
METHODS = ("get", "post", "put", "patch", "delete")

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
        for form in content.values():
            form["example"] = answer
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


def page(schema: Mapping[str, Any]) -> str:
    """The documentation as HTML. Pure."""
    groups: dict[str, list[str]] = {}
    for path, item in schema["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                groups.setdefault(operation["tags"][0], []).append(_operation(path, method, operation, schema))
    menu = "".join(f'<li><a href="#{_id(name)}">{html.escape(name)}</a></li>' for name in sorted(groups))
    body = "".join(
        f'<section id="{_id(name)}"><h2>{html.escape(name)}</h2>{"".join(groups[name])}</section>'
        for name in sorted(groups)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Clickbind API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/docs/style.css"></head>'
        f'<body><nav aria-label="Groups"><h1>Clickbind API {html.escape(str(schema["info"]["version"]))}</h1><ul>{menu}</ul>'
        '<p><a href="/schema/openapi.json">OpenAPI schema</a></p></nav><main><p>Send your key as '
        "<code>Authorization: Bearer &lt;key&gt;</code>. Times are UTC and ISO 8601, money is in dollars. An error has a code, "
        f"and a message that says how to mend it.</p>{body}</main></body></html>"
    )


def _operation(path: str, method: str, operation: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    parts = [f"<p>{html.escape(operation.get('description') or operation.get('summary') or '')}</p>"]
    if operation.get("x-permission"):
        parts.append(f"<p>Permission: <code>{html.escape(operation['x-permission'])}</code></p>")
    if rows := [_parameter(one) for one in operation.get("parameters", ())]:
        parts.append(f"<h4>Parameters</h4><table>{''.join(rows)}</table>")
    for form in operation.get("requestBody", {}).get("content", {}).values():
        parts.append("<h4>Body</h4>" + _body(form, schema))
    answers = []
    for status, answer in sorted(operation["responses"].items()):
        example = next((form.get("example") for form in answer.get("content", {}).values()), None)
        shown = "" if example is None else f"<pre>{_json(example)}</pre>"
        answers.append(
            f"<details><summary><b>{html.escape(status)}</b> {html.escape(answer.get('description', ''))}</summary>{shown}</details>"
        )
    return (
        f'<details class="operation"><summary><span class="{method}">{method.upper()}</span> <code>{html.escape(path)}</code> '
        f"{html.escape(operation.get('summary', ''))}</summary>{''.join(parts)}<h4>Answers</h4>{''.join(answers)}</details>"
    )


def _parameter(one: Mapping[str, Any]) -> str:
    kind = one.get("schema", {})
    about = kind.get("type") or " or ".join(
        part.get("type", "") for part in kind.get("oneOf", ()) if part.get("type") != "null"
    )
    need = (
        "required"
        if one.get("required")
        else f"default {kind['default']}"
        if kind.get("default") is not None
        else "optional"
    )
    return (
        f"<tr><td><code>{html.escape(one['name'])}</code></td><td>{html.escape(one['in'])}, {html.escape(str(about))}, "
        f"{html.escape(need)}</td><td>{html.escape(one.get('description') or '')}</td></tr>"
    )


def _body(form: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    kind = form.get("schema", {})
    name = kind.get("$ref", "").rpartition("/")[2]
    kind = schema["components"]["schemas"].get(name, kind)
    needed = kind.get("required", ())
    rows = "".join(
        f"<tr><td><code>{html.escape(field)}</code></td><td>{'required' if field in needed else 'optional'}</td>"
        f"<td><code>{html.escape(json.dumps({key: value for key, value in one.items() if key != 'description'}))}</code></td></tr>"
        for field, one in kind.get("properties", {}).items()
    )
    example = f"<pre>{_json(form['example'])}</pre>" if "example" in form else ""
    return f"<p>{html.escape(kind.get('description', ''))}</p><table>{rows}</table>{example}"


def _json(value: object) -> str:
    return html.escape(json.dumps(value, indent=2, ensure_ascii=False))


def _id(name: str) -> str:
    return html.escape(name.replace(" ", "-"), quote=True)
