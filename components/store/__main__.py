"""`python -m components.store --model NAME COMMAND`: looks at a model's versions, and moves its pointers."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from components.errors import UserError
from components.storage.address import is_local
from components.store.overview import description, overview
from components.store.store import ModelStore
from components.store.tables import description_table, overview_table
from components.store.version import Version, number_of, verify

DEFAULT_WORK = ".evergreen"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(_COMMANDS[options.command](_store(options), options))
    except (UserError, OSError) as error:
        if options.debug:
            raise
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m components.store", description=__doc__.partition(": ")[2])
    parser.add_argument("--work", default=DEFAULT_WORK, help="work directory, or s3://bucket/prefix (%(default)s)")
    parser.add_argument("--model", required=True, help="the model's name")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, words in (("list", "all versions"), ("show", "all that is known of one version")):
        command = commands.add_parser(name, help=words)
        command.add_argument("--json", action="store_true", help="for scripts")
    commands.choices["show"].add_argument("number", metavar="N")
    command = commands.add_parser("verify", help="compare versions with their checksums")
    command.add_argument("numbers", nargs="*", metavar="N", help="versions (default: all)")
    commands.add_parser("rollback", help="put the version into service that was there before")
    command = commands.add_parser("promote", help="put a version into service")
    command.add_argument("number", nargs="?", metavar="N", help="version (default: the candidate)")
    command = commands.add_parser("pin", help="keep a version until it is unpinned")
    command.add_argument("number", metavar="N")
    command.add_argument("--reason", required=True, help="why it is kept")
    command = commands.add_parser("unpin", help="let cleanup decide about a version again")
    command.add_argument("number", metavar="N")
    return parser


def _store(options: argparse.Namespace) -> ModelStore:
    store = ModelStore(options.work, options.model)
    names = store.storage.names("models")
    if options.model not in names:
        known = ", ".join(name for name in names if not name.startswith(".")) or "none"
        what = f"no model {options.model} is in {options.work}; models there: {known}"
        raise UserError(f"{what}; give the work directory by --work" if is_local(options.work) else what)
    return store


def _version(store: ModelStore, text: str) -> Version:
    number = number_of(text)
    if number is None:
        raise UserError(f"{text!r} is no version's number; give one that `list` shows")
    return store.version(number)


def _list(store: ModelStore, options: argparse.Namespace) -> bool:
    versions = overview(store)
    if options.json:
        print(json.dumps(versions, indent=1, ensure_ascii=False))
    else:
        Console().print(overview_table(store.name, versions))
        if reason := store.withdrawal():
            Console().print(reason, markup=False, highlight=False, soft_wrap=True)
    return False


def _show(store: ModelStore, options: argparse.Namespace) -> bool:
    described = description(store, _version(store, options.number))
    if options.json:
        print(json.dumps(described, indent=1, ensure_ascii=False))
    else:
        Console().print(description_table(store.name, described))
    return False


def _verify(store: ModelStore, options: argparse.Namespace) -> bool:
    """Whether one is damaged; tells of all of them."""
    damaged = False
    for version in [_version(store, number) for number in options.numbers] or store.versions():
        try:
            verify(version)
            print(f"version {version.number} is whole")
        except UserError as error:
            damaged = True
            print(f"version {version.number} is damaged: {error}")
    return damaged


def _rollback(store: ModelStore, options: argparse.Namespace) -> bool:  # noqa: ARG001
    before = store.number("serving")
    version = store.rollback()
    end = f", version {before} is withdrawn" if before in store.withdrawn() else f" in place of version {before}"
    print(f"{store.name} version {version.number} is in service again{end}")
    return False


def _promote(store: ModelStore, options: argparse.Namespace) -> bool:
    version = _version(store, options.number) if options.number is not None else store.pointed("candidate")
    if version is None:
        raise UserError(f"{store.name} has no candidate; give the number of a version")
    before = store.point("serving", version)
    instead = f" in place of version {before.number}" if before and before != version else ""
    print(f"{store.name} version {version.number} is in service{instead}")
    return False


def _pin(store: ModelStore, options: argparse.Namespace) -> bool:
    number = _version(store, options.number).number
    store.pin(number, options.reason)
    print(f"{store.name} version {number} stays until it is unpinned: {options.reason}")
    return False


def _unpin(store: ModelStore, options: argparse.Namespace) -> bool:
    number = number_of(options.number)
    if number is None or number not in store.pins():
        _version(store, options.number)
        print(f"{store.name} version {number} was not pinned")
        return False
    store.unpin(number)
    print(f"{store.name} version {number} is not pinned any more")
    return False


_COMMANDS: dict[str, Callable[[ModelStore, argparse.Namespace], bool]] = {
    "list": _list,
    "show": _show,
    "verify": _verify,
    "rollback": _rollback,
    "promote": _promote,
    "pin": _pin,
    "unpin": _unpin,
}
"""Each returns whether it found something wrong."""


if __name__ == "__main__":
    sys.exit(main())
