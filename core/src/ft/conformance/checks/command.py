"""Commands: they belong to ``ft``, and cost nothing until they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from ft.conformance.bench import some
from ft.conformance.check import Skip, check
from ft.conformance.subject import Subject

if TYPE_CHECKING:
    import click

PROGRAM = """
import json, sys
asked = json.loads(sys.argv[1])
sys.path[:] = asked["path"]
from ft.plugins.load import import_plugin
from ft.plugins.record import Record
record = Record(asked["kind"], asked["name"], "", "", value=asked["value"])
command = import_plugin(record).bind(record.name).ft_command()
try:
    command.main(["--help"], prog_name=record.name)
finally:
    heavy = sorted({"torch", "transformers", "numpy"} & sys.modules.keys())
    print("imported:", *heavy, file=sys.stderr)
"""


@check("command", light=True)
def gives_a_command(subject: Subject) -> None:
    """It gives a click command with a help text, and each option has one.

    Why: ``ft NAME --help`` is where a user looks.

    Passes: ``ft_command`` returns a click command or group that has a help text. Every option
    of it, and of the commands of a group, has a help text as well.

    Fails: a function without ``@click.command``; one without a docstring; an option without
    ``help=``.

    Example: ``these options have no help text: --times``.
    """
    import click

    command = subject.bind().ft_command()
    assert isinstance(command, click.Command), (
        f"ft_command returns {type(command).__name__} rather than a click command"
    )
    silent = [one.name or subject.name for one in _all(command) if not one.help]
    assert not silent, f"these commands have no help text: {some(silent)}"
    options = [
        option.opts[0]
        for one in _all(command)
        for option in one.params
        if isinstance(option, click.Option) and not option.help and not option.hidden
    ]
    assert not options, f"these options have no help text: {some(options)}"


@check("command", light=True)
def help_is_light(subject: Subject) -> None:
    """``--help`` works in a fresh process and imports neither torch nor transformers.

    Why: importing torch takes seconds, and who asks for help wants to read a line.

    Passes: a new Python prints the help, leaves with code 0, and has torch, transformers and
    numpy not among its modules.

    Fails: an import of torch at the top of the module, or in ``ft_command`` itself; a command
    that works only after another module was imported.

    Example: ``--help imports torch``.
    """
    record = subject.record
    if record is None:
        raise Skip("it comes from no distribution")
    asked = {"kind": record.kind, "name": record.name, "value": record.value, "path": sys.path}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(asked)],
        capture_output=True,
        text=True,
        check=False,
        cwd=subject.folder,
    )
    said = done.stderr.strip().splitlines() or [""]
    assert done.returncode == 0, f"--help ends with code {done.returncode}: {said[-1]}"
    assert record.name in done.stdout, f"--help prints {done.stdout[:200]!r}"
    heavy = [line.partition(":")[2].split() for line in said if line.startswith("imported:")][-1]
    assert not heavy, f"--help imports {', '.join(heavy)}"


@check("command", metadata=True)
def its_name_is_free(subject: Subject) -> None:
    """Its name is not that of a built-in command.

    Why: ``ft`` knows its own commands first, so that such a plugin is never reached.

    Passes: the entry point is called otherwise than the commands of ``ft`` itself.

    Fails: ``train``, ``export``, ``plugins`` and the like.

    Example: ``ft has a command train of its own, which hides this one``.
    """
    from ft.cli.main import COMMANDS

    assert subject.name not in COMMANDS, (
        f"ft has a command {subject.name} of its own, which hides this one"
    )


def _all(command: click.Command) -> list[click.Command]:
    """A command, and those of a group."""
    import click

    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return [command, *(found for one in inner for found in _all(one))]
