"""Plugins that do something beside their work."""

import itertools
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mutant import mutant
from pydantic import field_serializer, field_validator

from ft.api import Field, PluginOptions, hookimpl
from ft.conformance.reference.command import Greet
from ft.conformance.reference.model import Family
from ft.conformance.reference.optimizer import Reference

# -- options as data ---------------------------------------------------------------------------


@mutant("every.options-round-trip")
class Doubles(Greet):
    """Takes a percentage, keeps a share, and takes that for a percentage."""

    class Options(PluginOptions):
        share: float = Field(50.0, description="share of those that are greeted, in percent")

        @field_validator("share")
        @classmethod
        def _as_share(cls, value: float) -> float:
            return value / 100


@mutant("every.options-round-trip", "every.options-schema")
class RefusesItself(Greet):
    """Writes a value that it does not read."""

    class Options(PluginOptions):
        seconds: float = Field(5.0, description="how long to wait")

        @field_serializer("seconds")
        def _with_unit(self, value: float) -> list[float | str]:
            return [value, "s"]


@mutant("every.options-schema")
class NoSchema(Greet):
    """An option that only Python knows the type of."""

    class Options(PluginOptions):
        loud: Callable[[str], str] | None = Field(None, description="what makes it louder")


@mutant("every.options-schema")
class NumberAsText(Greet):
    """Writes a number as text, which happens to be read again."""

    class Options(PluginOptions):
        times: int = Field(1, description="how often to say it")

        @field_serializer("times")
        def _as_text(self, value: int) -> str:
            return str(value)


# -- manners -----------------------------------------------------------------------------------


@mutant("every.no-network")
class ReportsHome(Greet):
    """Tells somebody that it is used, and does not mind if that fails."""

    @hookimpl
    def ft_command(self) -> Any:
        import socket

        with suppress(OSError):
            socket.create_connection(("192.0.2.1", 443), timeout=0.1)
        return super().ft_command()


@mutant("every.no-stray-files")
class DebugFile(Greet):
    """A file in the working folder, left from debugging."""

    @hookimpl
    def ft_command(self) -> Any:
        Path("debug.txt").write_text("asked for the command")
        return super().ft_command()


@mutant("every.no-stray-files")
class LockBesideCode(Greet):
    """A lock beside its own code, which may be read-only; it is gone afterwards."""

    @hookimpl
    def ft_command(self) -> Any:
        lock = Path(__file__).with_suffix(f".{threading.get_native_id()}.lock")
        lock.touch()
        lock.unlink()
        return super().ft_command()


@mutant("every.no-state-left")
class LeftVariable(Greet):
    """Sets an environment variable for good."""

    @hookimpl
    def ft_command(self) -> Any:
        import os

        os.environ["GREETING"] = "hello"
        return super().ft_command()


@mutant("every.no-state-left")
class GoesOnPolling(Greet):
    """A thread that nobody stops."""

    @hookimpl
    def ft_command(self) -> Any:
        threading.Thread(target=time.sleep, args=(600,), daemon=True, name="poll").start()
        return super().ft_command()


@mutant("every.no-state-left")
def patches_a_library():
    """Replaces a function of torch for every model of the process."""
    from broken_model import like_reference

    class PatchesALibrary(Family):
        @hookimpl
        def ft_patch_model(self, model):
            from torch.nn import functional

            def faster(input, inplace=False):
                return input * input.exp().log1p().tanh()

            functional.mish = faster

    return like_reference(PatchesALibrary)


@mutant("every.no-state-left")
def registers_itself():
    """Registers its configuration with transformers, for every other reader of checkpoints."""
    from broken_model import like_reference

    class RegistersItself(Family):
        @hookimpl
        def ft_patch_model(self, model):
            from transformers import AutoConfig

            AutoConfig.register("ft-reference", type(model.config), exist_ok=True)

    return like_reference(RegistersItself)


@mutant("every.no-state-left")
class FasterForAll(Reference):
    """Lowers the precision of all matrix products of the process."""

    @hookimpl
    def ft_build_optimizer(self, run: Any) -> Any:
        import torch

        torch.set_float32_matmul_precision("high")
        return super().ft_build_optimizer(run=run)


_greeted = itertools.count()


@mutant("every.deterministic")
class CountsGreetings(Greet):
    """What one run does depends on how many there were before it."""

    @hookimpl
    def ft_command(self) -> Any:
        command = super().ft_command()
        command.epilog = f"This is number {next(_greeted)}."
        return command


@mutant("every.deterministic")
class FromTheClock(Greet):
    """Draws from a generator that no seed reaches."""

    @hookimpl
    def ft_command(self) -> Any:
        command = super().ft_command()
        command.epilog = f"Today's number is {random.SystemRandom().random()}."
        return command


@mutant("every.does-not-reseed")
class SeedsPython(Greet):
    """Seeds Python's generator so that its own draw is always the same."""

    @hookimpl
    def ft_command(self) -> Any:
        random.seed(0)
        return super().ft_command()


@mutant("every.does-not-reseed")
def seeds_torch():
    """Seeds torch's generator while it loads a model."""
    from broken_model import like_reference

    class SeedsTorch(Family):
        @hookimpl
        def ft_patch_model(self, model):
            import torch

            torch.manual_seed(0)

    return like_reference(SeedsTorch)


@mutant("every.quiet")
class Banner(Greet):
    """Prints a banner."""

    @hookimpl
    def ft_command(self) -> Any:
        print("\n".join(["*" * 20, *["* greetings *"] * 6, "*" * 20]))
        return super().ft_command()
