"""Telling a full or broken disk from a defect."""

from __future__ import annotations

_TORCH_WORDS = ("PytorchStreamWriter", "unexpected pos", "Parent directory")
"""What torch's RuntimeErrors say when a file cannot be opened or written to its end."""


def write_failure(error: Exception) -> str | None:
    """Why a file could not be written, or ``None`` where ``error`` is about something else.

    The libraries that write tensors wrap what the operating system said in errors of their
    own, which are no :class:`OSError`.
    """
    from safetensors import SafetensorError

    if isinstance(error, OSError):
        return error.strerror or str(error)
    by_torch = isinstance(error, RuntimeError) and any(w in str(error) for w in _TORCH_WORDS)
    wrapped = by_torch or (isinstance(error, SafetensorError) and "I/O error" in str(error))
    return str(error).splitlines()[0] if wrapped else None
