"""The documentation as a page to read, made from the documented schema. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")
HOST = "https://clickbind.example.com"
TITLES = {
    "accounts": "Accounts as the vendor lists them", "api-keys": "API keys", "audit-log": "Audit log", "connected-accounts": "Creators' accounts",
    "connections": "Ad platforms and fan actions", "deliveries": "Delivery log", "delivery-health": "Delivery health",
    "destinations": "Replays", "erasures": "Forgetting people", "explain": "Why a credit", "exports": "Exports", "health": "Health",
    "invitations": "Invitations", "link-tags": "Tags", "password-resets": "Passwords", "pools": "Pools of links",
    "postback-networks": "Networks", "reports": "Reports", "session": "Session", "sessions": "Sessions", "setup": "First run",
    "smart-link-postbacks": "Postbacks", "smart-links": "Smart links", "team": "Team", "tracking-links": "Tracking links",
    "trial-links": "Free-trial links", "webhooks": "Webhooks", "whoami": "Who am I",
}  # fmt: skip

Schema = Mapping[str, Any]


def page(schema: Schema) -> str:
    """The whole page: a menu with a filter, what holds for all calls, and every call with parameters, examples and errors."""
    groups: dict[str, list[str]] = {}
    for path, item in schema["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                groups.setdefault(operation["tags"][0], []).append(_operation(path, method, operation, schema))
    menu = "".join(
        f'<li><a href="#{escape(name)}">{escape(_title(name))}</a> <small>{len(groups[name])}</small></li>'
        for name in sorted(groups, key=_order)
    )
    body = "".join(
        f'<section id="{escape(name)}"><h2>{escape(_title(name))}</h2>{"".join(groups[name])}</section>'
        for name in sorted(groups, key=_order)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Clickbind API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="/docs/style.css"><script src="/docs/filter.js" defer></script></head><body>'
        f'<nav aria-label="Calls"><h1>Clickbind API <small>{escape(str(schema["info"]["version"]))}</small></h1>'
        '<label for="filter" hidden>Filter <kbd>/</kbd></label><input id="filter" type="search" placeholder="stats, replay, POST …" hidden>'
        f'<p id="found" role="status"></p><ul>{menu}</ul><p><a href="/schema/openapi.json">OpenAPI schema</a></p></nav>'
        f"<main>{_preface(schema)}{body}</main></body></html>"
    )


def _preface(schema: Schema) -> str:
    count = sum(method in item for item in schema["paths"].values() for method in METHODS)
    return (
        f"<header><p>{count} calls. Send your key with each of them:</p><pre>curl -H 'Authorization: Bearer cb_…' {HOST}/api/smart-links</pre>"
        "<p>Bodies are JSON. Times are UTC and ISO 8601, money is in dollars. An answer holds <code>data</code>, and "
        "<code>_pagination.next_page</code> where there is more. An error has a code that does not change, and a message that says what "
        "is wrong and how to mend it; <code>errors</code> names the fields. The smart-link, postback, link and webhook calls are "
        "those of OnlyFansAPI: its clients work here with another base URL.</p></header>"
    )


def _operation(path: str, method: str, operation: Schema, schema: Schema) -> str:
    about = operation.get("description") or operation.get("summary") or ""
    heading = re.split(r"(?<=[a-z)])[.:;] |\.\n|\.$", about, maxsplit=1)[0]
    parts = [f"<p>{_prose(one)}</p>" for one in about.split("\n\n")]
    if operation.get("x-permission"):
        parts.append(f"<p>Permission <code>{escape(operation['x-permission'])}</code></p>")
    if rows := [_parameter(one) for one in operation.get("parameters", ())]:
        parts.append(f"<h4>Parameters</h4><table>{''.join(rows)}</table>")
    for form in operation.get("requestBody", {}).get("content", {}).values():
        parts.append(f"<h4>Body</h4>{_body(form, schema)}")
    parts.append(f"<h4>Request</h4><pre>{escape(_curl(path, method, operation))}</pre>")
    parts += _answers(operation["responses"])
    ident = re.sub(r"[^a-z0-9]+", "-", f"{method}{path}".lower()).strip("-")
    return (
        f'<details class="operation" id="{ident}"><summary><span class="method {method}">{method.upper()}</span> '
        f"<code>{_path(path)}</code> <span>{_prose(heading)}</span></summary>"
        f"{''.join(parts)}</details>"
    )


def _answers(answers: Schema) -> Iterator[str]:
    """The good ones with their examples; the errors as a table, each with its example folded."""
    errors = []
    for status, answer in sorted(answers.items()):
        example = next((form["example"] for form in answer.get("content", {}).values() if "example" in form), None)
        shown = "" if example is None else f"<pre>{_text(example)}</pre>"
        if status < "400":
            yield f"<h4>Answer {escape(status)}</h4>{shown}"
        else:
            told = escape(answer.get("description", ""))
            errors.append(f"<details><summary><b>{escape(status)}</b> {told}</summary>{shown}</details>")
    yield f"<h4>Errors</h4>{''.join(errors)}"


def _curl(path: str, method: str, operation: Schema) -> str:
    """The call as a command line."""
    query = "&".join(
        f"{one['name']}=…" for one in operation.get("parameters", ()) if one["in"] == "query" and one.get("required")
    )
    address = f"{HOST}{path}" + (f"?{query}" if query else "")
    lines = ["curl" + ("" if method == "get" else f" -X {method.upper()}") + f" '{address}'"]
    if operation.get("security"):
        lines.append("-H 'Authorization: Bearer cb_…'")
    for form in operation.get("requestBody", {}).get("content", {}).values():
        if "example" in form:
            body = json.dumps(form["example"], indent=2, ensure_ascii=False).replace("'", "'\\''")
            lines += ["-H 'Content-Type: application/json'", f"-d '{body}'"]
    return " \\\n  ".join(lines)


def _parameter(one: Schema) -> str:
    kind = one.get("schema", {})
    default = kind.get("default")
    need = "required" if one.get("required") else f"default {default}" if default not in (None, "") else ""
    about = "; ".join(filter(None, (_kind(kind, {}), need)))
    where = " <small>in the path</small>" if one["in"] == "path" else ""
    return (
        f"<tr><td><code>{escape(one['name'])}</code>{where}</td><td>{escape(about)}</td>"
        f"<td>{_prose(one.get('description') or '')}</td></tr>"
    )


def _body(form: Schema, schema: Schema) -> str:
    components = schema["components"]["schemas"]
    kind = _resolved(form.get("schema", {}), components)
    needed = kind.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_kind(one, components))}{'; required' if name in needed else ''}</td></tr>"
        for name, one in kind.get("properties", {}).items()
    )
    return f"<p>{_prose(kind.get('description', ''))}</p><table>{rows}</table>"


def _resolved(kind: Schema, components: Schema) -> Schema:
    """The schema itself, behind references and the null that may stand instead."""
    for part in kind.get("oneOf") or kind.get("anyOf") or ():
        if part.get("type") != "null":
            return _resolved(part, components)
    name = kind.get("$ref", "").rpartition("/")[2]
    return _resolved(components[name], components) if name in components else kind


def _kind(kind: Schema, components: Schema) -> str:
    """A type in words: `string, at most 255 characters`."""
    nullable = any(part.get("type") == "null" for part in kind.get("oneOf") or kind.get("anyOf") or ())
    kind = _resolved(kind, components)
    if "enum" in kind:
        words = " | ".join(str(value) for value in kind["enum"])
    elif kind.get("type") == "array":
        words = f"list of {_kind(kind.get('items', {}), components)}"
    else:
        words = str(kind.get("format") or kind.get("type") or "any")
    low, high = kind.get("minimum"), kind.get("maximum")
    if low is not None or high is not None:
        words += f", {low if low is not None else '…'} to {high if high is not None else '…'}"
    for name, unit in (("maxLength", "characters"), ("maxItems", "entries")):
        if name in kind:
            words += f", at most {kind[name]} {unit}"
    return words + (", or null" if nullable else "")


def _prose(text: str) -> str:
    """Words of a docstring; what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _path(path: str) -> str:
    """A path whose lines may break after slashes."""
    return re.sub(r"({\w+})", r"<i>\1</i>", escape(path).replace("/", "/<wbr>"))


def _text(value: object) -> str:
    return escape(value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))


def _order(name: str) -> str:
    return _title(name).lower()


def _title(name: str) -> str:
    return TITLES.get(name, name.replace("-", " ").capitalize())
