"""What all PEFT adapters share: wrap, save, restore, merge, switch."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import model_validator

from ft.api import (
    Adapter,
    Capabilities,
    Field,
    InputError,
    PluginOptions,
    RecipePath,
    Run,
    hookimpl,
)
from ft_adapter_peft.targets import linear_layers

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn


class PeftAdapter(Adapter):
    """A PEFT method. A subclass adds options and builds the configuration from them."""

    needs = frozenset({"linear-layers"})
    accepts = frozenset({"quantized-base", "packing"})
    provides = frozenset({"frozen-base", "switchable-adapter", "mergeable"})

    class Options(PluginOptions):
        target: list[str] | str = Field(
            "all-linear",
            description="layers to adapt: all-linear, names or name endings, or one regular "
            "expression over whole names",
        )
        groups: list[str] = Field(
            default_factory=list,
            description="parts of a multimodal model whose linear layers all-linear covers "
            "(vision, projector, language); unset: language",
        )
        modules_to_save: list[str] = Field(
            default_factory=list, description="modules trained and saved whole, such as lm_head"
        )
        continue_from: RecipePath | None = Field(
            None,
            description="folder of a saved adapter of this kind to go on training; options that "
            "the recipe leaves open are those it was saved with",
        )

        saved_as: ClassVar[Mapping[str, str]] = {
            "target": "target_modules",
            "modules_to_save": "modules_to_save",
        }
        """Options that a saved configuration has as well, and their names there."""

        @model_validator(mode="after")
        def _as_saved(self) -> Self:
            file = self.continue_from and self.continue_from / "adapter_config.json"
            if not file or not file.is_file():
                return self
            saved = json.loads(file.read_text(encoding="utf-8"))
            found = {
                option: saved[field]
                for option, field in self.saved_as.items()
                if option not in self.model_fields_set and saved.get(field) is not None
            }
            given = self.model_dump(exclude_unset=True)
            return self.model_validate(given | found) if found else self

    def peft_config(self, run: Run, model: nn.Module) -> PeftConfig:
        """The PEFT configuration for this model."""
        raise NotImplementedError

    def targets(self, run: Run, model: nn.Module) -> list[str] | str:
        """The layers to adapt, as PEFT's ``target_modules``.

        Raises :class:`InputError` where nothing matches, with what there is.
        """
        wanted = self.options.target
        layers = linear_layers(model, run.family, self.options.groups)
        if wanted == "all-linear":
            if not layers:
                raise InputError("this model has no linear layer that an adapter can wrap")
            return layers
        if isinstance(wanted, str):
            found = any(re.fullmatch(wanted, name) for name, _ in model.named_modules())
            missing = [] if found else [wanted]
        else:
            names = [name for name, _ in model.named_modules()]
            missing = [w for w in wanted if not any(f".{name}".endswith(f".{w}") for name in names)]
        if missing and self.options.continue_from is not None:
            raise InputError(
                f"this adapter was made for another base model: it adapts {missing[0]!r}, and "
                "this one has no such layer",
                where=str(self.options.continue_from),
                hint="its adapter_config.json says which base it belongs to",
            )
        if missing:
            kinds = sorted({name.rpartition(".")[2] for name in layers})
            raise InputError(
                f"adapter.target {missing[0]!r} matches no layer of this model",
                hint=f"its linear layers are: {', '.join(kinds)}",
            )
        return wanted

    @hookimpl
    def ft_adapt_model(self, run: Run, model: nn.Module) -> nn.Module:
        from peft import get_peft_model

        if self.options.continue_from is not None:
            self._refuse_differences(run, model, self.options.continue_from)
            return self._load(model, self.options.continue_from, trainable=True)
        config = self.peft_config(run, model)
        if not hasattr(model, "prepare_inputs_for_generation"):
            config.task_type = None  # modelling code of its own, which PEFT need not generate with
        if run.new_tokens and hasattr(config, "trainable_token_indices"):
            config.trainable_token_indices = _rows_of_new_tokens(run, model, config)
        try:
            adapted = get_peft_model(model, config)
        except ValueError as error:
            raise InputError(f"PEFT cannot adapt this model: {error}") from error
        _widen(adapted)
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
            config["base_model_name_or_path"] = run.source
            file.write_text(json.dumps(config, indent=2), encoding="utf-8")
        return True

    @hookimpl
    def ft_restore_model(self, run: Run, folder: Path) -> nn.Module:
        return self._load(run.load_base(), folder, trainable=False)

    def compared(self) -> Mapping[str, str]:
        """Options that must agree with an adapter to go on from: what each is called there."""
        return {f"adapter.{option}": name for option, name in self.options.saved_as.items()}

    def _refuse_differences(self, run: Run, model: nn.Module, folder: Path) -> None:
        """Raise :class:`InputError` where the options are not those of the saved adapter."""
        from peft import PeftConfig

        _require_adapter(folder)
        saved, wanted = PeftConfig.from_pretrained(str(folder)), self.peft_config(run, model)
        differing = []
        if saved.peft_type != wanted.peft_type:
            differing.append(("the method", _plain(wanted.peft_type), _plain(saved.peft_type)))
        for option, name in self.compared().items():
            if not (hasattr(saved, name) and hasattr(wanted, name)):
                continue
            here, there = getattr(wanted, name), getattr(saved, name)
            if name == "target_modules" and here is not None and there is not None:
                same = _named(model, here) == _named(model, there)
            else:
                same = _plain(here) == _plain(there)
            if not same:
                differing.append((option, _plain(here), _plain(there)))
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

        _require_adapter(folder)
        _require_width(base, folder)
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
        if trainable and _widen(model):
            # once more: what was loaded lost its last bits
            set_peft_model_state_dict(model, load_peft_weights(str(folder), device="cpu"))
        odd = _unplaced(model, folder)
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
    def ft_add_adapter(self, run: Run, model: Any, name: str, folder: Path | None) -> bool:
        former = model.active_adapter
        with _same_frozen(model) as new:
            if folder is None:
                # not peft_config(): it would look for layers in a model that is wrapped already
                model.add_adapter(name, copy.deepcopy(model.peft_config[former]))
                model.set_adapter(name)  # PEFT says what of it trains once it is active
                _widen(model)
                new.update({id(p): p.requires_grad for p in model.parameters()})
                model.set_adapter(former)
            else:
                model.load_adapter(folder, name, is_trainable=False)
        return True

    @hookimpl
    def ft_use_adapter(self, run: Run, model: Any, name: str | None) -> Any:
        if "switchable-adapter" not in self.capabilities().provides:
            return None  # biases of the base have moved, say
        return _switched(model, name)

    def capabilities(self) -> Capabilities:
        said = super().capabilities()
        return said.also(provides={"starts-at-base"}) if self.starts_at_base() else said

    def starts_at_base(self) -> bool:
        """Whether the adapted model computes what the base does until the first step."""
        return self.options.continue_from is None

    @hookimpl
    def ft_initial_weights(self, run: Run, model: Any) -> AbstractContextManager[None] | None:
        if self.starts_at_base() and "switchable-adapter" in self.capabilities().provides:
            return _switched(model, None)
        return None


def _rows_of_new_tokens(run: Run, model: Any, config: Any) -> dict[str, list[int]] | None:
    """The rows of new tokens by the layer that has them; ``None`` where whole layers train."""
    names = {module: name for name, module in model.named_modules()}
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    saved = tuple(f".{name}" for name in config.modules_to_save or ())
    if saved and f".{names[embeddings]}".endswith(saved):
        return None
    ids = sorted(run.new_tokens.values())
    rows = {names[embeddings]: ids}
    if head is not None and head.weight is not embeddings.weight:
        if getattr(head, "bias", None) is not None:
            raise InputError(
                "PEFT cannot train new tokens in an output layer with a bias",
                hint="use adapter: full, or give both embedding layers as adapter.modules_to_save",
            )
        rows[names[head]] = ids
    return rows


def _widen(model: nn.Module) -> bool:
    """Have whole modules that train do so in float32, whatever the base; true where one was not.

    PEFT does that for what it adds, and copies ``modules_to_save`` in the type of the base, in
    whose 8 bits small updates vanish. What such a copy returns has that type again.
    """
    from peft.utils import ModulesToSaveWrapper

    widened = False
    for wrapper in model.modules():
        if not isinstance(wrapper, ModulesToSaveWrapper):
            continue
        for copied in wrapper.modules_to_save.values():
            weight = next(copied.parameters(), None)
            if weight is None or not weight.requires_grad or weight.dtype.itemsize >= 4:
                continue
            copied.register_forward_pre_hook(_in_type_of_weights)
            copied.register_forward_hook(partial(_in_type, weight.dtype))
            copied.float()
            widened = True
    return widened


def _in_type_of_weights(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    dtype = next(module.parameters()).dtype
    return tuple(_in_type(dtype, module, inputs, value) for value in inputs)


def _in_type(dtype: Any, module: nn.Module, inputs: tuple[Any, ...], value: Any) -> Any:
    """``value`` in another floating-point type, if it has one; a hook once ``dtype`` is given."""
    floats = hasattr(value, "is_floating_point") and value.is_floating_point()
    return value.to(dtype) if floats else value


def _require_adapter(folder: Path) -> None:
    if not (folder / "adapter_config.json").is_file():
        raise InputError("no PEFT adapter lies here", where=str(folder))


def _require_width(base: Any, folder: Path) -> None:
    """Raise :class:`InputError` where virtual tokens are of another width than the base's own.

    PEFT makes them as wide as the saved configuration says, and fails in the first forward.
    """
    from peft import PeftConfig

    config = PeftConfig.from_pretrained(str(folder))
    saved = getattr(config, "token_dim", None)
    # keys and values, which a prefix consists of, may be narrower
    if saved is None or _plain(config.peft_type) == "PREFIX_TUNING":
        return
    width = base.get_input_embeddings().weight.shape[1]
    if saved != width:
        raise InputError(
            f"this adapter was made for another base model (virtual tokens: adapter [{saved}], "
            f"base [{width}])",
            where=str(folder),
            hint="its adapter_config.json says which base it belongs to",
        )


def _named(model: nn.Module, target: str | list[str] | set[str]) -> set[str]:
    """The modules that PEFT's ``target_modules`` mean: an expression, or names and endings."""
    names = [name for name, _ in model.named_modules()]
    if isinstance(target, str):
        return {name for name in names if re.fullmatch(target, name)}
    endings = tuple(f".{one}" for one in target)
    return {name for name in names if f".{name}".endswith(endings)}


def _plain(value: Any) -> Any:
    """A value of a configuration, so that unset is like empty and order plays no part."""
    if isinstance(value, Enum):
        return value.value
    return sorted(value) if isinstance(value, list | set | tuple) else value or None


def _unplaced(model: Any, folder: Path) -> list[str]:
    """Weights that only the saved adapter has, or only the adapted model.

    PEFT passes over both, which leaves a model that is adapted in part or not at all.
    """
    from peft import get_peft_model_state_dict
    from peft.utils import load_peft_weights

    saved = load_peft_weights(str(folder), device="cpu").keys()
    # embeddings are saved where they were resized, which shows in their shapes
    own = get_peft_model_state_dict(model, save_embedding_layers=False).keys()
    return sorted(name for name in saved ^ own if "embed" not in name and "lm_head" not in name)


@contextmanager
def _switched(model: Any, name: str | None) -> Iterator[None]:
    former = model.active_adapter
    with _same_frozen(model):
        if name is None:
            with ExitStack() as stack:
                with _same_frozen(model):
                    stack.enter_context(model.disable_adapter())
                yield
            return
        try:
            with _same_frozen(model):
                model.set_adapter(name)
            yield
        finally:
            model.set_adapter(former)


@contextmanager
def _same_frozen(model: Any) -> Iterator[dict[int, bool]]:
    """Keep what trains and what is frozen; PEFT trains what is active and freezes the rest.

    Parameters that are added meanwhile are frozen, unless the dict says otherwise by id.
    """
    new: dict[int, bool] = {}
    before = {id(parameter): parameter.requires_grad for parameter in model.parameters()}
    try:
        yield new
    finally:
        for parameter in model.parameters():
            trains = before.get(id(parameter), new.get(id(parameter), False))
            parameter.requires_grad_(trains)
