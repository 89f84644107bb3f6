import pytest
import torch
from harness import assert_resumes, changed, tiny_run, train, weights

from ft.api import Adapter, Tracker, hookimpl
from ft.recipe.fit import misfits
from ft_adapter_full import adapter
from ft_optimizer_badam import optimizer as badam
from ft_optimizer_badam.update import PartAdam
from ft_trainer_sft import trainer


class Watch(Tracker):
    """Notes which parameters move in each step, and how many have moments then."""

    @hookimpl
    def ft_run_started(self, run):
        self.before, self.moved, self.kept = weights(run), [], []

    @hookimpl
    def ft_step_ended(self, run):
        self.moved.append(changed(run, self.before))
        self.kept.append(sum("exp_avg" in state for state in run.optimizer.state.values()))
        self.before = weights(run)


class Embeddings(Adapter):
    """Trains the embeddings alone, as virtual tokens are."""

    @hookimpl
    def ft_adapt_model(self, model):
        model.requires_grad_(False)
        model.get_input_embeddings().requires_grad_(True)
        return model


def make(folder, *more, adapter=adapter, **options):
    options = {"switch_every": 2, "learning_rate": 1e-2, "schedule": "constant", **options}
    quiet = {"batch_size": 4, "steps": 6, "save_every": 3, "keep_checkpoints": 9}
    parts = [adapter.bind("full"), badam.bind("badam", options), trainer.bind("sft", quiet), *more]
    return tiny_run(folder, parts)


@pytest.mark.parametrize(
    ("options", "turns"),
    [
        ({}, ["layers.1", "layers.0", "layers.1"]),
        ({"order": "ascending"}, ["layers.0", "layers.1", "layers.0"]),
        ({"order": "ascending", "embeddings": True}, ["layers.0", "layers.1", "embed_tokens"]),
    ],
)
def test_layers_take_turns(tmp_path, options, turns):
    watch = Watch().bind("watch")
    run = make(tmp_path, watch, **options)
    names = weights(run).keys()
    train(run)
    for number, turn in enumerate(turns):
        expected = {name for name in names if turn in name}
        if turn == "layers.1":
            expected.add("model.norm.weight")  # which comes after the top layer
        if turn == "embed_tokens":
            expected.add("lm_head.weight")
        assert watch.moved[2 * number] == watch.moved[2 * number + 1] == expected
        # after the last step of a turn nothing is left of its moments
        assert watch.kept[2 * number] == len(expected)
        assert watch.kept[2 * number + 1] == 0


def test_embeddings_have_the_turn_where_nothing_else_trains(tmp_path):
    losses = train(make(tmp_path, adapter=Embeddings()))
    assert losses[-1] < losses[0]


def test_random_order_has_each_layer_once_a_lap(tmp_path):
    run = make(tmp_path, order="random", switch_every=1)
    optimizer = run.hook.ft_build_optimizer(run=run, model=run.model)
    seen = []
    for _ in range(12):
        seen.append(optimizer.active)
        optimizer.step()
    assert all(sorted(seen[lap : lap + 2]) == [0, 1] for lap in range(0, 12, 2))
    assert len({tuple(seen[lap : lap + 2]) for lap in range(0, 12, 2)}) == 2


@pytest.mark.parametrize("mode", ["layer", "ratio"])
def test_resumes_exactly_in_the_middle_of_a_turn(tmp_path, mode):
    assert_resumes(lambda: make(tmp_path, mode=mode, ratio=0.25), 3)


def test_a_part_moves_as_with_adamw_and_the_rest_stays():
    torch.manual_seed(0)
    value = torch.randn(10, 8)
    ours, theirs = (torch.nn.Parameter(value.clone()) for _ in range(2))
    settings = {"lr": 0.1, "betas": (0.9, 0.999), "epsilon": 1e-8, "seed": 3}
    group = {"params": [ours], "weight_decay": 0.1}
    optimizer = PartAdam([group], ratio=0.25, switch_every=4, **settings)
    usual = torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.1)
    starts = []
    for number in range(5):
        ours.grad = torch.randn(10, 8)
        theirs.grad = ours.grad.clone()
        optimizer.step()
        if number < 4:
            usual.step()
        if number in (3, 4):
            start = optimizer.state[ours]["start"]
            starts.append(start)
            assert optimizer.state[ours]["exp_avg"].numel() == 20
        if number == 3:
            part = slice(start, start + 20)
            moved = ours.detach().flatten()
            torch.testing.assert_close(moved[part], theirs.detach().flatten()[part])
            assert int((moved != value.flatten()).sum()) == 20
    assert starts[0] != starts[1]


def test_only_parts_go_with_several_processes():
    class Several(Tracker):
        """Brings several processes."""

        provides = frozenset({"data-parallel"})

    def refused(mode):
        parts = [badam.bind("badam", {"mode": mode}), Several().bind("several")]
        return {m.capability for m in misfits(parts)}

    assert "data-parallel" in refused("layer")
    assert "data-parallel" not in refused("ratio")
