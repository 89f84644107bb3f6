"""What all PEFT adapters share: wrap, save, restore, merge, switch."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ft.api import Adapter, Capabilities, InputError, Run, hookimpl
from ft_adapter_peft.options import LayerOptions, SavedOptions
from ft_adapter_peft.saved import (
    ask_leave,
    named,
    note_width,
    plain,
    require_adapter,
    require_width,
    unplaced,
)
from ft_adapter_peft.switching import same_frozen, switched
from ft_adapter_peft.targets import find_targets
from ft_adapter_peft.widening import widen

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn
    from transformers import PretrainedConfig


class PeftAdapter(Adapter):
    """A PEFT method: a subclass names it, and adds options with their names in PEFT."""

    method: ClassVar[str]
    """PEFT's name of the method, such as ``LOHA``."""
    rank_below_width: ClassVar[bool] = True
    """Whether an option ``rank`` is one of a matrix, which cannot exceed the model's width."""

    shapes_tell_base: ClassVar[bool] = True
    """Whether what is saved has shapes that fit one base only."""

    needs = frozenset({"linear-layers"})
    accepts = frozenset({"quantized-base", "packing"})
    provides = frozenset({"frozen-base", "switchable-adapter", "several-adapters", "mergeable"})

    Options: ClassVar[type[SavedOptions]] = LayerOptions

    def peft_config(self, run: Run, model: nn.Module) -> PeftConfig:
        """The PEFT configuration for this model."""
        from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftType

        made = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType[self.method]]
        return made(task_type="CAUSAL_LM", **self.settings(run, model))

    def settings(self, run: Run, model: nn.Module) -> dict[str, Any]:
        """The arguments of that configuration: the options under PEFT's names."""
        options = self.options
        found = {name: getattr(options, option) for option, name in options.saved_as.items()}
        if "target_modules" in found:
            found["target_modules"] = self.targets(run, model)
        if "modules_to_save" in found:
            found["modules_to_save"] = options.modules_to_save or None
        return found

    def targets(self, run: Run, model: nn.Module) -> list[str] | str:
        """The layers to adapt, as PEFT's ``target_modules``.

        Raises :class:`InputError` where nothing matches, with what there is.
        """
        return find_targets(model, run.family, self.options)

    @hookimpl
    def ft_patch_config(self, config: PretrainedConfig) -> None:
        # the one size that is known before the data is prepared and the weights are loaded
        width = getattr(config.get_text_config(), "hidden_size", None)
        rank = getattr(self.options, "rank", None)
        if self.rank_below_width and rank and width and rank > width:
            raise InputError(
                f"adapter.rank is {rank}, and the layers of this model are {width} wide: no update "
                "of theirs has such a rank",
                hint="8 to 64 is usual",
            )

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        from peft import get_peft_model

        if self.options.continue_from is not None:
            self._refuse_differences(run, model, self.options.continue_from)
            ask_leave(run, self.options.continue_from)
            return self._load(model, self.options.continue_from, trainable=True)
        config: Any = self.peft_config(run, model)
        if not hasattr(model, "prepare_inputs_for_generation"):
            config.task_type = None  # modelling code of its own, which PEFT need not generate with
        if run.new_tokens and hasattr(config, "trainable_token_indices"):
            ids = sorted(run.new_tokens.values())
            config.trainable_token_indices = rows_of_tokens(model, ids, config.modules_to_save)
        try:
            adapted = get_peft_model(model, config)
        except (NotImplementedError, TypeError, ValueError) as error:
            raise InputError(f"PEFT cannot adapt this model: {error}") from error
        widen(adapted)
        return adapted

    @hookimpl
    def ft_save_model(self, run: Run, model: Any, folder: Path) -> bool:
        if not run.process.is_main:
            return True
        # whole embeddings beside the rows that train would be most of the file
        model.save_pretrained(folder, save_embedding_layers=False if run.new_tokens else "auto")
        # afterwards: PEFT looks for the base under this name, on the network if it must
        for file in folder.rglob("adapter_config.json"):
            config = json.loads(file.read_text(encoding="utf-8"))
            # with adapters merged into it the base is no longer what that name leads to
            merged = (folder.name for folder in run.family.options.merged)
            config["base_model_name_or_path"] = " + ".join((run.source, *merged))
            file.write_text(json.dumps(config, indent=2), encoding="utf-8")
        if not self.shapes_tell_base:
            note_width(model, folder)
        return True

    @hookimpl
    def ft_restore_model(self, run: Run, folder: Path) -> nn.Module:
        ask_leave(run, folder)
        return self._load(run.load_base(), folder, trainable=False)

    def compared(self) -> Mapping[str, str]:
        """Options that must agree with an adapter to go on from: what each is called there."""
        return {f"adapter.{option}": name for option, name in self.options.saved_as.items()}

    def _refuse_differences(self, run: Run, model: nn.Module, folder: Path) -> None:
        """Raise :class:`InputError` where the options are not those of the saved adapter."""
        from peft import PeftConfig

        require_adapter(folder)
        saved, wanted = PeftConfig.from_pretrained(str(folder)), self.peft_config(run, model)
        differing = []
        if saved.peft_type != wanted.peft_type:
            differing.append(("the method", plain(wanted.peft_type), plain(saved.peft_type)))
        for option, name in self.compared().items():
            if not (hasattr(saved, name) and hasattr(wanted, name)):
                continue
            here, there = getattr(wanted, name), getattr(saved, name)
            if name == "target_modules" and here is not None and there is not None:
                same = named(model, here) == named(model, there)
            else:
                same = plain(here) == plain(there)
            if not same:
                differing.append((option, plain(here), plain(there)))
        if differing:
            option, here, there = differing[0]
            raise InputError(
                f"{option} is {here} here and {there} in the adapter to go on from",
                where=str(folder),
                hint="leave it out of the recipe: what was saved then holds",
            )

    def _load(self, base: nn.Module, folder: Path, *, trainable: bool) -> nn.Module:
        from peft import PeftModel, set_peft_model_state_dict
        from peft.utils import load_peft_weights

        require_adapter(folder)
        require_width(base, folder)
        try:
            model = PeftModel.from_pretrained(base, folder, is_trainable=trainable)
        except (RuntimeError, ValueError) as error:
            shapes = re.findall(
                r"size mismatch for (\S+): .*?shape torch\.Size\((\[.*?\])\).*?"
                r"torch\.Size\((\[.*?\])\)",
                str(error),
                flags=re.DOTALL,
            )
            detail = (
                "; ".join(f"{name}: adapter {a}, base {b}" for name, a, b in shapes[:3])
                or str(error).splitlines()[0]
            )
            raise InputError(
                f"this adapter was made for another base model ({detail})",
                where=str(folder),
                hint="its adapter_config.json says which base it belongs to",
            ) from error
        if trainable and widen(model):
            # once more: what was loaded lost its last bits
            set_peft_model_state_dict(model, load_peft_weights(str(folder), device="cpu"))
        odd = unplaced(model, folder)
        if odd:
            raise InputError(
                f"this adapter was made for another base model ({odd[0]}"
                + (f" and {len(odd) - 1} more do" if len(odd) > 1 else " does")
                + " not occur in both)",
                where=str(folder),
                hint="its adapter_config.json says which base it belongs to",
            )
        return model

    @hookimpl
    def ft_merge_model(self, model: Any) -> nn.Module:
        if not hasattr(model, "merge_and_unload"):
            raise InputError(f"adapter {self.name} cannot be merged into its base")
        if not all(p.is_floating_point() for p in model.parameters()):
            raise InputError(
                f"adapter {self.name} cannot be merged into quantized weights: what is added would "
                "be rounded with them",
                hint="`ft export` merges into the base in full precision",
            )
        try:
            return model.merge_and_unload(safe_merge=True)
        except (NotImplementedError, AttributeError) as error:
            raise InputError(
                f"adapter {self.name} cannot be merged into its base: {error}"
            ) from error

    @hookimpl
    def ft_add_adapter(self, run: Run, model: Any, name: str, folder: Path | None) -> bool | None:
        former = model.active_adapter
        with same_frozen(model) as new:
            if folder is None:
                # not peft_config(): it would look for layers in a model that is wrapped already
                model.add_adapter(name, copy.deepcopy(model.peft_config[former]))
                model.set_adapter(name)  # PEFT says what of it trains once it is active
                widen(model)
                new.update({id(p): p.requires_grad for p in model.parameters()})
                model.set_adapter(former)
            else:
                ask_leave(run, folder)
                model.load_adapter(folder, name, is_trainable=False)
        return True

    @hookimpl
    def ft_use_adapter(self, run: Run, model: Any, name: str | None) -> Any:
        if "switchable-adapter" not in self.capabilities().provides:
            return None  # biases of the base have moved, say
        return switched(model, name)

    @hookimpl
    def ft_combine_adapters(
        self,
        run: Run,
        model: Any,
        weights: Sequence[float],
        method: str,
        density: float | None,
    ) -> bool | None:
        import torch

        names = list(model.peft_config)
        try:
            with torch.random.fork_rng():  # some methods prune at random
                torch.manual_seed(run.seed)
                model.add_weighted_adapter(
                    names, list(weights), "combined", combination_type=method, density=density
                )
        except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
            raise InputError(
                f"PEFT cannot combine adapters of method {self.method} so: {error}",
                hint="methods: cat, linear, svd, ties, ties_svd, dare_linear, dare_ties, "
                "dare_linear_svd, dare_ties_svd, magnitude_prune, magnitude_prune_svd; the ones "
                "that prune need a density, and those without svd but cat equal ranks",
            ) from error
        model.set_adapter("combined")
        return True

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return said.also(provides={"starts-at-base"}) if self.starts_at_base() else said

    def starts_at_base(self) -> bool:
        """Whether the adapted model computes what the base does until the first step."""
        return self.options.continue_from is None

    @hookimpl
    def ft_initial_weights(self, run: Run, model: Any) -> AbstractContextManager[None] | None:
        if self.starts_at_base() and "switchable-adapter" in self.capabilities().provides:
            return switched(model, None)
        return None


def rows_of_tokens(
    model: Any, ids: Sequence[int], saved: Sequence[str] | None = None
) -> dict[str, list[int]] | None:
    """Tokens as rows by the layer that has them; ``None`` where ``saved`` trains whole layers."""
    names = {module: name for name, module in model.named_modules()}
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    if f".{names[embeddings]}".endswith(tuple(f".{name}" for name in saved or ())):
        return None
    rows = {names[embeddings]: list(ids)}
    if head is not None and head.weight is not embeddings.weight:
        if getattr(head, "bias", None) is not None:
            raise InputError(
                "PEFT cannot train single tokens in an output layer with a bias",
                hint="use adapter: full, or give both embedding layers as adapter.modules_to_save",
            )
        rows[names[head]] = list(ids)
    return rows
