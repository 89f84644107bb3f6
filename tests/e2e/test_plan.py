"""``ft plan``: what it predicts beside what a run really holds, and what it proposes."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

ROWS, LENGTH, VOCABULARY = 2, 64, 4096


@pytest.fixture
def recipe(work, checkpoint, chat_rows):
    """A recipe as a dict, with changes; its checkpoint has a configuration and no weights."""

    def write(name="recipe.yaml", **changes):
        model = work / "shape"
        if not model.exists():
            ignored = shutil.ignore_patterns("*.safetensors")
            shutil.copytree(checkpoint("llama"), model, ignore=ignored)
            config = json.loads((model / "config.json").read_text())
            # so that the fullest moment is that of the loss
            config["vocab_size"] = VOCABULARY
            (model / "config.json").write_text(json.dumps(config))
        recipe = {
            "model": str(model),
            "data": str(chat_rows),
            "adapter": {"name": "lora", "rank": 4},
            "trainer": {
                "name": "sft",
                "steps": 1,
                "batch_size": 4,
                "micro_batch_size": ROWS,
                "max_length": LENGTH,
                "packing": True,
            },
            "optimizer": "adamw",
            "output": "runs/plan",
        }
        for key, value in changes.items():
            part = recipe.get(key)
            both = isinstance(part, dict) and isinstance(value, dict)
            recipe[key] = {**part, **value} if both else value
        (work / name).write_text(json.dumps(recipe))
        return name

    return write


def planned(ft, recipe, *more):
    done = ft("plan", recipe, "--json", *more)
    assert done.code == 0, done.err
    return json.loads(done.out)


def planner_of(recipe, device):
    """A planner of the recipe for a device of the list, or for the CPU."""
    from ft.api import Device, Progress
    from ft.plan.choose import Planner
    from ft.plan.device import known_devices
    from ft.plugins.policy import installed_index
    from ft.recipe.read import read_recipe
    from ft.recipe.resolve import resolve

    resolved = resolve(read_recipe(Path(recipe), ()), installed_index(), fetch_weights=False)
    on_cpu = Device("CPU", "cpu", 64e9, 1e11, 1e10)
    return Planner(resolved, on_cpu if device == "cpu" else known_devices()[device], Progress())


@pytest.mark.parametrize("adapter", ["lora", "full"])
@pytest.mark.parametrize("checkpointing", [False, 1, True])
def test_what_is_kept_is_what_a_real_pass_keeps(recipe, adapter, checkpointing):
    import torch

    from ft.api import Run
    from ft.pipeline.load import adapt, load_config, load_processor
    from ft.pipeline.run import start_process
    from ft.plan.choose import written
    from ft.training.recompute import checkpoint_activations

    file = recipe(
        model={"source": "shape", "random_weights": True},
        adapter=adapter,
        trainer={"precision": "float32", "gradient_checkpointing": checkpointing},
    )
    planner = planner_of(file, "cpu")
    terms = written(planner).terms
    resolved = planner.resolved
    run = Run(resolved.selection, folder=resolved.output, source="tiny")
    run.model_folder = resolved.model_folder
    start_process(run, "cpu")
    load_config(run)
    load_processor(run)
    adapt(run)
    if checkpointing:
        checkpoint_activations(run.model, checkpointing)
    optimizer = run.hook.ft_build_optimizer(run=run, model=run.model)
    weights = {p.untyped_storage().data_ptr() for p in run.model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    run.model.train()
    ids = torch.randint(3, 200, (ROWS, LENGTH))
    states = []
    head = run.model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, args: states.append(args[0]))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        # a dense mask is what keeps packed documents apart here
        mask = torch.ones(ROWS, 1, LENGTH, LENGTH, dtype=torch.bool).tril()
        out = run.model(input_ids=ids, attention_mask=mask, use_cache=False)
    hook.remove()
    # the loss is computed from them, whether the output layer keeps them or not
    # and every layer is handed the mask
    for storage in (states[0].untyped_storage(), mask.untyped_storage()):
        kept[storage.data_ptr()] = storage.nbytes()
    predicted = terms.get("activations kept", 0) + terms.get("inputs of recomputed layers", 0)
    real = sum(kept.values())
    assert predicted == pytest.approx(real, rel=0.1), terms
    out.logits.sum().backward()
    optimizer.step()
    trained = [p for p in run.model.parameters() if p.requires_grad]
    state = sum(
        v.numel() * v.element_size()
        for values in optimizer.state.values()
        for v in values.values()
        if v.ndim
    )
    assert terms["trained weights"] == sum(p.numel() * p.element_size() for p in trained)
    assert terms["optimizer state"] == state
    buffers = sum(b.numel() * b.element_size() for b in run.model.buffers())
    frozen = sum(
        p.numel() * p.element_size() for p in run.model.parameters() if not p.requires_grad
    )
    assert terms.get("frozen weights", 0) == frozen + buffers


def test_no_weights_are_needed(ft, recipe, work):
    found = planned(ft, recipe(), "--device", "h200")
    assert not list(work.rglob("*.safetensors"))
    own = found["recipe"]
    assert own["fits"]
    assert own["peak"] == pytest.approx(sum(own["terms"].values()))
    assert own["micro_batch_size"] == ROWS


def test_recomputed_layers_need_less_and_take_longer(recipe):
    plan = planner_of(recipe(), "h200").plans([])
    plans = [plan(4, layers) for layers in range(plan(4, 0).depth + 1)]
    peaks = [one.peak for one in plans]
    speeds = [one.tokens_per_second for one in plans]
    assert peaks[-1] < peaks[0]
    assert all(later <= sooner for sooner, later in pairwise(speeds))


def test_the_fewest_layers_are_recomputed_that_fit(recipe):
    from ft.plan.choose import search
    from ft.plugins.policy import installed_index

    planner = planner_of(recipe(), "h200")
    index = installed_index()
    roomy = search(planner, index, 1e12)
    assert roomy[0].recomputed == 0
    limit = min(one.peak for one in roomy) - 1
    tight = search(planner, index, limit)
    best = tight[0]
    assert best.peak <= limit
    assert best.recomputed > 0
    speeds = [one.tokens_per_second for one in tight if one.peak <= limit]
    assert best.tokens_per_second >= 0.99 * max(speeds)
    nothing = search(planner, index, 1)
    assert all(one.peak > 1 for one in nothing)


def test_kernels_change_the_estimate(recipe):
    from ft.plan.choose import written

    bare = written(planner_of(recipe(), "h200"))

    def with_kernels(*names, **changes):
        return written(planner_of(recipe(kernels=list(names), **changes), "h200"))

    loss, term = with_kernels({"name": "fused-loss", "slice": 8}), "output layer and loss"
    assert loss.terms.get(term, 0) < bare.terms[term]
    # no mask over all pairs of tokens, and no keys and values repeated for it
    assert with_kernels("varlen").terms["activations kept"] < bare.terms["activations kept"]
    fused = with_kernels("fused-lora")
    assert fused.terms["activations kept"] < bare.terms["activations kept"]
    assert fused.terms["copies by kernels"] > 0
    compiled = with_kernels("compile")
    assert compiled.terms["activations kept"] < bare.terms["activations kept"]
    assert compiled.tokens_per_second > bare.tokens_per_second


def test_inputs_that_wait_elsewhere_are_not_counted(recipe, work):
    from ft.plan.choose import written

    term = "inputs of recomputed layers"
    found = []
    for kernels in ([], ["offload"]):
        file = recipe(trainer={"gradient_checkpointing": True}, kernels=kernels)
        config = json.loads((work / "shape" / "config.json").read_text())
        (work / "shape" / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 6}))
        found.append(written(planner_of(file, "h200")).terms[term])
    width, two_bytes = config["hidden_size"], 2
    assert found[0] - found[1] == 4 * ROWS * LENGTH * width * two_bytes  # all but two of six


def test_quantizers_change_the_estimate(recipe):
    from ft.plan.choose import written

    def frozen(device, **quantizer):
        made = recipe(quantizer=quantizer) if quantizer else recipe()
        return written(planner_of(made, device)).terms["frozen weights"]

    plain = frozen("h200")
    four = frozen("h200", name="bitsandbytes")
    one = frozen("h200", name="fp8", backward="dequantized")
    two = frozen("h200", name="fp8")
    assert four < one < two
    assert one < plain
    # without float8 units no transposed copy is made
    assert frozen("a100", name="fp8") == one


def test_rounding_while_it_trains_leaves_weights_wide(recipe):
    from ft.plan.choose import written

    def terms(**changes):
        return written(planner_of(recipe(adapter="full", **changes), "h200")).terms

    plain, aware = terms(), terms(quantizer={"name": "torchao", "type": "int4", "aware": True})
    assert aware["trained weights"] == plain["trained weights"]
    assert aware["optimizer state"] == plain["optimizer state"]
    assert aware["activations kept"] > plain["activations kept"]


def test_the_table_fits_80_columns_and_ends_in_lines_for_the_recipe(ft, recipe):
    done = ft("plan", recipe(kernels=["varlen"]), "--device", "h200", "--memory", "24GB")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "up to 24.0 GB" in lines[0]
    assert any("predicted peak" in line for line in lines)
    assert any("fastest" in line for line in lines)
    trainer, kernels = (line.strip() for line in lines[-2:])
    again = recipe("again.yaml")
    pasted = [part.partition(": ")[2] for part in (trainer, kernels)]
    done = ft("check", again, f"kernels={pasted[1]}")
    assert done.code == 0, done.err
    assert trainer.startswith("trainer: {micro_batch_size: ")


def test_what_does_not_fit_is_said(ft, recipe):
    done = ft("plan", recipe(), "--device", "h200", "--memory", "1MB")
    assert done.code == 0, done.err
    assert "None of them fits" in done.out


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--memory", "much", "is no size"), ("--device", "h2000", "its facts are not known")],
)
def test_wrong_options_are_refused(ft, recipe, option, value, said):
    done = ft("plan", recipe(), option, value)
    assert done.code == 2
    assert said in done.err
