"""``ft env lock``, ``sync``, ``verify`` and ``export``: one environment on every machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ft.cli.output import print_json, table
from ft.environment.export import FORMATS
from ft.errors import InputError

if TYPE_CHECKING:
    from ft.environment.lock import Lock
    from ft.registry.model import Set


def _lock_option(what: str) -> Callable:
    return click.option(
        "--lock", "given", type=click.Path(path_type=Path), metavar="FILE", help=what
    )


python_option = click.option(
    "--python",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The interpreter of another environment, such as .venv/bin/python.",
)
read_option = _lock_option("The lock; that of ft.toml, or pylock.toml.")


@click.command()
@click.option("--set", "name", metavar="NAME|FILE", help="The set; that of ft.toml if left out.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to write the lock; as ft.toml says, or pylock.toml.",
)
@click.option("--keep", multiple=True, metavar="NAME", help="Lock this as it is installed.")
@click.option(
    "--constraint",
    "constraints",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of further bounds.",
)
@click.option("--find-links", multiple=True, metavar="FOLDER", help="A folder or page of wheels.")
@click.option("--upgrade", is_flag=True, help="Take the newest versions, not those locked before.")
@python_option
def lock(
    name: str | None,
    output: Path | None,
    keep: Sequence[str],
    constraints: Sequence[Path],
    find_links: Sequence[str],
    upgrade: bool,
    python: Path | None,
) -> None:
    """Resolve a curated set to a lock with the hash of every file (PEP 751)."""
    from ft.environment.place import environment_of
    from ft.environment.resolve import write_lock
    from ft.registry.read import read_registries, read_set

    name = name or _set_of_project()
    made = write_lock(
        output or _lock_of_project(),
        name,
        read_set(name, read_registries()),
        environment_of(python),
        keep=keep,
        constraints=constraints,
        find_links=find_links,
        upgrade=upgrade,
    )
    click.echo(f"{made.file}: {len(made.packages)} distributions for the set {made.set}")


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--reinstall", is_flag=True, help="Take what is there already from wheels, too.")
@read_option
@python_option
def sync(dry_run: bool, reinstall: bool, given: Path | None, python: Path | None) -> None:
    """Make the environment equal to the lock.

    What the lock does not have is removed. Each file is checked against its hash before it is
    installed, and what was installed is noted beside the lock for "ft env verify".
    """
    from ft.environment.digests import digests_file
    from ft.environment.place import environment_of
    from ft.environment.sync import plan_sync, sync

    lock = _read(given)
    environment = environment_of(python)
    plan = plan_sync(lock, environment, reinstall=reinstall)
    rows = [
        *([f"+ {name}", version] for name, version in plan.install.items()),
        *([f"~ {name}", f"{old} becomes {new}"] for name, (old, new) in plan.change.items()),
        *(
            [f"~ {name}", f"{version}, from its wheel again"]
            for name, version in plan.again.items()
        ),
        *([f"- {name}", f"{version} is removed"] for name, version in plan.remove.items()),
    ]
    for line in table(rows, indent=0):
        click.echo(line)
    if dry_run:
        click.echo(f"{len(rows)} changes; nothing was done")
        return
    now = sync(lock, environment, plan)
    click.echo(f"{len(now.installed)} distributions, as in {lock.file}")
    click.echo(f"{digests_file(lock.file)} tells what was installed", err=True)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@read_option
@python_option
def verify(as_json: bool, given: Path | None, python: Path | None) -> int:
    """Compare what is installed with the lock, file by file.

    Leaves with exit code 1 where anything differs, and names all of it.
    """
    from ft.environment.digests import read_digests
    from ft.environment.place import environment_of
    from ft.environment.verify import verify

    lock = _read(given)
    environment = environment_of(python)
    differences = verify(lock, environment, _digest_of_set(lock))
    unchecked = [name for name, d in read_digests(lock.file).items() if d.origin == "found"]
    if as_json:
        print_json(
            {
                "lock": str(lock.file),
                "distributions": len(environment.installed),
                "differences": [
                    {"distribution": d.distribution, "kind": d.kind, "what": d.what, "file": d.file}
                    for d in differences
                ],
                "unchecked": unchecked,
            }
        )
        return int(bool(differences))
    if unchecked:
        click.echo(
            f"not checked against a wheel, since they were there before: {len(unchecked)}; "
            '"ft env sync --reinstall" takes them from wheels',
            err=True,
        )
    for difference in differences:
        click.echo(str(difference))
    if differences:
        count = len(differences)
        click.echo(f"{count} {'difference' if count == 1 else 'differences'} from {lock.file}")
        return 1
    click.echo(f"{len(environment.installed)} distributions, file by file as in {lock.file}")
    return 0


@click.command()
@click.option("--format", "form", type=click.Choice(list(FORMATS)), required=True, help="The form.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to write it; standard output if left out.",
)
@read_option
def export(form: str, output: Path | None, given: Path | None) -> None:
    """Write the lock as requirements.txt, as constraints, or as a bill of materials."""
    text = FORMATS[form](_read(given))
    if output:
        output.write_text(text, encoding="utf-8")
    else:
        click.echo(text, nl=False)


COMMANDS: Mapping[str, click.Command] = {c.name: c for c in (lock, sync, verify, export) if c.name}


def _read(given: Path | None) -> Lock:
    from ft.environment.lock import read_lock

    return read_lock(given or _lock_of_project())


def _lock_of_project() -> Path:
    """The lock that ft.toml names, or ``pylock.toml`` beside it; here where there is none."""
    from ft.environment.lock import LOCK
    from ft.plugins.policy import machine_file, read_policy
    from ft.plugins.policy_file import shown

    policy = read_policy()
    if policy.rules.lock:
        return Path(shown(Path(policy.rules.lock.pattern)))
    project = [file.parent for file in policy.files if file != machine_file()]
    return Path(shown(project[-1] / LOCK)) if project else Path(LOCK)


def _set_of_project() -> str:
    from ft.plugins.policy import read_policy

    permitted = read_policy().rules.permitted
    if permitted is None or permitted.set is None:
        raise InputError(
            "no set is named",
            hint='name one with --set, or write in ft.toml:\n    [env]\n    set = "starter"',
        )
    return permitted.set.pattern


def _digest_of_set(lock: Lock) -> str | None:
    """The digest of the lock's set as it is today; nothing for a lock without a set."""
    from ft.environment.resolve import set_digest
    from ft.registry.read import read_registries, read_set

    if not lock.set:
        return None
    name = str(lock.file.parent / lock.set) if lock.set.endswith(".toml") else lock.set
    chosen: Set = read_set(name, read_registries())
    return set_digest(chosen)
