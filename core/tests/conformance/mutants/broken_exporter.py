"""Exporters that are broken in one way."""

from __future__ import annotations

import shutil
from pathlib import Path

from mutant import mutant

from ft.api import hookimpl
from ft.conformance.reference.exporter import Checkpoint


@mutant("exporter.writes-into-its-folder")
class NamesAnotherPath(Checkpoint):
    """Returns the path that it would have in the working folder."""

    @hookimpl
    def ft_export(self, run, folder):
        return Path(super().ft_export(run, folder).name)


@mutant("exporter.writes-into-its-folder", "exporter.leaves-the-run-as-it-is")
class WritesBesideTheResult(Checkpoint):
    """Has a place of its own in the run folder."""

    @hookimpl
    def ft_export(self, run, folder):
        return super().ft_export(run, run.folder / "merged")


@mutant("exporter.leaves-the-run-as-it-is")
class LeavesANote(Checkpoint):
    """Writes down in the run folder that it was there."""

    @hookimpl
    def ft_export(self, run, folder):
        (run.folder / "exported.txt").write_text(folder.name)
        return super().ft_export(run, folder)


@mutant("exporter.holds-what-was-trained")
class NotMerged(Checkpoint):
    """Writes the model with the adapter beside the weights, where nobody reads it."""

    @hookimpl
    def ft_export(self, run, folder):
        run.load_result().save_pretrained(folder)
        return folder


@mutant("exporter.holds-what-was-trained")
class AddsTheUpdateTwice(Checkpoint):
    """Adds the update to weights that have it already."""

    @hookimpl
    def ft_export(self, run, folder):
        base = {name: p.detach().clone() for name, p in run.load_base().named_parameters()}
        model = run.merge(run.load_result())
        for name, parameter in model.named_parameters():
            if name in base:
                parameter.data += parameter.data - base[name]
        model.save_pretrained(folder)
        return folder


@mutant("exporter.takes-another-architecture")
class ConfigurationOfTheBase(Checkpoint):
    """Takes the configuration from the base checkpoint."""

    @hookimpl
    def ft_export(self, run, folder):
        super().ft_export(run, folder)
        shutil.copy(run.model_folder / "config.json", folder)
        return folder
