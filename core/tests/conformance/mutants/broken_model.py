"""Model families that are broken in one way."""

from mutant import mutant

from ft.api import Limit, hookimpl
from ft.conformance.reference.model import Family, MediaFamily


def like_reference(family: type[Family], **data) -> Family:
    """An object of a broken class with the data of the reference family, and ``data``."""
    from ft.conformance.reference.model import family as reference
    from ft.conformance.reference.model import media_family

    made = family.__new__(family)
    vars(made).update(vars(media_family if issubclass(family, MediaFamily) else reference))
    vars(made).update(data)
    return made


# -- what it is ------------------------------------------------------------------------------


@mutant("model.builds")
def another_vocabulary():
    """A tokenizer that grew by control tokens, and embeddings that did not."""

    class AnotherVocabulary(Family):
        def tiny_processor(self, config, tokenizer):
            tokenizer.add_tokens([f"<|added-{n}|>" for n in range(300)], special_tokens=True)
            return tokenizer

    return like_reference(AnotherVocabulary)


@mutant("model.builds")
def large():
    """A test model as wide as a published one."""

    class Large(Family):
        def tiny_config(self, model_type):
            from ft.conformance.reference.modeling import ReferenceConfig

            return ReferenceConfig(intermediate_size=4096)

    return like_reference(Large)


@mutant("model.linear-layers")
def weights_by_hand():
    """Matrices in a module of its own, which no adapter knows."""

    class WeightsByHand(Family):
        @hookimpl
        def ft_patch_model(self, model):
            from torch import nn

            class Projection(nn.Module):
                def __init__(self, linear):
                    super().__init__()
                    self.weight = linear.weight

                def forward(self, hidden):
                    return hidden @ self.weight.T

            for layer in model.layers:
                for owner in (layer, layer.attention):
                    for name, module in list(owner.named_children()):
                        if isinstance(module, nn.Linear):
                            setattr(owner, name, Projection(module))

    return like_reference(WeightsByHand)


@mutant("model.linear-layers")
def language_elsewhere():
    """Calls a part ``language`` that is not where the layers are."""
    groups = {"language": "embed_tokens", "layers": "layers", "norm": "norm"}
    return like_reference(type("LanguageElsewhere", (Family,), {}), groups=groups)


@mutant("model.decoder-layers")
def odd_layer_out():
    """A last layer of another class, which computes the same."""

    class OddLayerOut(Family):
        @hookimpl
        def ft_patch_model(self, model):
            layer = model.layers[-1]
            layer.__class__ = type("LastLayer", (type(layer),), {})

    return like_reference(OddLayerOut)


@mutant("model.fused-experts")
def no_such_experts():
    """Declares the name of expert weights from an older release."""
    return like_reference(
        type("NoSuchExperts", (Family,), {}), fused_experts=("mlp.experts.gate_up_proj",)
    )


@mutant("model.fused-experts")
def undeclared_experts():
    """Has experts in one tensor, and tells nobody."""

    class UndeclaredExperts(Family):
        def classes(self, model_type):
            import torch
            from torch import nn

            from ft.conformance.reference.modeling import ReferenceConfig, ReferenceModel

            class Fused(nn.Module):
                """Two experts whose mean is taken."""

                def __init__(self, linear):
                    super().__init__()
                    self.experts = nn.Parameter(torch.stack([linear.weight, linear.weight]))

                def forward(self, hidden):
                    return hidden @ self.experts.mean(0).T

            class Model(ReferenceModel):
                def __init__(self, config):
                    super().__init__(config)
                    for layer in self.layers:
                        layer.down_proj = Fused(layer.down_proj)

            return ReferenceConfig, Model

    return like_reference(UndeclaredExperts)


@mutant("model.groups")
def group_overlap():
    """Two names for one part: which of them a parameter belongs to depends on their order."""
    groups = {"embeddings": "embed_tokens", "language": "layers", "decoder": "layers"}
    groups["norm"] = "norm"
    return like_reference(type("GroupOverlap", (Family,), {}), groups=groups)


@mutant("model.groups")
def group_missing():
    """Forgets the last norm."""
    groups = {"embeddings": "embed_tokens", "language": "layers"}
    return like_reference(type("GroupMissing", (Family,), {}), groups=groups)


@mutant("model.groups")
def group_without_parameters():
    """A prefix that no parameter of any model type has."""
    groups = {"embeddings": "embed_tokens", "language": "layers", "norm": "norm"}
    groups["vision"] = "model.vision"
    return like_reference(type("EmptyGroup", (Family,), {}), groups=groups)


# -- save and load ---------------------------------------------------------------------------


@mutant("model.saves-and-loads", "model.tied-weights")
def saved_in_half():
    """Stores its weights in bfloat16."""

    class SavedInHalf(Family):
        @hookimpl
        def ft_save_model(self, model, folder):
            import copy

            import torch

            copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)
            return True

    return like_reference(SavedInHalf)


@mutant("model.saves-and-loads", "model.shards", "model.tied-weights")
def scaled_at_each_load():
    """Folds a constant into the weights at each load, those that it saved itself included."""

    class ScaledAtEachLoad(Family):
        @hookimpl
        def ft_patch_model(self, model):
            model.norm.weight.data.mul_(1.5)

    return like_reference(ScaledAtEachLoad)


@mutant("model.shards", "model.missing-weights")
def first_shard():
    """Reads the first file that it finds, and is content with what is in there."""

    class FirstShard(Family):
        @hookimpl
        def ft_load_model(self, run, folder, config):
            from safetensors.torch import load_file

            from ft.api import InputError

            model = self.classes("")[1](config)
            if run.random_weights:
                return model
            files = sorted(folder.glob("*.safetensors"))
            if not files:
                raise InputError("there are no weights here", where=str(folder))
            model.load_state_dict(load_file(files[0]), strict=False)
            model.tie_weights()
            return model

    return like_reference(FirstShard)


@mutant("model.tied-weights")
def forgotten_tie():
    """Makes an output layer of its own after loading."""

    class ForgottenTie(Family):
        @hookimpl
        def ft_patch_model(self, model):
            from torch import nn

            model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())

    return like_reference(ForgottenTie)


@mutant("model.fresh-weights")
def never_fresh():
    """Loads the checkpoint where there is one, whatever was asked for."""

    class NeverFresh(Family):
        @hookimpl
        def ft_load_model(self, run, folder, config):
            if run.random_weights and (folder / "model.safetensors").exists():
                return self.classes("")[1].from_pretrained(folder, config=config)
            return None

    return like_reference(NeverFresh)


@mutant("model.missing-weights")
def made_up_weights():
    """Builds a fresh model where it finds no weights."""

    class MadeUpWeights(Family):
        @hookimpl
        def ft_load_model(self, folder, config):
            if not any(folder.glob("*.safetensors")):
                return self.classes("")[1](config)
            return None

    return like_reference(MadeUpWeights)


# -- training --------------------------------------------------------------------------------


@mutant("model.loss-falls")
def no_gradient():
    """A forward pass that cuts the graph."""

    class NoGradient(Family):
        @hookimpl
        def ft_patch_model(self, model):
            model.lm_head.register_forward_hook(lambda module, inputs, output: output * 0 + 1)

    return like_reference(NoGradient)


def _before(model, change):
    """Have ``change`` see the arguments of each forward pass of a model."""

    def call(module, args, kwargs):
        change(module, kwargs)
        return args, kwargs

    model.register_forward_pre_hook(call, with_kwargs=True)


@mutant("model.packing")
def documents_together():
    """Drops the positions that keep packed documents apart."""

    class DocumentsTogether(Family):
        @hookimpl
        def ft_patch_model(self, model):
            def drop(module, kwargs):
                if kwargs.get("attention_mask") is None and module.training:
                    kwargs.pop("position_ids", None)

            _before(model, drop)

    return like_reference(DocumentsTogether)


@mutant("model.packing", "every.limits")
def refuses_too_little():
    """Says that packing is not there yet, and accepts it all the same."""

    class RefusesTooLittle(Family):
        limits = {"packing": Limit("not-implemented", "Documents are not kept apart yet.")}

    return like_reference(RefusesTooLittle)


@mutant("model.micro-batches", "model.packing")
def sum_for_a_mean():
    """A term of the loss that is a sum over the batch."""

    class SumForAMean(Family):
        @hookimpl
        def ft_extra_loss(self, outputs):
            return 1e-5 * outputs.logits.square().sum()

    return like_reference(SumForAMean)


@mutant("model.micro-batches")
def scaled_by_rows():
    """Divides by the number of rows in a batch."""

    class ScaledByRows(Family):
        @hookimpl
        def ft_patch_model(self, model):
            model.norm.register_forward_hook(
                lambda module, inputs, output: (
                    output / (len(output) ** 0.5)
                    if module.training and output.shape[1] == 12
                    else output
                )
            )

    return like_reference(ScaledByRows)


@mutant("model.padding")
def attended_padding():
    """Builds a mask that hides padding, and forgets that it was to be causal as well."""

    class AttendedPadding(Family):
        @hookimpl
        def ft_patch_model(self, model):
            def call(module, kwargs):
                mask = kwargs.get("attention_mask")
                if mask is None or mask.all() or not module.training:
                    return
                kwargs["attention_mask"] = (
                    mask[:, None, None].bool().expand(-1, 1, mask.shape[1], -1)
                )

            _before(model, call)

    return like_reference(AttendedPadding)


@mutant("model.padding", "model.packing", "model.generates")
def stretched_positions():
    """Stretches its positions by the length of the batch, padding included."""

    class StretchedPositions(Family):
        @hookimpl
        def ft_patch_model(self, model):
            def stretch(module, args, kwargs):
                kwargs["turns"] = kwargs["turns"] * (1 + kwargs["turns"].shape[1] / 64)
                return args, kwargs

            for layer in model.layers:
                layer.attention.register_forward_pre_hook(stretch, with_kwargs=True)

    return like_reference(StretchedPositions)


@mutant("model.gradient-checkpointing")
def layers_without_positions():
    """Does not hand the positions on in the branch that recomputes."""

    class LayersWithoutPositions(Family):
        @hookimpl
        def ft_patch_model(self, model):
            def forget(module, args, kwargs):
                if model.layers[0].gradient_checkpointing and module.training:
                    kwargs["turns"] = kwargs["turns"] * 0
                return args, kwargs

            for layer in model.layers:
                layer.attention.register_forward_pre_hook(forget, with_kwargs=True)

    return like_reference(LayersWithoutPositions)


@mutant("model.gradient-checkpointing")
def counts_its_passes():
    """Scales by how often a layer ran in this step, which recomputing adds to."""

    class CountsItsPasses(Family):
        @hookimpl
        def ft_patch_model(self, model):
            passes = dict.fromkeys(range(len(model.layers)), 0)

            def begin(module, args):
                passes.update(dict.fromkeys(passes, 0))

            def scale(number):
                def hook(module, inputs):
                    passes[number] += 1
                    return inputs[0] / passes[number]

                return hook

            model.register_forward_pre_hook(begin)
            for number, layer in enumerate(model.layers):
                layer.down_proj.register_forward_pre_hook(scale(number))

    return like_reference(CountsItsPasses)


@mutant("model.gradient-checkpointing")
def saves_nothing():
    """Has the switch of gradient checkpointing, which nothing reads."""

    class SavesNothing(Family):
        @hookimpl
        def ft_patch_model(self, model):
            model.gradient_checkpointing_enable = lambda *args, **kwargs: None

    return like_reference(SavesNothing)


@mutant("model.gradient-checkpointing")
def takes_what_it_cannot():
    """Does not support gradient checkpointing, and does not say so when asked for it."""

    class TakesWhatItCannot(Family):
        @hookimpl
        def ft_patch_model(self, model):
            model.supports_gradient_checkpointing = False
            model.gradient_checkpointing_enable = lambda *args, **kwargs: None

    return like_reference(TakesWhatItCannot)


@mutant("model.resumes")
def forgets_its_count():
    """Anneals a term of the loss by a count of steps that no checkpoint has."""

    class ForgetsItsCount(Family):
        count = 0

        @hookimpl
        def ft_step_taken(self):
            self.count += 1

        @hookimpl
        def ft_extra_loss(self, outputs):
            return self.count * 1e-3 * outputs.logits.square().mean()

    return like_reference(ForgetsItsCount)


@mutant("model.resumes", "model.saves-and-loads", "model.tied-weights")
def moving_buffer():
    """A buffer that training moves, and that neither checkpoint nor result brings back."""

    class MovingBuffer(Family):
        @hookimpl
        def ft_patch_model(self, model):
            import torch

            model.register_buffer("scale", torch.ones(()), persistent=False)
            model.norm.register_forward_hook(lambda module, inputs, out: out * model.scale)

        @hookimpl
        def ft_step_taken(self, model):
            model.scale.mul_(1.1)

    return like_reference(MovingBuffer)


@mutant("model.router-loss")
def router_loss_ignored():
    """Has the coefficient of a router's loss, and adds none."""

    class RouterLossIgnored(Family):
        def tiny_config(self, model_type):
            config = super().tiny_config(model_type)
            config.router_aux_loss_coef = 0.1
            return config

        @hookimpl
        def ft_extra_loss(self):
            return None

    return like_reference(RouterLossIgnored)


@mutant("model.router-loss")
def router_loss_of_a_dense_model():
    """Takes the option for a model that has no router."""

    class RouterLossOfADenseModel(Family):
        @hookimpl
        def ft_patch_config(self, config):
            config.output_router_logits = self.options.router_loss

        @hookimpl
        def ft_extra_loss(self):
            return None

    return like_reference(RouterLossOfADenseModel)


@mutant("model.generates")
def dropped_mask():
    """Does not hand the mask on where it generates."""

    class DroppedMask(Family):
        @hookimpl
        def ft_patch_model(self, model):
            def drop(module, kwargs):
                if not module.training:
                    kwargs.pop("attention_mask", None)

            _before(model, drop)

    return like_reference(DroppedMask)


@mutant("model.generates")
def stale_positions():
    """Positions that begin again with each piece of a cached sequence."""

    class StalePositions(Family):
        @hookimpl
        def ft_patch_model(self, model):
            def begin_again(module, kwargs):
                cache = kwargs.get("past_key_values")
                if cache is not None and cache.get_seq_length():
                    kwargs["position_ids"] = kwargs["position_ids"] * 0

            _before(model, begin_again)

    return like_reference(StalePositions)


# -- media -----------------------------------------------------------------------------------


def one_short(medium: str):
    """A family whose processor gives a medium a placeholder too few, and a model that crops."""

    class OneShort(MediaFamily):
        def tiny_processor(self, config, tokenizer):
            return self._short(super().tiny_processor(config, tokenizer))

        @hookimpl
        def ft_load_processor(self, run, folder):
            return self._short(super().ft_load_processor(folder))

        def _short(self, processor):
            processor.count = lambda kind, patches: len(patches) - (kind == medium)
            return processor

        @hookimpl
        def ft_patch_model(self, model):
            from ft.conformance.reference.media import COLUMNS

            def crop(module, kwargs):
                values = kwargs.get(COLUMNS[medium])
                if values is not None:
                    token = getattr(module.config, f"{medium}_token_id")
                    places = int((kwargs["input_ids"] == token).sum())
                    kwargs[COLUMNS[medium]] = values[:places]

            _before(model, crop)

    return like_reference(OneShort)


@mutant("model.images", "model.media-training")
def image_one_short():
    """One placeholder too few for each image; in a batch that moves all later images."""
    return one_short("image")


@mutant("model.video", "model.media-training")
def video_one_short():
    """The same with videos."""
    return one_short("video")


@mutant("model.audio", "model.media-training")
def audio_one_short():
    """The same with clips."""
    return one_short("audio")


@mutant("model.audio")
def cannot_be_asked_and_counts_nothing():
    """No method gives the features of a clip, and one placeholder too many is passed over."""

    class CountsNothing(MediaFamily):
        def classes(self, model_type):
            from ft.conformance.reference.media import COLUMNS, MediaConfig, MediaModel

            class Uncounted(MediaModel):
                @property
                def get_audio_features(self):
                    raise AttributeError("get_audio_features")

                def forward(self, input_ids=None, **kwargs):
                    values = kwargs.pop(COLUMNS["audio"], None)
                    if values is None:
                        return super().forward(input_ids, **kwargs)
                    places = input_ids == self.config.audio_token_id
                    features = self.ears(values).repeat(2, 1)
                    embeddings = self.embed_tokens(input_ids)
                    kwargs["inputs_embeds"] = embeddings.masked_scatter(places[..., None], features)
                    return super().forward(**kwargs)

            return MediaConfig, Uncounted

    return like_reference(CountsNothing)


@mutant("model.images", "model.video", "model.audio")
def passes_media_over():
    """Trains on the text of a row and drops what it cannot take."""

    class PassesMediaOver(Family):
        @hookimpl
        def ft_tokenize(self, rendered):
            for row in rendered:
                row.media = ()

    return like_reference(PassesMediaOver)


@mutant("model.media-training")
def blind():
    """A tower that is cut off from the loss."""

    class Blind(MediaFamily):
        @hookimpl
        def ft_patch_model(self, model):
            for tower in (model.eyes, model.ears):
                tower.register_forward_hook(lambda module, inputs, output: output.detach())

    return like_reference(Blind)


def shuffled(when):
    """The media of a forward pass are in another order than their places, ``when`` it says so."""

    class ShuffledMedia(MediaFamily):
        @hookimpl
        def ft_patch_model(self, model):
            from ft.conformance.reference.media import COLUMNS

            def turn(module, kwargs):
                for column in COLUMNS.values() if when(kwargs) else ():
                    if kwargs.get(column) is not None:
                        kwargs[column] = kwargs[column].flip(0)

            _before(model, turn)

    return like_reference(ShuffledMedia)


@mutant("model.media-training")
def shuffled_media():
    """Puts the media of a batch in another order than its rows."""
    return shuffled(lambda kwargs: len(kwargs["input_ids"]) > 1)


@mutant("model.media-training")
def media_shuffled_in_packs():
    """Puts the media of a sequence in another order than its documents."""
    return shuffled(lambda kwargs: kwargs.get("position_ids") is not None)
