"""Which plugins a checkpoint, a data file or a recipe needs, by names and match keys.

Nothing is loaded, so what plugins suggest to one another (an optimizer, say) is not known here:
``ft check`` asks for that once the rest is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ft.data.files import data_files
from ft.data.read import first_row
from ft.kinds import KINDS
from ft.recipe.infer import ANY, quantization_of, read_config
from ft.recipe.keys import DATA, EVAL_DATA, MODEL, PART_KINDS
from ft.recipe.read import Recipe, read_recipe
from ft.recipe.sources import FILE_SCHEME, GROUP, split_source
from ft.registry.search import Catalogue, Known

CONFIG = "config.json"
RECIPES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Need:
    """Something that takes a plugin: ``what`` it is, the ``place`` that says so, and who has it.

    Several of ``plugins`` would do equally well; none is known where it is empty.
    """

    what: str
    place: str
    plugins: tuple[Known, ...]

    @property
    def met(self) -> bool:
        """Whether a plugin that does it is installed."""
        return any(known.installed for known in self.plugins)


def suggest(path: Path, catalogue: Catalogue) -> list[Need]:
    """What the checkpoint, the data or the recipe at ``path`` needs.

    A folder with ``config.json`` is a checkpoint, a ``.yaml`` file a recipe, anything else data.
    Raises :class:`ft.errors.InputError` where it cannot be read.
    """
    if path.suffix.lower() in RECIPES:
        return list(dict.fromkeys(_of_recipe(read_recipe(path), catalogue)))
    if (path / CONFIG).is_file():
        return list(_of_checkpoint(path, (), catalogue))
    return [_of_data(path, {}, catalogue)]


def missing(needs: Sequence[Need]) -> list[str]:
    """The distributions to install: those of needs that nothing installed meets."""
    # of several that would do, the reader chooses
    wanted = [n.plugins[0].record for n in needs if not n.met and len(n.plugins) == 1]
    return list(dict.fromkeys(record.distribution for record in wanted))


def _of_checkpoint(folder: Path, names: Sequence[str], catalogue: Catalogue) -> Iterator[Need]:
    config = read_config(folder, str(folder))
    yield _of_family(config, str(folder / CONFIG), names, catalogue)
    if method := quantization_of(config):
        found = tuple(catalogue.match("quantization", method))
        yield Need(f"quantization {method}", str(folder / CONFIG), found)


def _of_family(
    config: Mapping[str, Any], place: str, names: Sequence[str], catalogue: Catalogue
) -> Need:
    for name in filter(None, (*names, str(config.get("_name_or_path", "")))):
        if found := catalogue.match("checkpoint", name):
            return Need(f"checkpoint {name}", place, tuple(found))
    model_type = str(config.get("model_type", ANY))
    found = catalogue.match("model_type", model_type) or catalogue.match("model_type", ANY)
    return Need(f"model_type {model_type}", place, tuple(found))


def _of_data(path: Path, options: Mapping[str, Any], catalogue: Catalogue) -> Need:
    chosen = {key: options.get(key) for key in ("split", "subset")}
    columns = list(first_row(path, **chosen))
    place = str(data_files(path, **chosen)[0])
    found = tuple(catalogue.match("columns", columns))
    return Need(f"columns {', '.join(columns)}", place, found)


def _of_recipe(recipe: Recipe, catalogue: Catalogue) -> Iterator[Need]:
    for key, node in recipe.root.value.items():
        if node.value is None:
            continue
        if key == MODEL:
            written = node.value["source"]
            scheme, rest = split_source(written.value, recipe.folder, written.place)
            yield _of_source(scheme, written.place, catalogue)
            if family := node.value.get("family"):
                yield _named("model", family.value, family.place, catalogue)
            elif scheme == FILE_SCHEME:
                yield from _of_checkpoint(Path(rest), (written.value,), catalogue)
            elif found := catalogue.match("checkpoint", written.value):
                yield Need(f"checkpoint {written.value}", written.place, tuple(found))
        elif key in (DATA, EVAL_DATA):
            for entry in node.value:
                options = entry.plain()
                place = entry.value["path"].place
                scheme, rest = split_source(options["path"], recipe.folder, place)
                yield _of_source(scheme, place, catalogue)
                if options.get("format"):
                    yield _named(KINDS["dataset"].name, options["format"], place, catalogue)
                elif scheme == FILE_SCHEME:
                    yield _of_data(Path(rest), options, catalogue)
        elif key in PART_KINDS:
            entries = node.value if isinstance(node.value, list) else [node]
            for entry in entries:
                if name := entry.value.get("name"):
                    yield _named(PART_KINDS[key].name, name.value, name.place, catalogue)


def _named(kind: str, name: str, place: str, catalogue: Catalogue) -> Need:
    return Need(f"{kind}:{name}", place, tuple(catalogue.named(kind, name)))


def _of_source(scheme: str, place: str, catalogue: Catalogue) -> Need:
    return Need(f"source {scheme}:", place, tuple(catalogue.match(GROUP, scheme)))
