"""Documents of a pack are attended to one by one, and no mask is dropped that says more.

The kernels run on CUDA alone. Here a stand-in of the same signature, which computes each
document by itself, takes their place.
"""

import math

import pytest
import torch
from harness import random_rows, tiny_run

from ft.api import InputError, ModelFamily
from ft.conformance.bench import packed
from ft_adapter_full import adapter as full
from ft_kernel_varlen import implementations
from ft_kernel_varlen import kernel as varlen
from ft_kernel_varlen.documents import SHORT, Documents
from ft_kernel_varlen.masks import document_mask
from ft_model_gemma3 import family as gemma3
from ft_optimizer_adamw import optimizer as adamw
from ft_trainer_sft import trainer as sft

LLAMA = ModelFamily("Llama", "Meta", ("llama",), accepts=("packing",))
SLIDING = ModelFamily(
    "Mistral",
    "Mistral",
    ("mistral",),
    accepts=("packing",),
    tiny={"mistral": {"sliding_window": 5}},
)


def attend(query, key, value, starts, longest, scale, window):
    """Each document by itself, as :mod:`ft_kernel_varlen.implementations` describes it."""
    out = torch.zeros_like(query)
    repeated = query.shape[1] // key.shape[1]
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    for start, stop in zip(starts.tolist(), starts.tolist()[1:], strict=False):
        assert stop - start <= longest
        if start == stop:
            continue
        q, k, v = (t[start:stop].transpose(0, 1) for t in (query, key, value))
        k, v = (t.repeat_interleave(repeated, 0) for t in (k, v))
        back = torch.arange(stop - start)[:, None] - torch.arange(stop - start)
        unseen = (back < 0) | ((back > window) if window >= 0 else back < 0)
        scores = (q @ k.transpose(1, 2) * scale).masked_fill(unseen, -math.inf)
        out[start:stop] = (scores.softmax(-1) @ v).transpose(0, 1)
    return out


@pytest.fixture
def calls(monkeypatch):
    """The kernel is the stand-in, and runs; what it was called with is kept."""
    found = []

    def counted(*arguments):
        found.append(arguments)
        return attend(*arguments)

    monkeypatch.setattr("ft_kernel_varlen.choose", lambda name: counted)
    monkeypatch.setattr(Documents, "runs", lambda self, device, dtype: self.attend is not None)
    return found


def run_of(folder, *kernels, family=LLAMA, model_type="llama", rows=None):
    options = {"steps": 2, "precision": "float32", "packing": True, "max_length": 64}
    parts = [full.bind("full"), adamw.bind("adamw", {}), sft.bind("sft", options)]
    return tiny_run(folder, [*parts, *kernels], family=family, model_type=model_type, rows=rows)


def losses_of(run, rows):
    run.model.train()
    tokens = run.token_losses(run.model, run.collate(rows))
    tokens.losses.sum().backward()
    return tokens.losses, {name: p.grad for name, p in run.trainable()}


def assert_same(one, two):
    torch.testing.assert_close(one[0], two[0])
    for name, gradient in one[1].items():
        torch.testing.assert_close(gradient, two[1][name], rtol=1e-3, atol=1e-4, msg=name)


# -- the mask of documents --------------------------------------------------------------------


@pytest.mark.parametrize("window", [None, 1, 2, 5, 100])
@pytest.mark.parametrize("starts", [[0, 16], [0, 3, 4, 8, 13, 16], [0, 5, 8, 16, 16, 16]], ids=str)
def test_the_mask_of_documents_against_a_loop(starts, window):
    rows, length = 2, 8
    found = document_mask(torch.tensor(starts, dtype=torch.int32), rows, length, window)
    assert found.shape == (rows, 1, length, length)
    for row in range(rows):
        for one in range(length):
            for other in range(length):
                at, seen = row * length + one, row * length + other
                same = all((at < start) == (seen < start) for start in starts)
                near = window is None or one - other < window
                assert found[row, 0, one, other] == (other <= one and same and near)


# -- a model with it, packed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "model_type", "layers"),
    [(LLAMA, "llama", 2), (SLIDING, "mistral", 2), (gemma3, "gemma3_text", 2)],
    ids=["llama", "window", "window-and-global"],
)
def test_packed_documents_go_through_the_kernel(tmp_path, calls, family, model_type, layers):
    rows = packed(random_rows(6))[:2]
    plain = losses_of(run_of(tmp_path, family=family, model_type=model_type), rows)
    fast_run = run_of(tmp_path, varlen.bind("varlen"), family=family, model_type=model_type)
    fast = losses_of(fast_run, rows)
    assert_same(plain, fast)
    assert len(calls) == layers
    windows = {arguments[-1] for arguments in calls}
    assert (windows == {-1}) == (model_type == "llama")
    alone = losses_of(fast_run, [[rows[0][0]]])[0]
    torch.testing.assert_close(fast[0][: len(alone)], alone)


def test_documents_of_every_batch_are_its_own(tmp_path, calls):
    """What was decided for the first batch holds for the second, with other borders."""
    plain = run_of(tmp_path)
    fast = run_of(tmp_path, varlen.bind("varlen"))
    for rows in ([random_rows(3)], [random_rows(2, seed=4)], [random_rows(5, seed=7)]):
        for run in (plain, fast):
            run.model.zero_grad()
        assert_same(losses_of(plain, rows), losses_of(fast, rows))
    assert len(calls) == 6
    counts = [len(starts) for _, _, _, starts, *_ in calls]
    assert counts == sorted(counts), "a compiled model meets growing numbers only"


def test_masks_are_asked_for_once(tmp_path, calls, monkeypatch):
    """To look for packed rows in the positions is to wait for the device."""
    from transformers import masking_utils

    looked = []
    find = masking_utils.find_packed_sequence_indices
    monkeypatch.setattr(
        masking_utils,
        "find_packed_sequence_indices",
        lambda *args, **kwargs: looked.append(1) or find(*args, **kwargs),
    )
    plain, fast = run_of(tmp_path), run_of(tmp_path, varlen.bind("varlen"))
    batches = [[random_rows(3)], [random_rows(2, seed=4)], [random_rows(5, seed=7)]]
    for number, rows in enumerate(batches):
        for run in (plain, fast):
            run.model.zero_grad()
        before = losses_of(plain, rows)
        looked.clear()
        assert_same(before, losses_of(fast, rows))
        assert bool(looked) == (number == 0)
    # what is not packed has its mask again
    rows = random_rows(3)
    plain.model.zero_grad(), fast.model.zero_grad()
    assert_same(losses_of(plain, rows), losses_of(fast, rows))


def test_masks_that_are_needed_are_made_each_time(tmp_path, calls, monkeypatch):
    monkeypatch.setattr("ft_kernel_varlen.masks._sees_more", lambda parts: True)
    plain, fast = run_of(tmp_path), run_of(tmp_path, varlen.bind("varlen"))
    for rows in ([random_rows(3)], [random_rows(2, seed=4)]):
        for run in (plain, fast):
            run.model.zero_grad()
        assert_same(losses_of(plain, rows), losses_of(fast, rows))
    assert not calls


def test_the_mask_function_is_back_after_a_failure(tmp_path, calls, monkeypatch):
    from transformers.masking_utils import AttentionMaskInterface

    run = run_of(tmp_path, varlen.bind("varlen"))
    losses_of(run, [random_rows(3)])

    def fails(*args, **kwargs):
        raise ValueError("out of luck")

    monkeypatch.setattr(run.model.model.layers[0], "forward", fails)
    with pytest.raises(ValueError, match="out of luck"):
        losses_of(run, [random_rows(3)])
    assert "ft-varlen" in AttentionMaskInterface()


def test_rows_that_are_not_packed_keep_their_mask(tmp_path, calls):
    rows = random_rows(3)
    plain = losses_of(run_of(tmp_path), rows)
    assert_same(plain, losses_of(run_of(tmp_path, varlen.bind("varlen")), rows))
    assert not calls


def test_no_kernel_runs_on_a_cpu(tmp_path):
    rows = [random_rows(3), random_rows(2)]
    run = run_of(tmp_path, varlen.bind("varlen"))
    assert run.model.config._attn_implementation == "ft-varlen"
    assert not Documents(attend).runs(run.device, torch.bfloat16)
    assert_same(losses_of(run_of(tmp_path), rows), losses_of(run, rows))


def test_it_is_taken_back_at_the_end(tmp_path):
    from transformers import AttentionInterface

    run = run_of(tmp_path, varlen.bind("varlen"))
    assert "ft-varlen" in AttentionInterface()
    run.hook.ft_end_process(run=run)
    assert "ft-varlen" not in AttentionInterface()


# -- masks that say more --------------------------------------------------------------------------


def test_a_mask_of_images_is_never_dropped(tmp_path, calls):
    """Gemma 3 lets the tokens of an image see each other: causal for one batch, not the next."""
    run = run_of(tmp_path, varlen.bind("varlen"), family=gemma3, model_type="gemma3_text")
    plain = run_of(tmp_path, family=gemma3, model_type="gemma3_text")
    found = []
    for image in (False, True):
        for one in (plain, run):
            batch = one.collate([random_rows(2)])
            length = batch["input_ids"].shape[1]
            kinds = torch.zeros(1, length, dtype=torch.int64)
            kinds[:, 2:6] = int(image)
            one.model.eval()
            found.append(bidirectional(one, batch, kinds))
    assert found[0].equal(found[1]) or torch.allclose(found[0], found[1], atol=1e-5)
    torch.testing.assert_close(found[2], found[3])
    assert not torch.allclose(found[0], found[2], atol=1e-3), "the image changed nothing"


def bidirectional(run, batch, kinds):
    """The logits of a model whose masks join tokens of one kind, as those of images do."""
    from transformers import masking_utils

    made = masking_utils.create_causal_mask

    def joins(rows, head, query, key):
        return (kinds[rows, query] > 0) & (kinds[rows, key] > 0)

    def with_images(*args, **kwargs):
        return made(*args, **{**kwargs, "or_mask_function": joins})

    module = __import__(type(run.model).__module__, fromlist=["*"])
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(module, "create_causal_mask", with_images)
        return run.forward(run.model, batch, use_cache=False).logits


def test_scores_that_no_kernel_computes_are_refused(tmp_path, calls):
    """Soft-capped ones; torch's scaled product has no cap either."""
    family = ModelFamily("Gemma 2", "Google", ("gemma2",), accepts=("packing",))
    run = run_of(tmp_path, varlen.bind("varlen"), family=family, model_type="gemma2")
    with pytest.raises(InputError, match="has softcap, which kernel varlen cannot compute"):
        losses_of(run, [random_rows(3)])
    assert not calls


def test_a_mask_takes_the_kernels_place_where_it_does_not_fit(tmp_path, calls):
    """Here the heads are too wide, which is known in the layers alone."""
    rows = [random_rows(3), random_rows(2)]
    family = ModelFamily(
        "Llama", "Meta", ("llama",), accepts=("packing",), tiny={"llama": {"head_dim": 264}}
    )
    plain = losses_of(run_of(tmp_path, family=family), rows)
    assert_same(plain, losses_of(run_of(tmp_path, varlen.bind("varlen"), family=family), rows))
    assert not calls


# -- which kernel ------------------------------------------------------------------------------


def test_a_kernel_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(implementations.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"flash-attn-2 is not installed") as found:
        implementations.choose("flash-attn-2")
    assert "flash-attn" in found.value.hint
    assert implementations.choose("auto") is None
    assert implementations.choose("dense") is None


def test_the_newest_is_taken(monkeypatch):
    there = {"flash_attn", "torch.nn.attention.varlen"}
    monkeypatch.setattr(implementations, "is_installed", lambda name: name in there)
    assert implementations.choose("auto") is implementations.flash_attn_2
    there.add("flash_attn_interface")
    assert implementations.choose("auto") is implementations.flash_attn_3
    there.add("flash_attn.cute")
    assert implementations.choose("auto") is implementations.flash_attn_4


def test_version_4_alone_is_not_taken_for_version_2(tmp_path, monkeypatch):
    """It lies in a folder of that name without being that package."""
    cute = tmp_path / "flash_attn" / "cute"
    cute.mkdir(parents=True)
    (cute / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert implementations.is_installed("flash_attn.cute")
    assert not implementations.is_installed("flash_attn")
    assert not implementations.is_installed("flash_attn_interface")


@pytest.mark.parametrize(
    ("width", "heads", "mean", "short"),
    [
        (64, 4, SHORT - 1, True),
        (64, 4, SHORT, False),
        (80, 4, SHORT - 1, False),  # the blocks of the kernel are powers of two
        (64, 64, SHORT - 1, False),  # too many heads share keys
    ],
)
def test_the_kernel_for_short_documents_is_taken_for_them(width, heads, mean, short):
    def other(*arguments):
        """Another kernel."""

    documents = Documents(attend, other, running=True)
    documents.begin(torch.tensor([0, 10, 20]), 2 * mean)
    query, key = torch.empty(1, heads, 8, width), torch.empty(1, 2, 8, width)
    assert documents.kernel(query, key) is (other if short else attend)
    documents.attend = None  # asked for by name
    assert documents.kernel(query, key) is (other if width == 64 and heads == 4 else None)
    documents.running = False
    assert documents.kernel(query, key) is None
