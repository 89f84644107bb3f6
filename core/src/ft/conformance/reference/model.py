"""The reference model family: it reads and builds its models itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ft.api import ModelFamily, Run, hookimpl


class Family(ModelFamily):
    """The kit's own architecture, which no library registers."""

    @hookimpl
    def ft_load_config(self, folder: Path) -> Any:
        from ft.conformance.reference.modeling import ReferenceConfig

        return ReferenceConfig.from_pretrained(folder)

    @hookimpl
    def ft_load_model(self, run: Run, folder: Path, config: Any, quantization: Any) -> Any:
        from ft.conformance.reference.modeling import ReferenceModel

        model: Any
        if run.random_weights:
            model = ReferenceModel(config)
            return model.to(run.device, run.weight_dtype)
        settings = {} if quantization is None else {"quantization_config": quantization}
        model = ReferenceModel.from_pretrained(
            folder, config=config, dtype=run.weight_dtype, **settings
        )
        return model if quantization is not None else model.to(run.device)

    def tiny_config(self, model_type: str) -> Any:
        from ft.conformance.reference.modeling import ReferenceConfig

        return ReferenceConfig()


family = Family(
    title="Reference",
    vendor="ft",
    model_types=("ft-reference",),
    templates="reference",
    groups={"embeddings": "embed_tokens", "layers": "layers"},
    accepts=("packing",),
)
