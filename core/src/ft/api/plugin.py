"""What every plugin is: an object of its kind's base class, with options and capabilities."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import pydantic

from ft.api import hookspecs
from ft.api.capability import Capabilities
from ft.api.proof import KnownFailure, Limit


def _absolute(path: Path, info: pydantic.ValidationInfo) -> Path:
    folders = ((info.context or {}).get("folder") or Path(), Path())
    tried = [folder.absolute() / path for folder in folders]
    return next((found for found in tried if found.exists()), tried[0])


RecipePath = Annotated[Path, pydantic.AfterValidator(_absolute)]
"""The type of an option that is a path: made absolute, so that a run resumes from any folder.

A relative one starts at the recipe's folder, or at the working folder where it exists there.
"""


class PluginOptions(pydantic.BaseModel):
    """The options of a plugin: strict, immutable, documented field by field.

    An option cannot be called as a key of the recipe itself: ``name`` in any part, ``source``
    and ``family`` in a model, the keys of a data entry in a data format.
    """

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, validate_default=True, protected_namespaces=()
    )


class Plugin:
    """Base of all kinds.

    The object behind an entry point is shared by everybody and never changes. A run works
    with a *bound* copy that has ``name`` and validated ``options``; that copy may keep state
    of the run in its attributes.
    """

    kind: ClassVar[str]
    """The kind's name, set by the kind's base class."""
    Options: ClassVar[type[pydantic.BaseModel]] = PluginOptions
    """The plugin's own options model; a nested class ``Options(Base.Options)`` replaces it."""

    needs: ClassVar[Set[str]] = frozenset()
    accepts: ClassVar[Set[str]] = frozenset()
    provides: ClassVar[Set[str]] = frozenset()
    conflicts: ClassVar[Set[str]] = frozenset()
    suggests: ClassVar[Mapping[str, Any]] = {}
    """Parts of a recipe that this plugin fills in where the recipe is silent: a name
    (``{"optimizer": "adamw"}``), a name with options (``{"optimizer": {"name": "adamw",
    "learning_rate": 2e-4}}``), options of whatever is chosen (without ``name``), or a list,
    which is added to the recipe's."""
    paper: ClassVar[str | None] = None
    """The method's paper, as ``arXiv:2106.09685``."""

    samples: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    """Sets of options that the conformance kit tries the plugin with; one at least. A plugin
    with an option that has no default gives it here. A value that is a function gets a folder
    of the check's own, writes into it what the option is to name, if it is not there yet, and
    returns the value."""
    limits: ClassVar[Mapping[str, Limit]] = {}
    """Capability words that the plugin has in part, or not yet."""
    known_failures: ClassVar[Sequence[KnownFailure]] = ()
    """Checks of the conformance kit that it is known to fail."""

    optional: ClassVar[bool] = False
    """Whether a run goes on without this plugin when one of its life-cycle hooks fails."""

    main_only: ClassVar[bool] = False
    """Whether its life-cycle hooks fire in the main process alone, of several."""

    name: str = ""
    distribution: str = ""
    options: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for attribute, value in vars(cls).items():
            if not attribute.startswith("ft_"):
                continue
            if not hasattr(hookspecs, attribute):
                raise TypeError(
                    f"{cls.__qualname__}.{attribute} is no hook of ft; the hooks are in "
                    "ft.api.hookspecs"
                )
            if not hasattr(value, "ft_impl"):
                raise TypeError(
                    f"{cls.__qualname__}.{attribute} lacks @hookimpl and would never be called"
                )

    def bind(
        self,
        name: str,
        options: Mapping[str, Any] | None = None,
        *,
        distribution: str = "",
        folder: Path | None = None,
    ) -> Self:
        """A copy of this plugin for one run, with its options validated.

        ``distribution`` is the installed distribution that it came from, for the lock;
        ``folder`` is where a relative :data:`RecipePath` starts.

        Raises :class:`pydantic.ValidationError` where an option is unknown or wrong.
        """
        bound = copy.copy(self)
        bound.name = name
        bound.distribution = distribution
        bound.options = type(self).Options.model_validate(
            dict(options or {}), context={"folder": folder}
        )
        return bound

    def capabilities(self) -> Capabilities:
        """What a bound plugin needs, accepts, provides and conflicts with.

        Override it where options change the answer, and start from ``super()``'s.
        """
        return Capabilities(
            needs=frozenset(self.needs),
            accepts=frozenset(self.accepts),
            provides=frozenset(self.provides),
            conflicts=frozenset(self.conflicts),
        )

    def __repr__(self) -> str:
        return f"<{self.kind}:{self.name or type(self).__name__}>"
