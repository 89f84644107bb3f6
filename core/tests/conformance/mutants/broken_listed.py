"""Plugins whose metadata or description is wrong in one way."""

from mutant import MUTANTS, Mutant, mutant

from ft.api import Command, Field, PluginOptions
from ft.conformance.reference.command import Greet

USUAL = "License-Expression: Apache-2.0\nRequires-Python: >=3.11\n"


def info(name: str, file: str) -> str:
    """The path of a file of metadata of the mutant ``name``."""
    return f"ft_command_{name}-0.1.0.dist-info/{file}"


@mutant(
    "every.summary",
    summary="Greets people, and does so in a number of languages that is large and still growing "
    "with every release of it",
)
class LongSummary(Greet):
    """Its summary is a paragraph."""


@mutant("every.summary", summary="Greets people politely.")
class FullStop(Greet):
    """Its summary ends with a full stop."""


@mutant("every.summary", summary="Greets")
class ShortSummary(Greet):
    """Its summary says nothing."""


@mutant(
    "every.version",
    files={
        info("otherversion", "METADATA"): "Metadata-Version: 2.4\nName: ft-command-otherversion\n"
        f"Version: 0.2.0\nSummary: Greets people\n{USUAL}Requires-Dist: ft-core>=0.1,<1\n\n"
    },
)
class OtherVersion(Greet):
    """METADATA was edited after it was installed."""


@mutant(
    "every.entry-points",
    files={
        info("namewithspace", "entry_points.txt"): "[ft.command]\n"
        "Name With Space = broken_listed:NameWithSpace\n"
    },
)
class NameWithSpace(Greet):
    """Its name is a title."""


@mutant(
    "every.entry-points",
    files={
        info("mistypedgroup", "entry_points.txt"): "[ft.command]\n"
        "mistypedgroup = broken_listed:MistypedGroup\n[ft.match.model-type]\nx = broken_listed:x\n"
    },
)
class MistypedGroup(Greet):
    """A group of match keys that core does not have."""


@mutant("every.core-range", requires=("ft-core==0.1.0",))
class OneCore(Greet):
    """Pins the core that its author has."""


@mutant("every.core-range", requires=("ft-core>=0.1",))
class OpenRange(Greet):
    """Claims to fit every core to come."""


@mutant("every.core-range", requires=("click>=8",))
class NoCore(Greet):
    """Does not say that it needs ft-core."""


@mutant("every.python-range", headers="License-Expression: Apache-2.0\n")
class AnyPython(Greet):
    """Says of no Python that it needs it."""


@mutant("every.licence", headers="Requires-Python: >=3.11\n")
class NoLicence(Greet):
    """States no licence."""


@mutant("every.match-keys", match={"scheme greeting": "broken_listed:Renamed"})
class MovedKey(Greet):
    """A key that leads to an object which was renamed."""


@mutant("every.match-keys", match={"columns name+times": "broken_listed:KeyOfAnotherKind"})
class KeyOfAnotherKind(Greet):
    """Columns that lead to a command."""


@mutant("every.class-documented")
def no_docstring():
    """A class without a docstring."""

    class NoDocstring(Command):
        ft_command = Greet.ft_command

    return NoDocstring()


@mutant("every.options-documented")
class UndescribedOption(Greet):
    """An option that nobody explains."""

    class Options(PluginOptions):
        times: int = 1


@mutant("every.options-documented")
class NamedOption(Greet):
    """An option whose description is its name."""

    class Options(PluginOptions):
        how_often: int = Field(1, description="How often")


@mutant("every.paper")
class BareNumber(Greet):
    """The number of a paper, and not whose number it is."""

    paper = "2106.09685"


@mutant("every.samples-bind", "command.gives-a-command", "command.help-is-light")
class RequiredOption(Greet):
    """An option without a default, and no sample that gives it."""

    class Options(PluginOptions):
        language: str = Field(description="the language to greet in")


MUTANTS["imported-at-start"] = Mutant(
    name="imported-at-start",
    kind="command",
    value="made_eager:plugin",
    fails=frozenset({"every.listing-imports-nothing"}),
    files={
        "made_eager.py": "from ft.conformance.reference.command import Greet\nplugin = Greet()\n",
        "made_eager.pth": "import made_eager\n",
    },
)
"""A file beside it has Python import it whenever it starts."""
