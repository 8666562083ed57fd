"""The image and the composition: what can be held against the code without building them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped, unused-ignore]

from tracker.cli.main import _parser
from tracker.settings import Settings, env_name

ROLES = {
    "edge": Settings().edge_port,
    "api": Settings().api_port,
    "recorder": Settings().recorder_port,
    "worker": Settings().worker_port,
}
NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)


@pytest.fixture
def compose(repo_root: Path) -> dict[str, Any]:
    """The composition, anchors resolved."""
    found: dict[str, Any] = yaml.safe_load((repo_root / "compose.yaml").read_text())
    return found


@pytest.fixture
def dockerfile(repo_root: Path) -> str:
    """Its instructions, continued lines joined, comments left out."""
    text = (repo_root / "Dockerfile").read_text().replace("\\\n", " ")
    return "\n".join(line for line in text.splitlines() if line.strip() and not line.startswith("#"))


def test_the_image_runs_unprivileged_from_a_second_stage(dockerfile: str) -> None:
    stages = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert len(stages) == 2
    assert all(":" in stage and not stage.endswith(":latest") for stage in stages)
    last = dockerfile.rpartition("\nFROM ")[2]
    users = re.findall(r"^USER (\S+)", last, re.MULTILINE)
    assert users == ["10001"]
    assert last.index("USER 10001") < last.index("ENTRYPOINT")
    assert "--require-hashes" in dockerfile
    assert not re.search(r"^ADD |^RUN .*(curl|wget|sudo)", dockerfile, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["clickbind"\]$', last, re.MULTILINE)


def test_the_image_exposes_and_opens_every_role_s_port(dockerfile: str) -> None:
    exposed = re.findall(r"^EXPOSE (.+)$", dockerfile, re.MULTILINE)[0].split()
    assert {int(port) for port in exposed} == set(ROLES.values())
    for option in ("edge_host", "api_host", "metrics_host"):
        assert f"{env_name(option)}=0.0.0.0" in dockerfile


def test_every_file_the_image_copies_exists(dockerfile: str, repo_root: Path) -> None:
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE):
        for source in sources.split():
            assert (repo_root / source).exists(), source


def test_what_the_image_installs_is_what_runs(repo_root: Path) -> None:
    project = tomllib.loads((repo_root / "pyproject.toml").read_text())["project"]
    runtime, full = (
        dict(re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+)", (repo_root / name).read_text(), re.MULTILINE))
        for name in ("requirements.runtime.lock", "requirements.lock")
    )

    def names(requirements: list[str]) -> set[str]:
        found = (NAME.match(requirement) for requirement in requirements)
        return {match[1].lower().replace("_", "-") for match in found if match}

    assert names(project["dependencies"]) <= set(runtime)
    tools = names(project["optional-dependencies"]["dev"]) - names(project["dependencies"])
    assert tools & set(runtime) <= {"setuptools"}
    assert {name: version for name, version in runtime.items() if full.get(name, version) != version} == {}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_a_container_of_its_own_that_is_asked_how_it_does(compose: dict[str, Any], role: str) -> None:
    service = compose["services"][role]
    assert service["command"] == role
    assert f"127.0.0.1:{ROLES[role]}/health/ready" in service["healthcheck"]["test"][-1]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    published = service.get("ports", [])
    assert published == ([f"{ROLES[role]}:{ROLES[role]}"] if role in ("edge", "api") else [])


def test_the_composition_names_commands_and_options_there_are(compose: dict[str, Any]) -> None:
    options = {env_name(field) for field in Settings.__struct_fields__}
    commands = set(next(action for action in _parser()._actions if action.choices).choices or ())
    for name, service in compose["services"].items():
        if service.get("image") == "clickbind":
            assert service["command"] in commands, name
            assert set(service["environment"]) <= options, name
    assert "postgres" not in compose["services"]["edge"]["depends_on"]
    assert "migrate" not in compose["services"]["edge"]["depends_on"]


def test_the_valkey_of_the_composition_keeps_what_it_answered(compose: dict[str, Any]) -> None:
    command = compose["services"]["valkey"]["command"]
    for option in ("--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction"):
        assert option in command
