"""The kernels that attend to documents of different lengths, behind one signature.

Each takes queries (tokens, heads, width), keys and values (tokens, fewer or as many heads,
width) in bfloat16 or float16, the documents' starts (int32, one more than there are documents,
the last one the number of tokens), the length of the longest, the softmax scale, and a window:
how many tokens before its own a query sees, -1 for all. Causal. Returns (tokens, heads, width).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from inspect import signature
from typing import TYPE_CHECKING, Any

from ft.api import InputError

if TYPE_CHECKING:
    from torch import Tensor

MODULES = {
    "flash-attn-4": "flash_attn.cute",
    "flash-attn-3": "flash_attn_interface",
    "flash-attn-2": "flash_attn",
    "torch": "torch.nn.attention.varlen",
}
"""The modules that have them, the newest first."""

Attend = Callable[[Any, Any, Any, Any, int, "float | None", int], Any]


def choose(name: str) -> Attend | None:
    """The kernel called ``name``; ``None`` for a dense mask.

    ``auto`` takes the newest that is installed, ``short`` leaves all to :func:`choose_short`.
    Raises :class:`InputError` for one that is not.
    """
    if name in ("dense", "short"):
        return None
    installed = {known: is_installed(module) for known, module in MODULES.items()}
    if name == "auto":
        return choose(next((known for known, there in installed.items() if there), "dense"))
    if not installed[name]:
        package = "flash-attn" if name == "flash-attn-2" else name
        raise InputError(
            f"{name} is not installed, and kernel varlen is asked for it",
            hint=f"install a current {package}, or leave implementation out",
        )
    if name == "torch":
        return torch_varlen()
    return {"flash-attn-4": flash_attn_4, "flash-attn-3": flash_attn_3}.get(name, flash_attn_2)


def is_installed(module: str) -> bool:
    """Whether a module is there: version 4 lies in a folder of the name of version 2's package."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # of what it lies in
        return False
    return spec is not None and spec.origin is not None


def choose_short(name: str) -> Attend | None:
    """The kernel for short documents, where ``name`` leaves the choice open or asks for it."""
    import torch

    if name not in ("auto", "short") or not torch.cuda.is_available():
        return None
    if importlib.util.find_spec("triton") is None:
        return None
    from ft_kernel_varlen.short import attend

    return attend


def torch_varlen() -> Attend:
    """Torch's own flash attention."""
    from torch.nn.attention.varlen import varlen_attn

    # before torch 2.12 fewer heads of keys and values needed no leave
    more = {"enable_gqa": True} if "enable_gqa" in signature(varlen_attn).parameters else {}

    def attend(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        starts: Tensor,
        longest: int,
        scale: float | None,
        window: int,
    ) -> Tensor:
        reach = {"scale": scale, "window_size": (window, 0), **more}
        return varlen_attn(query, key, value, starts, starts, longest, longest, **reach)  # type: ignore[arg-type,return-value]

    return attend


def packaged(module: str, unlimited: int | None = -1) -> Attend:
    """The function of a flash-attn package, which is imported when it is called.

    ``unlimited`` is what it takes for a window without a border.
    """

    def attend(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        starts: Tensor,
        longest: int,
        scale: float | None,
        window: int,
    ) -> Tensor:
        function = importlib.import_module(module).flash_attn_varlen_func
        borders = {"cu_seqlens_q": starts, "cu_seqlens_k": starts}
        lengths = {"max_seqlen_q": longest, "max_seqlen_k": longest}
        reach = (window, 0) if window >= 0 else (unlimited, unlimited)
        how = {"softmax_scale": scale, "causal": True, "window_size": reach}
        out = function(query, key, value, **borders, **lengths, **how)
        return out[0] if isinstance(out, tuple) else out  # newer ones add the softmax sums

    return attend


flash_attn_2 = packaged(MODULES["flash-attn-2"])
"""Dao, 2023, arXiv:2307.08691."""
flash_attn_3 = packaged(MODULES["flash-attn-3"])
"""Shah et al., 2024, arXiv:2407.08608, for compute capability 9.0."""
flash_attn_4 = packaged(MODULES["flash-attn-4"], unlimited=None)
"""For compute capability 9.0 and above; written in CuTe."""
