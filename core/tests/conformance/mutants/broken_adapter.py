"""Adapters that are broken in one way."""

from contextlib import contextmanager, nullcontext

from mutant import mutant

from ft.api import InputError, hookimpl
from ft.conformance.reference.adapter import FILE, FIRST, LowRank, adapted, tensors, using

# -- training ----------------------------------------------------------------------------------


@mutant("adapter.loss-falls", "adapter.trains-in-float32", "adapter.trains-on-a-quantized-base")
class GradientReversed(LowRank):
    """Goes up: the sign of the gradient is turned around on its way."""

    def start_update(self, run, layer, name):
        super().start_update(run, layer, name)
        for parameter in layer.update[name].values():
            parameter.register_hook(lambda gradient: -gradient)


@mutant("adapter.loss-falls", "adapter.trains-in-float32", "adapter.trains-on-a-quantized-base")
class ScaledToNothing(LowRank):
    """Divides by the rank again and again, in training and in merging alike."""

    scale = 1e-4

    def add_update(self, layer, inputs, output):
        added = super().add_update(layer, inputs, output)
        return output + self.scale * (added - output)

    @hookimpl
    def ft_merge_model(self, run, model):
        for layer in adapted(model):
            layer.update[FIRST]["up"].data.mul_(self.scale)
        return super().ft_merge_model(run=run, model=model)


@mutant("adapter.trains-what-it-declares")
class GateUnused(LowRank):
    """Declares a gate for each update that no forward pass looks at."""

    def start_update(self, run, layer, name):
        import torch

        super().start_update(run, layer, name)
        layer.update[name]["gate"] = torch.nn.Parameter(torch.ones(1))


@mutant(
    "adapter.base-stays",
    "adapter.trains-what-it-declares",
    "adapter.trains-on-a-quantized-base",
)
class PaddingCleared(LowRank):
    """Sets the row of the padding token to zero after each step."""

    @hookimpl
    def ft_step_taken(self, run, model):
        model.get_input_embeddings().weight.data[run.pad_id].zero_()


@mutant(
    "adapter.base-stays",
    "adapter.trains-in-float32",
    "adapter.trains-on-a-quantized-base",
)
class NormTrains(LowRank):
    """Trains, saves and restores the last norm as well, and still says that the base is frozen."""

    provides = frozenset({"frozen-base", "mergeable"})

    @hookimpl
    def ft_adapt_model(self, run, model):
        model = super().ft_adapt_model(run=run, model=model)
        model.norm.requires_grad_(True)
        return model

    @hookimpl
    def ft_save_model(self, run, model, folder):
        import torch

        super().ft_save_model(run=run, model=model, folder=folder)
        if run.process.is_main:
            torch.save(model.norm.state_dict(), folder / "norm.pt")
        return True

    @hookimpl
    def ft_restore_model(self, run, folder):
        import torch

        model = super().ft_restore_model(run=run, folder=folder)
        model.norm.load_state_dict(torch.load(folder / "norm.pt"))
        return model

    @hookimpl
    def ft_use_adapter(self, run, model, name):
        return using(model, name) if name else None

    @hookimpl
    def ft_initial_weights(self):
        return None


@mutant(
    "adapter.starts-at-base",
    "adapter.trains-on-a-quantized-base",
    "adapter.brings-initial-weights-back",
)
class StartsAway(LowRank):
    """Draws both factors at random."""

    def start_update(self, run, layer, name):
        import torch

        super().start_update(run, layer, name)
        generator = torch.Generator().manual_seed(run.seed)
        up = layer.update[name]["up"]
        up.data.copy_(torch.randn(up.shape, generator=generator) / 10)


@mutant("adapter.trains-in-float32")
class TypeOfTheBase(LowRank):
    """Makes the update in the type of the weight beside it, if that can train."""

    def start_update(self, run, layer, name):
        super().start_update(run, layer, name)
        if layer.weight.is_floating_point():
            layer.update[name].to(layer.weight.dtype)


@mutant("adapter.packs")
class CountsPositions(LowRank):
    """Weighs the update by where a token stands in the sequence, whatever document it is of."""

    provides = LowRank.provides - {"mergeable"}

    def add_update(self, layer, inputs, output):
        import torch

        places = torch.arange(output.shape[1], device=output.device)[:, None] / 16
        added = super().add_update(layer, inputs, output) - output
        return output + added * (1 + places).to(output.dtype)

    @hookimpl
    def ft_merge_model(self):
        raise InputError("this update depends on positions and cannot be merged")


@mutant("adapter.trains-on-a-quantized-base")
class TakesTheWeight(LowRank):
    """Adds the update to the weight and multiplies itself: of a quantized one without scales."""

    def add_update(self, layer, inputs, output):
        import torch

        if layer.update_in_use is None:
            return output
        update = layer.update[layer.update_in_use]
        weight = layer.weight + update["up"] @ update["down"]
        return torch.nn.functional.linear(inputs[0], weight.to(inputs[0].dtype))


# -- saving and coming back --------------------------------------------------------------------


@mutant("adapter.saves-and-restores", "adapter.trains-on-a-quantized-base", "adapter.holds-another")
class SaveForgetsALayer(LowRank):
    """Saves the attention alone, and asks for no more when it reads."""

    @hookimpl
    def ft_save_model(self, run, model, folder):
        from safetensors.torch import load_file, save_file

        super().ft_save_model(run=run, model=model, folder=folder)
        if run.process.is_main:
            saved = load_file(folder / FILE)
            save_file({n: t for n, t in saved.items() if "attention" in n}, folder / FILE)
        return True

    def read(self, run, model, name, folder):
        from safetensors.torch import load_file

        own = tensors(model, name)
        for key, tensor in load_file(folder / FILE).items():
            if own[key].shape != tensor.shape:
                raise InputError("this update was made for another base model")
            own[key].copy_(tensor)


@mutant(
    "adapter.saves-and-restores",
    "adapter.trains-on-a-quantized-base",
    "adapter.refuses-another-base",
)
class FileIgnored(LowRank):
    """Restores by adapting the base anew, and does not read the file."""

    @hookimpl
    def ft_restore_model(self, run, folder):
        return self.ft_adapt_model(run=run, model=run.load_base())


class HalfRandom(LowRank):
    """Trains one factor of two; the other is random and stays."""

    def start_update(self, run, layer, name):
        super().start_update(run, layer, name)
        layer.update[name]["down"].requires_grad_(False)


@mutant("adapter.saves-and-restores")
class DrawnAgain(HalfRandom):
    """Leaves the random factor out of the file, since the run's seed gives it again."""

    @hookimpl
    def ft_save_model(self, run, model, folder):
        from safetensors.torch import load_file, save_file

        super().ft_save_model(run=run, model=model, folder=folder)
        if run.process.is_main:
            saved = load_file(folder / FILE)
            save_file({n: t for n, t in saved.items() if n.endswith(".up")}, folder / FILE)
        return True

    def read(self, run, model, name, folder):
        from safetensors.torch import load_file

        own = tensors(model, name)
        for key, tensor in load_file(folder / FILE).items():
            if own[key].shape != tensor.shape:
                raise InputError("this update was made for another base model")
            own[key].copy_(tensor)


@mutant("adapter.saves-in-the-main-process")
class EveryProcessWrites(LowRank):
    """Saves wherever it is asked to."""

    @hookimpl
    def ft_save_model(self, run, model, folder):
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors(model, FIRST), folder / FILE)
        return True


@mutant("adapter.refuses-another-base")
class ShapesSkipped(LowRank):
    """Passes over what does not fit, as ``strict=False`` would."""

    def read(self, run, model, name, folder):
        from safetensors.torch import load_file

        saved = load_file(folder / FILE)
        for key, tensor in tensors(model, name).items():
            if key in saved and saved[key].shape == tensor.shape:
                tensor.copy_(saved[key])


@mutant("adapter.refuses-another-base")
class RefusesWithValueError(LowRank):
    """Refuses another base with an error that ft shows as a crash."""

    def read(self, run, model, name, folder):
        try:
            super().read(run, model, name, folder)
        except InputError as error:
            raise ValueError(str(error)) from error


@mutant("adapter.resumes")
class CheckpointForgets(LowRank):
    """Leaves a tensor out of its checkpoints, and does not miss it there."""

    @hookimpl
    def ft_checkpoint_state(self, run):
        return {n: p.detach() for n, p in run.trainable() if "layers.0.up_proj" not in n}

    @hookimpl
    def ft_restore_state(self, run, tensors):
        own = dict(run.trainable())
        for name, tensor in tensors.items():
            own[name].data.copy_(tensor)
        return True


@mutant("adapter.adapts-alike")
class OrderOfCalls(HalfRandom):
    """Draws the random factor from the global generator: it depends on what was drawn before."""

    def start_update(self, run, layer, name):
        import torch

        super().start_update(run, layer, name)
        down = layer.update[name]["down"]
        down.data.copy_(torch.randn(down.shape) / down.shape[1] ** 0.5)


@mutant("adapter.adapts-alike")
class CopyIsTheModel(LowRank):
    """Gives the adapted model again in place of a second one, whatever base it is handed."""

    model = None

    @hookimpl
    def ft_adapt_model(self, run, model):
        if self.model is None:
            self.model = super().ft_adapt_model(run=run, model=model)
        return self.model

    @hookimpl
    def ft_restore_model(self, run, folder):
        model = super().ft_adapt_model(run=run, model=run.load_base())
        self.read(run, model, FIRST, folder)
        return model


# -- merging -----------------------------------------------------------------------------------


@mutant("adapter.merges", "adapter.merges-into-full-precision")
class MergedTwice(LowRank):
    """Merges with twice the scale of training."""

    @hookimpl
    def ft_merge_model(self, run, model):
        for layer in adapted(model):
            layer.update[FIRST]["up"].data.mul_(2)
        return super().ft_merge_model(run=run, model=model)


@mutant("adapter.merges", "adapter.merges-into-full-precision")
class MergeForgetsALayer(LowRank):
    """Leaves the last layer out when it merges."""

    @hookimpl
    def ft_merge_model(self, run, model):
        adapted(model)[-1].update[FIRST]["up"].data.zero_()
        return super().ft_merge_model(run=run, model=model)


@mutant("adapter.merges", "adapter.merges-into-full-precision")
class MergeLeavesTheUpdate(LowRank):
    """Merges, and leaves the update beside the weight, switched off."""

    @hookimpl
    def ft_merge_model(self, run, model):
        updates = {layer: layer.update for layer in adapted(model)}
        model = super().ft_merge_model(run=run, model=model)
        for layer, update in updates.items():
            layer.update = update
        return model


@mutant("adapter.merges-into-full-precision")
class MergesIntoIntegers(LowRank):
    """Adds to whatever the weight is, which torch refuses for integers."""

    @hookimpl
    def ft_merge_model(self, run, model):
        for layer in adapted(model):
            update = layer.update[FIRST]
            layer.weight.data += update["up"].detach() @ update["down"].detach()
            layer.update_in_use = None
            del layer.update
        return model


@mutant("adapter.merges")
class ClaimsToMerge(LowRank):
    """Says that it is mergeable, and refuses."""

    @hookimpl
    def ft_merge_model(self):
        raise InputError("this update cannot be merged yet")


@mutant("adapter.merges")
class MergeNotWritten(LowRank):
    """Does not say that it is mergeable, and breaks off when it is asked to."""

    provides = LowRank.provides - {"mergeable"}

    @hookimpl
    def ft_merge_model(self):
        raise NotImplementedError


@mutant("adapter.merges")
class UnmergedSilently(LowRank):
    """Does not say that it is mergeable, and gives back the unmerged model as if it were."""

    provides = LowRank.provides - {"mergeable"}

    @hookimpl
    def ft_merge_model(self, model):
        return model


# -- switching ---------------------------------------------------------------------------------


@mutant("adapter.switches-off")
class LastLayerStaysOn(LowRank):
    """Switches off all layers but the last."""

    @hookimpl
    def ft_use_adapter(self, run, model, name):
        return using(model, name) if name else self.nearly_off(model)

    @contextmanager
    def nearly_off(self, model):
        with using(model, None):
            adapted(model)[-1].update_in_use = FIRST
            yield


@mutant("adapter.switches-off")
class FreezesWhileOff(LowRank):
    """Freezes the update while it is off."""

    @hookimpl
    def ft_use_adapter(self, run, model, name):
        return using(model, name) if name else self.frozen(model)

    @contextmanager
    def frozen(self, model):
        parts = [p for p in model.parameters() if p.requires_grad]
        with using(model, None):
            for parameter in parts:
                parameter.requires_grad_(False)
            yield
            for parameter in parts:
                parameter.requires_grad_(True)


@mutant("adapter.switches-off")
class StaysOffAfterAnError(LowRank):
    """Switches on again only where nothing went wrong."""

    @hookimpl
    def ft_use_adapter(self, run, model, name):
        return using(model, name) if name else self.off(model)

    @contextmanager
    def off(self, model):
        for layer in adapted(model):
            layer.update_in_use = None
        yield
        for layer in adapted(model):
            layer.update_in_use = FIRST


@mutant("adapter.switches-off")
class SwitchesNothing(LowRank):
    """Is not switchable, and lets itself be switched without doing anything."""

    provides = LowRank.provides - {"switchable-adapter"}

    @hookimpl
    def ft_use_adapter(self, run, model, name):
        return using(model, name) if name else nullcontext()


@mutant("adapter.brings-initial-weights-back")
class BaseForTheStart(LowRank):
    """Starts away from the base, as it says, and gives the base for where it started."""

    provides = LowRank.provides - {"starts-at-base"}

    def start_update(self, run, layer, name):
        import torch

        super().start_update(run, layer, name)
        generator = torch.Generator().manual_seed(run.seed)
        up = layer.update[name]["up"]
        up.data.copy_(torch.randn(up.shape, generator=generator) / 10)


@mutant("adapter.holds-another")
class SecondTakesItsPlace(LowRank):
    """Puts a second update in the place of the first."""

    @hookimpl
    def ft_add_adapter(self, run, model, name, folder):
        super().ft_add_adapter(run=run, model=model, name=name, folder=folder)
        for layer in adapted(model):
            layer.update[FIRST].load_state_dict(layer.update[name].state_dict())
        return True


@mutant("adapter.holds-another")
class HoldsOne(LowRank):
    """Says that it holds several, and does not."""

    @hookimpl
    def ft_add_adapter(self, run, model, name, folder):
        return None


@mutant("adapter.holds-another")
class SecondIsUsed(LowRank):
    """Uses the second update from the moment that it is there."""

    @hookimpl
    def ft_add_adapter(self, run, model, name, folder):
        super().ft_add_adapter(run=run, model=model, name=name, folder=folder)
        for layer in adapted(model):
            layer.update_in_use = name
        return True


@mutant("adapter.holds-another")
class SavedOneTrains(LowRank):
    """Trains a second update that comes from a folder as well."""

    @hookimpl
    def ft_add_adapter(self, run, model, name, folder):
        super().ft_add_adapter(run=run, model=model, name=name, folder=folder)
        for layer in adapted(model):
            layer.update[name].requires_grad_(True)
        return True


# -- what it cannot adapt ----------------------------------------------------------------------


@mutant("adapter.says-what-it-needs")
class BreaksOnUnknownLayers(LowRank):
    """Fails with an error of its own where there is nothing to adapt."""

    @hookimpl
    def ft_adapt_model(self, run, model):
        try:
            return super().ft_adapt_model(run=run, model=model)
        except InputError as error:
            raise ValueError("target modules not found") from error


@mutant("adapter.says-what-it-needs")
class NeedsUnsaid(LowRank):
    """Needs linear layers and does not say so."""

    needs = frozenset()
