"""Trainers that are broken in one way."""

from __future__ import annotations

from dataclasses import replace

from mutant import mutant
from other_trainers import Judging, Online, Preferring, answered

from ft.api import Encoded, Limit, Loss, hookimpl
from ft.conformance.reference.trainer import Supervised

# -- its loss ------------------------------------------------------------------------------


@mutant("trainer.accumulates", "trainer.reports-a-mean", "trainer.evaluates")
class MeanForASum(Supervised):
    """The loss is a mean over the tokens of a micro batch."""

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        loss = super().ft_compute_loss(run=run, model=model, batch=batch)
        loss.total = loss.total / batch["weights"].sum().clamp(min=1)
        return loss


@mutant(
    "trainer.counts-units",
    "trainer.accumulates",
    "trainer.share-without-rows",
    "trainer.packing",
    "trainer.evaluates",
)
class CountsPadding(Supervised):
    """Units are all places of a batch, those of padding too."""

    @hookimpl
    def ft_count_units(self, batch):
        return float(batch["weights"].numel())


@mutant("trainer.share-without-rows", "trainer.packing")
class CountsRows(Supervised):
    """Units are rows: those without weight count, and a pack counts for one."""

    @hookimpl
    def ft_count_units(self, batch):
        return float(len(batch["weights"]))


@mutant(
    "trainer.counts-units",
    "trainer.accumulates",
    "trainer.reports-a-mean",
    "trainer.share-without-rows",
    "trainer.evaluates",
)
class CountsOne(Supervised):
    """A micro batch is one unit, whatever is in it."""

    @hookimpl
    def ft_count_units(self):
        return 1.0


@mutant("trainer.reports-a-mean")
class ReportsASum(Supervised):
    """Tells the loss itself, and forgets to divide it."""

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        loss = super().ft_compute_loss(run=run, model=model, batch=batch)
        if model.training:
            run.report("loss", float(loss.total.detach()))
        return loss


@mutant("trainer.loss-falls", "trainer.quantized-base")
class Detached(Supervised):
    """The graph is cut: what is left of it gives gradients of zero."""

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        loss = super().ft_compute_loss(run=run, model=model, batch=batch)
        loss.total = loss.total.detach() + 0.0 * loss.total
        return loss


@mutant("trainer.returns-a-loss")
class NarrowLoss(Supervised):
    """The loss is summed in the type of the logits."""

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        tokens = run.token_losses(model, batch)
        narrow = tokens.outputs.logits.dtype
        return Loss((tokens.losses * tokens.weights).sum().to(narrow), outputs=tokens.outputs)


@mutant("trainer.returns-a-loss")
class MetricWithAGraph(Supervised):
    """A metric that keeps the activations of its micro batch."""

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        loss = super().ft_compute_loss(run=run, model=model, batch=batch)
        return Loss(loss.total, {"cross_entropy": loss.total})


@mutant("trainer.ends-on-a-broken-loss")
class HidesTheBreak(Supervised):
    """A batch whose loss is no number is left out."""

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        import torch

        loss = super().ft_compute_loss(run=run, model=model, batch=batch)
        if not loss.total.isfinite():
            loss.total = torch.zeros((), requires_grad=True)
        return loss


# -- examples ------------------------------------------------------------------------------


@mutant("trainer.says-what-it-learns-from", "trainer.refuses-other-examples")
class TakesNothing(Supervised):
    """``takes`` was forgotten."""

    takes = ()


@mutant("trainer.encodes-one-row-each")
class DropsDuplicates(Supervised):
    """A row that was there already is left out."""

    @hookimpl
    def ft_encode(self, run, examples):
        rows = super().ft_encode(run=run, examples=examples)
        return list({tuple(row.input_ids): row for row in rows}.values())


@mutant("trainer.encodes-one-row-each")
class SortsByLength(Supervised):
    """Rows come out by their length."""

    @hookimpl
    def ft_encode(self, run, examples):
        return sorted(super().ft_encode(run=run, examples=examples), key=len)


@mutant("trainer.encoding-leaves-examples")
class InsertsASystemMessage(Supervised):
    """A system message goes into the example itself, where there is none yet."""

    @hookimpl
    def ft_encode(self, run, examples):
        from ft.api import Message

        for example in examples:
            if example.messages[0].role != "system":
                example.messages.insert(0, Message("system", "Be brief."))
        return super().ft_encode(run=run, examples=examples)


@mutant("trainer.encoding-leaves-examples", "trainer.encodes-one-row-each")
class OtherWordsEachTime(Supervised):
    """A system text that is drawn while encoding."""

    @hookimpl
    def ft_encode(self, run, examples):
        import random

        from ft.api import Message

        drawn = [
            replace(e, messages=[Message("system", f"Case {random.random()}"), *e.messages])
            for e in examples
            if e.messages[0].role != "system"
        ]
        return super().ft_encode(run=run, examples=drawn or examples)


@mutant("trainer.trains-on-answers", "trainer.honours-marks-of-messages")
class MaskShifted(Supervised):
    """Labels are shifted here, and again in the loss."""

    @hookimpl
    def ft_encode(self, run, examples):
        rows = super().ft_encode(run=run, examples=examples)
        return [replace(row, weights=[*row.weights[1:], 0.0]) for row in rows]


@mutant("trainer.trains-on-answers", "trainer.honours-marks-of-messages")
class TrainsOnThePrompt(Supervised):
    """Every token has a weight."""

    @hookimpl
    def ft_encode(self, run, examples):
        rows = super().ft_encode(run=run, examples=examples)
        return [replace(row, weights=[1.0] * len(row)) for row in rows]


@mutant("trainer.honours-marks-of-messages")
class ForgetsMarks(Supervised):
    """Messages are made anew, without what they say of themselves."""

    @hookimpl
    def ft_encode(self, run, examples):
        bare = [
            replace(e, messages=[replace(m, train=None, weight=1.0) for m in e.messages])
            for e in examples
        ]
        return super().ft_encode(run=run, examples=bare)


@mutant("trainer.honours-marks-of-messages")
class MaskOfZerosAndOnes(Supervised):
    """A token is trained on or not; by how much is lost."""

    @hookimpl
    def ft_encode(self, run, examples):
        rows = super().ft_encode(run=run, examples=examples)
        return [replace(row, weights=[float(w > 0) for w in row.weights]) for row in rows]


# -- state, evaluation, result -------------------------------------------------------------


@mutant("trainer.resumes")
class LosesItsState(Supervised):
    """A coefficient that falls with each step, and that no checkpoint has."""

    factor = 1.0

    @hookimpl
    def ft_step_taken(self):
        self.factor *= 0.9

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        loss = super().ft_compute_loss(run=run, model=model, batch=batch)
        return Loss(loss.total * (self.factor if model.training else 1.0))


@mutant("trainer.resumes")
class ReferenceTooLate(Preferring):
    """The reference is copied at the first loss: a resumed run has its checkpoint by then."""

    @hookimpl
    def ft_add_modules(self, run):
        """Nothing yet."""

    def reference(self, run, model, batch):
        if self.copied is None and run.initial_weights() is None:
            self.copied = run.frozen_copy()
        return super().reference(run, model, batch)


@mutant("trainer.evaluates")
class SkipsEvaluation(Supervised):
    """Makes no batches where the model is not training."""

    @hookimpl
    def ft_make_batches(self, model, batches):
        return [batches] if model.training else []


@mutant("trainer.evaluates")
class PutsSetsAway(Supervised):
    """Drops the evaluation sets to save memory."""

    @hookimpl
    def ft_run_started(self, run):
        run.eval_data.clear()


@mutant("trainer.evaluates")
class MeanInEvaluation(Supervised):
    """The loss is a mean over tokens where the model is only measured."""

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        loss = super().ft_compute_loss(run=run, model=model, batch=batch)
        if not model.training:
            loss.total = loss.total / batch["weights"].sum()
        return loss


@mutant(
    "trainer.evaluation-leaves-no-trace",
    # what moves with each batch makes no two passes alike
    *("trainer.accumulates", "trainer.gradient-checkpointing", "trainer.packing"),
)
class LearnsFromEvaluation(Supervised):
    """A coefficient that moves with each batch, those of an evaluation too."""

    seen = 0

    @hookimpl
    def ft_make_batches(self, batches):
        self.seen += len(batches)
        return [batches]

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        loss = super().ft_compute_loss(run=run, model=model, batch=batch)
        return Loss(loss.total * (0.9**self.seen if model.training else 1.0))

    @hookimpl
    def ft_plugin_state(self):
        return {"seen": self.seen}

    @hookimpl
    def ft_restore_plugin_state(self, state):
        self.seen = state["seen"]


@mutant("trainer.evaluation-leaves-no-trace")
class DrawsWhenEvaluated(Supervised):
    """Shows a random example at each evaluation."""

    @hookimpl
    def ft_evaluated(self, run):
        import torch

        torch.randint(len(run.data), (1,))


@mutant("trainer.keeps-training-mode")
class LeavesEvaluationMode(Preferring):
    """Measures the reference in evaluation mode, and does not go back."""

    def reference(self, run, model, batch):
        model.eval()
        return super().reference(run, model, batch)


@mutant("trainer.saves")
class HeadIsGone(Supervised):
    """A head that trains, and is put away before the result is written."""

    @hookimpl
    def ft_add_modules(self, run):
        from torch import nn

        return {"value_head": nn.Linear(run.config.hidden_size, 1)}

    @hookimpl
    def ft_finish_model(self, run):
        run.modules.clear()


@mutant("trainer.saves")
class SavesNoModel(Supervised):
    """Takes saving over, and leaves the weights out."""

    @hookimpl
    def ft_save_model(self, model, folder):
        model.config.save_pretrained(folder)
        return True


# -- capabilities --------------------------------------------------------------------------


@mutant("trainer.packing")
class MixesDocuments(Supervised):
    """A pack becomes one long row: its documents see each other."""

    @hookimpl
    def ft_collate(self, run, rows):
        if isinstance(rows[0], Encoded):
            return None
        joined = [
            Encoded(
                [token for document in pack for token in document.input_ids],
                [weight for document in pack for weight in document.weights],
            )
            for pack in rows
        ]
        return run.collate(joined)


@mutant("trainer.packing", "every.limits")
class AcceptsWhatItRefuses(Supervised):
    """Calls packing not implemented, and accepts it all the same."""

    limits = {"packing": Limit("not-implemented", "Rows are taken one by one.")}


@mutant("trainer.packing")
class PairsInPacks(Preferring):
    """Accepts packing, and makes pairs, which cannot be packed."""

    accepts = Preferring.accepts | {"packing"}


@mutant("trainer.gradient-checkpointing")
class HooksAroundTheLoss(Supervised):
    """Scales the layers by hooks that are gone when activations are recomputed."""

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        hooks = [
            layer.up_proj.register_forward_hook(lambda module, inputs, output: output * 1.1)
            for layer in run.model.layers
        ]
        loss = super().ft_compute_loss(run=run, model=model, batch=batch)
        for hook in hooks:
            hook.remove()
        return Loss(loss.total)


@mutant("trainer.quantized-base")
class ThawsTheBase(Supervised):
    """Has every parameter train, whatever the adapter says."""

    @hookimpl
    def ft_add_modules(self, model):
        for parameter in model.parameters():
            parameter.requires_grad_(parameter.is_floating_point())


# -- methods -------------------------------------------------------------------------------


@mutant("trainer.raises-the-margin")
class MarginFlipped(Preferring):
    """The rejected answer is taken for the better one."""

    def margin(self, ratios):
        return ratios["rejected"] - ratios["chosen"]


@mutant("trainer.loss-falls")
class LiveReference(Preferring):
    """The reference is the model that trains."""

    def reference(self, run, model, batch):
        return self.policy(run, model, batch).detach()


@mutant("trainer.starts-at-the-reference")
class BaseForAReference(Preferring):
    """The bare base is the reference, also where the model starts elsewhere."""

    @hookimpl
    def ft_add_modules(self, run):
        self.copied = run.load_base().eval().requires_grad_(False)


@mutant("trainer.trains-on-answers")
class TrainsOnEarlierTurns(Preferring):
    """What the model said in the prompt counts in both answers."""

    def conversation(self, example, side):
        prompt = [replace(message, train=message.role == "assistant") for message in example.prompt]
        conversation = answered([], getattr(example, side))
        conversation.messages = [*prompt, *conversation.messages]
        return conversation


@mutant("trainer.tells-good-from-bad")
class IgnoresTheVerdict(Judging):
    """Every answer is taken for a good one."""

    def towards(self, batch):
        return batch["towards"].abs()


@mutant("trainer.raises-the-reward")
class AdvantageFlipped(Online):
    """Answers that are worse than the others become likelier."""

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        loss = super().ft_compute_loss(run=run, model=model, batch=batch)
        return Loss(-loss.total)
