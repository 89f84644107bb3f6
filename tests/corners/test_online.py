"""Corner: a trainer that generates while it trains and asks rewards (GRPO, 2402.03300)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import nullcontext

import pytest
import torch
from harness import Rows, assert_resumes, tiny_run, train
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ft.api import (
    Conversation,
    Encoded,
    InputError,
    Loss,
    Message,
    PluginError,
    Prompt,
    Reward,
    Sampling,
    Trainer,
    TrainerOptions,
    hookimpl,
)
from ft.training.evaluate import evaluate
from ft.training.meter import reported
from ft_adapter_full import adapter
from ft_engine_transformers import engine
from ft_optimizer_adamw import optimizer

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content }}<|end|>{% endgeneration %}{% else %}{{ m.content }}<|end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


class MiniGRPO(Trainer):
    """Several answers to each prompt; those better than their group's mean become likelier."""

    takes = (Prompt,)
    needs = frozenset({"rewards"})
    provides = frozenset({"generation"})

    class Options(TrainerOptions):
        group: int = 6
        new_tokens: int = 8
        updates: int = 1

    @hookimpl
    def ft_encode(self, run, examples):
        asked = [Conversation(example.messages) for example in examples]
        prompts = run.tokenize([run.render(one, generation_prompt=True) for one in asked])
        return [{"prompt": p, "example": e} for p, e in zip(prompts, examples, strict=True)]

    @hookimpl
    def ft_collate(self, rows):
        if isinstance(rows[0], Mapping) and "example" in rows[0]:
            return {"asked": rows}
        return None  # answers are padded as everything else is

    @hookimpl
    def ft_make_batches(self, run, model, batches):
        made = [self._answer(run, batch["asked"]) for batch in batches]
        for _ in range(self.options.updates):
            yield made

    def _answer(self, run, asked):
        rows = [row for row in asked for _ in range(self.options.group)]
        questions = [Conversation(row["example"].messages) for row in rows]
        sampling = Sampling(max_new_tokens=self.options.new_tokens, temperature=1.0)
        answers = run.generate(questions, sampling)
        complete = [
            Conversation([*question.messages, answer.message])
            for question, answer in zip(questions, answers, strict=True)
        ]
        scores = run.score(complete, [row["example"] for row in rows])
        total = torch.tensor([sum(one) for one in zip(*scores.values(), strict=True)])
        run.report("reward", total.mean(), weight=len(rows))
        grouped = total.reshape(-1, self.options.group)
        centred = grouped - grouped.mean(1, keepdim=True)
        advantages = (centred / (grouped.std(1, keepdim=True) + 1e-4)).reshape(-1)
        return run.to_device(
            run.collate(
                [
                    {"tokens": _joined(row["prompt"], answer), "advantage": float(advantage)}
                    for row, answer, advantage in zip(rows, answers, advantages, strict=True)
                ]
            )
        )

    @hookimpl
    def ft_count_units(self, batch):
        return float(batch["tokens"]["weights"].sum())

    @hookimpl
    def ft_compute_loss(self, run, model, batch):
        tokens = run.token_losses(model, batch["tokens"])
        ratio = (tokens.losses.detach() - tokens.losses).exp()
        advantage = batch["advantage"][tokens.documents]
        return Loss(-(ratio * advantage * tokens.weights).sum())


def _joined(prompt, answer):
    ids = [*prompt.input_ids, *answer.token_ids]
    return Encoded(ids, [0.0] * len(prompt.input_ids) + [1.0] * len(answer.token_ids))


class Letters(Reward):
    """A user's function: the share of an answer's characters that its row wants."""

    @hookimpl
    def ft_score(self, conversations, extras):
        texts = [conversation.messages[-1].content for conversation in conversations]
        return [
            sum(c in extra["wanted"] for c in text) / max(len(text), 1)
            for text, extra in zip(texts, extras, strict=True)
        ]


class Broken(Reward):
    @hookimpl
    def ft_score(self, conversations):
        return [float("nan")] * len(conversations)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder with a tiny model and a tokenizer that knows the template's tokens."""
    folder = tmp_path_factory.mktemp("online")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    bpe.train_from_iterator(
        ["say something nice about the letters of the alphabet"] * 3,
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<|pad|>", eos_token="<|end|>"
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder / "model")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.1,
    )
    LlamaForCausalLM(config).save_pretrained(folder / "model")
    return folder


def prompts(run):
    wanted = "abcdefghijklmnopqrstuvwxyz"
    asked = [
        Prompt([Message("user", text)], extra={"wanted": wanted})
        for text in ("say a", "say be", "say something", "the alphabet")
    ]

    class Prompts(Rows):
        lengths = property(lambda self: [len(row["prompt"]) for row in self])

    return Prompts(run.hook.ft_encode(run=run, examples=asked))


def make(folder, *rewards, **options):
    options = {"batch_size": 4, "steps": 6, "save_every": 3, "keep_checkpoints": 9} | options
    return tiny_run(
        folder,
        [
            MiniGRPO().bind("grpo", {"precision": "float32", **options}),
            optimizer.bind("adamw", {"learning_rate": 1e-2, "schedule": "constant"}),
            adapter.bind("full"),
            engine.bind("transformers", {"batch_size": 32}),
            *(rewards or [Letters().bind("letters")]),
        ],
        rows=prompts,
    )


def test_reward_rises(checkpoint):
    run = make(checkpoint, steps=12)
    train(run)
    rewards = [line["reward"] for line in run.state.history]
    assert sum(rewards[-3:]) / 3 > sum(rewards[:3]) / 3 + 0.2
    assert run.state.tokens > 0


def test_splitting_the_prompts_changes_no_count(checkpoint):
    run = make(checkpoint, steps=1, micro_batch_size=2, updates=2)
    train(run)
    assert len(run.state.history) == 1
    # two updates of one step of the data: the schedule has moved once
    assert run.scheduler.last_epoch == 1


def test_evaluation_answers_and_scores_too(checkpoint):
    run = make(checkpoint, steps=1)
    run.eval_data["held-out"] = run.data
    run.model.train()
    generators = torch.get_rng_state()
    metrics = evaluate(run, run.model)
    assert 0 <= metrics["held-out/reward"] <= 1
    assert torch.get_rng_state().equal(generators)
    assert run.model.training


def test_resumes_exactly(checkpoint):
    assert_resumes(lambda: make(checkpoint), 3)


def test_a_reward_that_is_no_number_is_named(checkpoint):
    with pytest.raises(PluginError, match="reward:broken: the score is nan"):
        train(make(checkpoint, Broken().bind("broken")))


def test_without_an_engine_the_error_says_so(checkpoint):
    run = make(checkpoint)
    run.selection.leave_out(run.part("engine"))
    with pytest.raises(InputError, match="no engine is selected"):
        train(run)


class Slow(Reward):
    """Never scores the first answer in time."""

    @hookimpl
    def ft_score(self, conversations):
        return [None] + [0.5] * (len(conversations) - 1)


def test_answers_that_could_not_be_scored_are_counted(checkpoint):
    run = make(checkpoint, Slow().bind("slow"))
    asked = [Conversation([Message("user", "say"), Message("assistant", "a")])] * 3
    examples = [Prompt([Message("user", "say")])] * 3
    for _ in range(2):
        assert run.score(asked, examples) == {"slow": [None, 0.5, 0.5]}
    assert reported(run) == {}
    assert reported(run) == {}
    warned = [line for line in run.progress.lines if "slow" in line]
    assert warned == ["reward:slow could not score 2 of 6 answers at step 1"]


class Remembers(Letters):
    @hookimpl
    def ft_plugin_state(self):
        return {"weight": self.options.weight}

    @hookimpl
    def ft_restore_plugin_state(self, state):
        self.seen = state["weight"]


def test_two_rewards_of_one_plugin_are_told_apart(checkpoint):
    def made():
        bound = [Remembers().bind("letters", {"weight": weight}) for weight in (1, 0.5)]
        return make(checkpoint, *bound, steps=1)

    run = made()
    assert {label: r.options.weight for label, r in run.rewards.items()} == {
        "letters": 1,
        "letters-2": 0.5,
    }
    train(run)
    again = made()
    train(again, run.folder / "checkpoints" / "step-000001")
    assert [reward.seen for reward in again.parts("reward")] == [1, 0.5]


class Apart(type(engine)):
    """Answers with a copy of the model, as an engine in another process does."""

    copy = None
    syncs = 0

    @hookimpl
    def ft_sync_weights(self, model):
        self.copy = copy.deepcopy(model)
        self.syncs += 1

    @hookimpl
    def ft_generate(self, run, model, conversations, sampling):
        return super().ft_generate(
            run=run, model=self.copy, conversations=conversations, sampling=sampling
        )


def test_an_engine_with_weights_of_its_own_is_told_of_each_change(checkpoint):
    plain = make(checkpoint, steps=3, micro_batch_size=2)
    train(plain)
    run = make(checkpoint, steps=3, micro_batch_size=2)
    apart = Apart().bind("apart", {"batch_size": 32})
    run.selection = run.selection.replaced(run.part("engine"), apart)
    train(run)
    # once for each step, though each has two micro batches that are answered
    assert run.part("engine").syncs == 3
    assert [line["reward"] for line in run.state.history] == [
        line["reward"] for line in plain.state.history
    ]


def test_another_adapter_is_another_model_to_an_engine(checkpoint):
    run = make(checkpoint, steps=1)
    run.selection = run.selection.replaced(run.part("engine"), Apart().bind("apart"))
    asked = [Conversation([Message("user", "say")])]
    for _ in range(2):
        run.generate(asked, Sampling(max_new_tokens=1))
    assert run.part("engine").syncs == 1
    run.selection = run.selection.replaced(run.part("adapter"), Switched().bind("switched"))
    with run.use_adapter(None):
        run.generate(asked, Sampling(max_new_tokens=1))
    run.generate(asked, Sampling(max_new_tokens=1))
    assert run.part("engine").syncs == 3


class Switched(type(adapter)):
    """An adapter that can be switched off, to no effect."""

    @hookimpl
    def ft_use_adapter(self):
        return nullcontext()
