"""The `clickbind` command."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import uvloop

from tracker import __version__, logs
from tracker.settings import ConfigurationError, Settings, load
from tracker.stores.errors import StoreError


def main(arguments: list[str] | None = None) -> int:
    """Entry point. Returns the exit code: 0 done, 1 failed with a message, 2 wrong usage or configuration."""
    options = _parser().parse_args(arguments)
    try:
        settings = load()
        # The demo shows progress; it logs only what is wrong unless asked for more.
        quiet = options.command == "demo" and settings.log_level == "info"
        logs.configure(options.command, "error" if quiet else settings.log_level, settings.log_format)
        code: int = options.run(settings, options)
        return code
    except ConfigurationError as error:
        print(f"clickbind: configuration: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"clickbind: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clickbind", description="Smart-link attribution and postback server.")
    parser.add_argument("--version", action="version", version=f"clickbind {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Settings, argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.set_defaults(run=run)
        return sub

    command(
        "up", _up, "Run everything on this machine: stores (unless configured elsewhere), edge, recorder, worker, api."
    )
    command("edge", _edge, "Run the redirect edge.")
    command("recorder", _recorder, "Run the recorder: click log to PostgreSQL.")
    command("worker", _worker, "Run the worker: platform events, inventory, attribution, deliveries.")
    command("api", _api, "Run the management API and the webhook inbox.")
    command("migrate", _migrate, "Bring the database schema up to date.")
    doctor = command("doctor", _doctor, "Check configuration and stores; say what is wrong and how to mend it.")
    doctor.add_argument("--options", action="store_true", help="list every option with its default and meaning")
    bootstrap = command("bootstrap", _bootstrap, "Make a team and print its API key, once.")
    bootstrap.add_argument("--team", default="My team", help="the team's name")
    bootstrap.add_argument(
        "--owner", metavar="EMAIL", help="make this person the owner too, and print where they set a password"
    )
    bootstrap.add_argument("--json", action="store_true", help="print JSON")
    command("setup-url", _setup_url, "Print the address where the first person sets Clickbind up.")
    reset = command("reset-password", _reset_password, "Print an address where a person sets a new password, once.")
    reset.add_argument("email", help="the person's e-mail address")
    explain = command("explain", _explain, "Tell why a fan, a conversion or a click is credited as it is.")
    explain.add_argument("kind", choices=("fan", "conversion", "click"))
    explain.add_argument("id", help="the fan's platform id, the conversion's or the click's id")
    explain.add_argument("--account", help="the account whose fan is meant, when several know the id")
    explain.add_argument("--json", action="store_true", help="print JSON, as GET /api/explain/{kind}/{id} answers")
    export = command("export", _export, "Write clicks, conversions, fans or deliveries into a file.")
    export.add_argument("kind", choices=("clicks", "conversions", "fans", "deliveries"))
    export.add_argument("--format", choices=("csv", "xlsx", "parquet"), default="csv")
    export.add_argument("--to", type=Path, metavar="FILE", help="the file (default: standard output)")
    export.add_argument("--from-date", metavar="DAY", help="first day or moment")
    export.add_argument("--to-date", metavar="DAY", help="last day, or the moment it ends before")
    export.add_argument(
        "--time-zone", default="UTC", help="whose days are meant and times are written in (default UTC)"
    )
    export.add_argument("--after", metavar="CURSOR", help="go on behind the row with this cursor")
    export.add_argument("--team", help="the team, when there are several")
    erase = command("erase", _erase, "Erase a fan or a visitor everywhere, for good.")
    erase.add_argument("kind", choices=("fan", "visitor"))
    erase.add_argument("id", help="the fan's id on the platform, or the value of the visitor's cookie")
    erase.add_argument("--account", help="erase the fan on this account only")
    erase.add_argument("--team", help="the team, when there are several")
    erase.add_argument("--json", action="store_true", help="print JSON, as POST /api/erasures answers")
    rotate = command("rotate-key", _rotate_key, "Seal every stored credential again under a new secret key.")
    rotate.add_argument(
        "--new-key-file", type=Path, metavar="F", help="file with the new key, while Clickbind is stopped"
    )
    backup = command("backup", _backup, "Copy everything into a new folder, while Clickbind runs or not.")
    backup.add_argument("folder", type=Path, metavar="FOLDER", help="a new folder")
    restore = command("restore", _restore, "Load a backup into an empty data folder or empty stores, and check it.")
    restore.add_argument("folder", type=Path, metavar="FOLDER", help="a folder that `clickbind backup` made")
    demo = command("demo", _demo, "Run the whole product against a fake platform with known ground truth.")
    demo.add_argument("--once", action="store_true", help="run, report, exit (non-zero when an invariant fails)")
    demo.add_argument("--json", action="store_true", help="print the report as JSON")
    demo.add_argument("--fans", type=int, default=300, help="simulated visitors (default 300)")
    demo.add_argument("--seed", type=int, default=1, help="random seed of the simulation")
    demo.add_argument(
        "--chaos",
        metavar="ROLE[,ROLE]",
        default="",
        help="kill -9 these in the middle: edge,recorder,worker,valkey,postgres",
    )
    return parser


def _up(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.supervisor import Supervisor

    async def run() -> None:
        supervisor = Supervisor(settings)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, supervisor.request_stop)
        loop.add_signal_handler(signal.SIGHUP, supervisor.request_replace)
        try:
            await supervisor.start(lambda text: print(f"{text} …", file=sys.stderr, flush=True))
            print(
                f"Clickbind is up. Smart links: {settings.base_url}/go/…   API: http://{settings.api_host}:{settings.api_port}"
                f"   Data: {settings.data_path}\nStop with Ctrl-C.",
                file=sys.stderr,
                flush=True,
            )
            await supervisor.run()
        finally:
            await supervisor.stop()

    asyncio.run(run())
    return 0


def _edge(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.edge.server import run

    run(settings)
    return 0


def _recorder(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.recorder.server import run

    uvloop.run(run(settings))
    return 0


def _worker(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.worker import run

    uvloop.run(run(settings))
    return 0


def _api(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.api.server import run

    run(settings)
    return 0


def _migrate(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.supervisor import migrate

    applied = asyncio.run(migrate(settings))
    print("\n".join(f"applied {name}" for name in applied) or "The schema is up to date.")
    return 0


def _doctor(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.cli.doctor import examine, list_options

    if options.options:
        print(list_options(settings))
        return 0
    return asyncio.run(examine(settings))


def _bootstrap(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.api.bootstrap import bootstrap

    made = asyncio.run(bootstrap(settings, options.team, options.owner))
    if options.json:
        print(json.dumps(made))
    else:
        print(f"Team {made['team_id']} is ready. Its API key, shown this once:\n\n    {made['api_key']}\n")
        if "password_url" in made:
            print(f"{options.owner} sets a password here, once, within a day:\n\n    {made['password_url']}\n")
    return 0


def _setup_url(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.cli.access import setup_url

    return asyncio.run(setup_url(settings))


def _reset_password(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.cli.access import reset_password

    return asyncio.run(reset_password(settings, options.email))


def _explain(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.cli.explain import run

    return asyncio.run(run(settings, options.kind, options.id, options.account, as_json=options.json))


def _export(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.cli.export import run

    return asyncio.run(
        run(
            settings, options.kind, options.format, options.to, team_id=options.team, date_start=options.from_date,
            date_end=options.to_date, time_zone=options.time_zone, after=options.after,
        )
    )  # fmt: skip


def _erase(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.cli.erase import run

    return asyncio.run(run(settings, options.kind, options.id, options.account, options.team, as_json=options.json))


def _rotate_key(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.cli.rotate import run

    return asyncio.run(run(settings, options.new_key_file))


def _backup(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.cli.backup import run_backup

    return run_backup(settings, options.folder)


def _restore(settings: Settings, options: argparse.Namespace) -> int:
    from tracker.cli.backup import run_restore

    return run_restore(settings, options.folder)


def _demo(settings: Settings, options: argparse.Namespace) -> int:
    try:
        from loadtests.demo.command import run
    except ImportError as error:
        print(f"clickbind: the demo is not installed here ({error}); run it from a checkout.", file=sys.stderr)
        return 1
    return run(settings, options)


if __name__ == "__main__":
    sys.exit(main())
