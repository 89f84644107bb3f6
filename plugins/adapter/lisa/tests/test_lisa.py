import pytest
from harness import assert_resumes, changed, random_rows, tiny_run, train, weights

from ft.api import InputError, ModelFamily, Tracker, hookimpl
from ft_adapter_lisa import adapter as lisa
from ft_optimizer_adamw import optimizer
from ft_trainer_sft import trainer

OPTIONS = {"batch_size": 4, "steps": 8, "save_every": 3, "keep_checkpoints": 9}
SIZES = {"llama": {"num_hidden_layers": 4}}


class Watch(Tracker):
    """Notes after each step which parameters moved, and which layers have optimizer state."""

    @hookimpl
    def ft_run_started(self, run):
        self.before, self.moved, self.states = weights(run), [], []

    @hookimpl
    def ft_step_ended(self, run):
        self.moved.append(changed(run, self.before))
        self.before = weights(run)
        self.states.append({n for n, p in run.trainable() if p in run.optimizer.state})


def make(folder, *more, **options):
    family = ModelFamily("Deep", "", ("llama",), tiny=SIZES)
    return tiny_run(
        folder,
        [
            trainer.bind("sft", OPTIONS),
            optimizer.bind("adamw", {"learning_rate": 1e-2, "schedule": "constant"}),
            lisa.bind("lisa", options),
            *more,
        ],
        family=family,
        rows=random_rows(),
    )


def layers_in(names):
    return {int(name.split(".")[2]) for name in names if ".layers." in name}


def test_the_drawn_layers_move_and_the_outer_weights_always(tmp_path):
    watch = Watch().bind("watch")
    run = make(tmp_path, watch, active=2, every=2)
    train(run)
    turns = []
    for step in range(8):
        own = lisa.bind("lisa", {"active": 2, "every": 2})
        own.taken = step
        turns.append(set(own.chosen(run.seed, 4)))
    assert [layers_in(moved) for moved in watch.moved] == turns
    assert len({frozenset(turn) for turn in turns}) > 1
    outer = {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"}
    assert all(outer <= moved for moved in watch.moved)


def test_only_the_layers_that_train_have_optimizer_state(tmp_path):
    watch = Watch().bind("watch")
    train(make(tmp_path, watch, active=1, every=3))
    for moved, state in zip(watch.moved[:2], watch.states[:2], strict=True):
        assert layers_in(state) == layers_in(moved)
    assert all(len(layers_in(state)) <= 1 for state in watch.states)


def test_resumes_exactly_in_the_middle_of_a_turn(tmp_path):
    assert_resumes(lambda: make(tmp_path, active=1, every=2), 3)


def test_each_layer_is_drawn_as_often():
    bound = lisa.bind("lisa", {"active": 2, "every": 1})
    counts = [0] * 8
    for bound.taken in range(4000):
        for number in bound.chosen(42, 8):
            counts[number] += 1
    assert all(count == pytest.approx(1000, rel=0.1) for count in counts)


def test_more_layers_than_there_are_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"active is 5, and this model has 4 decoder layers"):
        make(tmp_path, active=5)
