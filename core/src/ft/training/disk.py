"""Telling a full or broken disk from a defect."""

from __future__ import annotations


def write_failure(error: Exception) -> str | None:
    """Why a file could not be written, or ``None`` where ``error`` is about something else.

    The libraries that write tensors wrap what the operating system said in errors of their
    own, which are no :class:`OSError`.
    """
    from safetensors import SafetensorError

    if isinstance(error, OSError):
        return error.strerror or str(error)
    wrapped = (isinstance(error, SafetensorError) and "I/O error" in str(error)) or (
        isinstance(error, RuntimeError)
        and any(
            word in str(error)
            for word in ("PytorchStreamWriter", "unexpected pos", "Parent directory")
        )
    )
    return str(error).splitlines()[0] if wrapped else None
