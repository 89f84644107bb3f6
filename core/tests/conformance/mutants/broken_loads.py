"""Plugins that load badly, or take what makes no sense."""

from typing import Any

from mutant import MUTANTS, Mutant, mutant
from pydantic import ConfigDict

from ft.api import Field, KnownFailure, Limit, PluginOptions, hookimpl
from ft.conformance.reference.command import Greet


def at_import(name: str, code: str, *fails: str) -> None:
    """Declare a plugin whose module does something when it is imported."""
    module = f"made_{name.replace('-', '_')}"
    start = "from ft.conformance.reference.command import Greet\nplugin = Greet()\n"
    MUTANTS[name] = Mutant(
        name=name,
        kind="command",
        value=f"{module}:plugin",
        fails=frozenset(fails),
        files={f"{module}.py": start + code},
    )


# -- the import --------------------------------------------------------------------------------

at_import(
    "slow-table",
    "from time import process_time as now\nend = now() + 0.2\nwhile now() < end:\n    pass\n",
    "every.import-is-quick",
)
at_import("large-library", "import PIL\n", "every.import-is-light")
at_import(
    "core-of-core",
    "def count():\n    from ft.training.loop import count_steps\n    return count_steps\n",
    "every.imports-only-the-contract",
)
at_import("left-print", "print('greetings')\n", "every.import-is-quiet")
at_import(
    "warning-at-import",
    "import warnings\nwarnings.warn('the old greeting is deprecated', FutureWarning)\n",
    "every.import-is-quiet",
)
at_import(
    "news-at-import",
    "import socket\n"
    "try:\n"
    "    socket.create_connection(('192.0.2.1', 443), timeout=0.2)\n"
    "except OSError:\n"
    "    pass\n",
    "every.import-opens-no-connection",
)
at_import(
    "log-at-import",
    "from pathlib import Path\nPath('greetings.log').write_text('imported')\n",
    "every.import-writes-nothing",
)
at_import(
    "quiet-for-all",
    "import warnings\nwarnings.filterwarnings('ignore')\n",
    "every.import-changes-nothing",
)
at_import(
    "environment-at-import",
    "import os\nos.environ['TOKENIZERS_PARALLELISM'] = 'never'\n",
    "every.import-changes-nothing",
)
at_import("seed-at-import", "import random\nrandom.seed(0)\n", "every.import-changes-nothing")
at_import(
    "thread-at-import",
    "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(600,), daemon=True, name='poll').start()\n",
    "every.import-changes-nothing",
)


@mutant("every.imports", kind="command")
class OtherKind(Greet):
    """Calls itself a plugin of another kind than it is declared as."""

    kind = "commands"


# -- hooks -------------------------------------------------------------------------------------


class _Told:
    def ft_run_finished(self, run):
        print("done")


@mutant("every.hooks")
class UnmarkedMixin(_Told, Greet):
    """A hook from a mixin that lacks its mark, and is never called."""


@mutant("every.hooks")
class WrongArgument(Greet):
    """A hook that asks for what core does not have."""

    @hookimpl
    def ft_step_ended(self, run, metric):
        pass


@mutant("every.hooks")
class NeverGiven(Greet):
    """A hook with an argument that has a default, which pluggy therefore leaves out."""

    @hookimpl
    def ft_step_ended(self, run, metrics=()):
        pass


# -- options -----------------------------------------------------------------------------------


@mutant("every.unknown-options-refused")
class PassedOver(Greet):
    """Ignores options that it does not know."""

    class Options(PluginOptions):
        model_config = ConfigDict(extra="ignore")


@mutant("every.unknown-options-refused")
class TakenName(Greet):
    """An option that a recipe cannot give it."""

    class Options(PluginOptions):
        name: str = Field("you", description="whom to greet")


@mutant("every.wrong-values-refused")
class TakesAnything(Greet):
    """An option of no type."""

    class Options(PluginOptions):
        times: Any = Field(1, description="how often to say it")


@mutant("every.options-frozen")
class Changeable(Greet):
    """Options that a hook can change on the way."""

    class Options(PluginOptions):
        model_config = ConfigDict(frozen=False)
        times: int = Field(1, description="how often to say it")


@mutant("every.options-frozen")
class Counts(Greet):
    """Counts its bindings in the object that all runs share."""

    def bind(self, name, options=None, **more):
        self.bound = getattr(self, "bound", 0) + 1
        return super().bind(name, options, **more)


# -- what it says of itself --------------------------------------------------------------------


@mutant("every.capability-words")
class OwnWord(Greet):
    """A word that nobody else knows."""

    accepts = frozenset({"quantised-base"})


@mutant("every.capability-words")
class AgainstItself(Greet):
    """Is in conflict with what it brings."""

    provides = frozenset({"generation"})
    conflicts = frozenset({"generation"})


@mutant("every.suggestions")
class Misspelt(Greet):
    """Suggests a part that no recipe has."""

    suggests = {"optimiser": "adamw"}


@mutant("every.suggestions")
class BareOption(Greet):
    """Suggests a learning rate where a part is expected."""

    suggests = {"optimizer": 3e-4}


@mutant("every.limits")
class NoReason(Greet):
    """A limit that says nothing."""

    limits = {"generation": Limit("not-implemented", "")}


@mutant("every.limits")
class ClaimedAndNot(Greet):
    """Claims what it says is not there yet."""

    provides = frozenset({"generation"})
    limits = {"generation": Limit("not-implemented", "it cannot write yet")}


@mutant("every.known-failures")
class RenamedCheck(Greet):
    """Expects to fail a check that there is not."""

    known_failures = (
        KnownFailure("command.speaks-french", "only English so far", "https://example.org/1"),
    )
