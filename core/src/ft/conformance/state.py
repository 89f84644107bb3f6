"""The state of the whole process: what it is, and what has become different.

A run shares its process with others: a notebook, a server, the next run. What a plugin changes
there for good, it changes for them.
"""

from __future__ import annotations

import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

State = dict[str, Any]
"""What it is, in words, → its value; of functions the function itself."""

WINDING_DOWN = 1.0
"""Seconds that a thread may take to end."""
_OWN_THREADS = ("tqdm.",)
"""Libraries that leave a thread running by design, which a plugin cannot help."""
_GONE = "nothing"


def values(draws: bool = False) -> State:
    """Everything but functions; ``draws`` adds the state of the random generators."""
    found: State = {
        "the working folder": os.getcwd(),  # noqa: PTH109 (the text is what is compared)
        "sys.path": list(sys.path),
        "sys.meta_path": [_named(f) for f in sys.meta_path if not isinstance(f, _Libraries)],
        "sys.excepthook": _named(sys.excepthook),
        "sys.stdout": _named(sys.stdout),
        "sys.stderr": _named(sys.stderr),
        "the recursion limit": sys.getrecursionlimit(),
        "the garbage collector": (gc.isenabled(), gc.get_threshold()),
        "the default timeout of sockets": socket.getdefaulttimeout(),
        "the start method of processes": multiprocessing.get_start_method(allow_none=True),
        "the locale": locale.setlocale(locale.LC_ALL),
        "the file mode mask": _mask(),
        # what was imported meanwhile has registered itself here, which changes nothing
        "the filters of warnings": [repr(f[:3]) + repr(f[4]) for f in warnings.filters],
        "warnings.showwarning": _named(warnings.showwarning),
        "logging.disable": logging.root.manager.disable,
        "the handlers of the root logger": [_named(h) for h in logging.root.handlers],
    }
    found |= {f"the environment variable {name}": value for name, value in os.environ.items()}
    found |= {f"the handler of {s.name}": _named(signal.getsignal(s)) for s in signal.Signals}
    found |= {f"the level of logger {name}": level for name, level in _levels().items()}
    found |= {f"thread {t.name}": t.ident for t in threading.enumerate() if not _is_allowed(t)}
    if draws:
        found["the state of random"] = hash(random.getstate())
    if "numpy" in sys.modules:
        found |= _numpy(sys.modules["numpy"], draws)
    if "torch" in sys.modules:
        found |= _torch(sys.modules["torch"], draws)
    return found


def _named(thing: Any) -> Any:
    """Something that differs where the object does, and can be read."""
    if isinstance(thing, (int, str, type(None))):
        return thing
    name = getattr(thing, "__qualname__", type(thing).__qualname__)
    return f"{name} ({id(thing):#x})"


def _mask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _levels() -> dict[str, int]:
    """The levels of loggers that have one of their own."""
    known = {
        n: lo.level for n, lo in logging.root.manager.loggerDict.items() if hasattr(lo, "level")
    }
    return {"root": logging.root.level, **{n: level for n, level in known.items() if level}}


def _is_allowed(thread: threading.Thread) -> bool:
    if not thread.is_alive() or thread is threading.main_thread():
        return True
    return type(thread).__module__.startswith(_OWN_THREADS)


def _numpy(numpy: ModuleType, draws: bool) -> State:
    with suppress(AttributeError):  # half imported
        found: State = {
            "numpy.geterr()": numpy.geterr(),
            "numpy.get_printoptions()": repr(numpy.get_printoptions()),
        }
        if draws:
            found["the state of numpy.random"] = repr(numpy.random.get_state())
        return found
    return {}


def _torch(torch: ModuleType, draws: bool) -> State:
    found: State = {}
    with suppress(AttributeError, RuntimeError):
        found |= {
            "torch.get_default_dtype()": torch.get_default_dtype(),
            "torch.get_default_device()": torch.get_default_device(),
            "torch.get_num_threads()": torch.get_num_threads(),
            "torch.is_grad_enabled()": torch.is_grad_enabled(),
            "torch.is_inference_mode_enabled()": torch.is_inference_mode_enabled(),
            "torch.is_anomaly_enabled()": torch.is_anomaly_enabled(),
            "torch.is_autocast_enabled('cpu')": torch.is_autocast_enabled("cpu"),
            "torch.get_autocast_dtype('cpu')": torch.get_autocast_dtype("cpu"),
            "torch.are_deterministic_algorithms_enabled()": (
                torch.are_deterministic_algorithms_enabled()
            ),
            "torch.get_float32_matmul_precision()": torch.get_float32_matmul_precision(),
            "torch.backends.cudnn": tuple(
                getattr(torch.backends.cudnn, name)
                for name in ("enabled", "benchmark", "deterministic")
            ),
            "torch.backends.mkldnn.enabled": torch.backends.mkldnn.enabled,
            "torch's attention kernels": (
                torch.backends.cuda.flash_sdp_enabled(),
                torch.backends.cuda.mem_efficient_sdp_enabled(),
                torch.backends.cuda.math_sdp_enabled(),
            ),
            "torch's process group": torch.distributed.is_initialized(),
            "torch's hooks of all modules": _global_hooks(torch.nn.modules.module),
        }
        if draws:
            found["the state of torch's generator"] = hash(bytes(torch.get_rng_state().tolist()))
    return found


def _global_hooks(module: ModuleType) -> list[str]:
    """Hooks that are called in every module of the process."""
    return [
        _named(hook)
        for name, hooks in vars(module).items()
        if name.startswith("_global_") and isinstance(hooks, dict)
        for hook in hooks.values()
    ]


# -------------------------------------------------------------------------------------------
# Functions of libraries, which a plugin may replace
# -------------------------------------------------------------------------------------------

_TORCH = ("torch", "torch._tensor", "torch.nn.functional", "torch.nn.init", "torch.nn.utils")
_PARTS = ("torch.nn.modules.", "torch.optim.", "transformers.")
_REGISTRIES = {
    "transformers.models.auto.configuration_auto": ("CONFIG_MAPPING",),
    "transformers.models.auto.modeling_auto": ("MODEL_MAPPING", "MODEL_FOR_CAUSAL_LM_MAPPING"),
    "transformers.models.auto.tokenization_auto": ("TOKENIZER_MAPPING",),
    "transformers.modeling_utils": ("ALL_ATTENTION_FUNCTIONS",),
}
"""Module → its mappings that take registrations."""


def functions(modules: set[str] | None = None) -> State:
    """The functions of torch and of transformers by their names, and what is registered there.

    Those of ``modules`` that are imported, or of all that are.
    """
    found: State = {}
    for name in sorted(set(sys.modules) if modules is None else modules):
        module = sys.modules.get(name)
        if not isinstance(module, ModuleType):
            continue
        if name in _TORCH or name.startswith(_PARTS):
            _add(found, name, vars(module), name)
        for registry in _REGISTRIES.get(name, ()):
            mapping = getattr(module, registry, None)
            for attribute in ("_extra_content", "_local_mapping", "_global_mapping"):
                for key in list(getattr(mapping, attribute, ())):
                    found[f"the registration of {_named_key(key)} in {name}.{registry}"] = True
    return found


def _named_key(key: Any) -> str:
    return getattr(key, "__name__", None) or str(key)


def _add(found: State, module: str, names: Mapping[str, Any], prefix: str) -> None:
    """The functions among ``names``, and those of the classes that the module defines."""
    for name, value in list(names.items()):
        if isinstance(value, (FunctionType, property, staticmethod, classmethod)):
            found[f"{prefix}.{name}"] = value
        elif isinstance(value, type) and prefix == module:
            found[f"{prefix}.{name}"] = value
            if value.__module__ == module:
                _add(found, module, vars(value), f"{module}.{name}")
        elif callable(value) and module in _TORCH and prefix == module:
            found[f"{prefix}.{name}"] = value  # torch's own, compiled


# -------------------------------------------------------------------------------------------
# What has changed
# -------------------------------------------------------------------------------------------


class Changes:
    """What :func:`watch_state` found: sentences, once the body has ended."""

    def __init__(self) -> None:
        self.found: list[str] = []


@contextmanager
def watch_state(own: str, draws: bool = False) -> Iterator[Changes]:
    """Note what the body leaves changed, and is not the work of a library's import.

    ``own`` is the plugin's top-level module. What a library does to the process while it is
    imported for the first time, no plugin can help; it is taken for having been so before.
    What it does later, when the plugin calls it, is the plugin's to put back.
    """
    changes = Changes()
    before, before_functions = values(draws), functions()

    @contextmanager
    def forgive() -> Iterator[None]:
        at_start, modules = values(draws), set(sys.modules)
        try:
            yield
        finally:
            now = values(draws)
            for name in now.keys() | at_start.keys():
                if now.get(name, _GONE) != at_start.get(name, _GONE):
                    before[name] = now.get(name, _GONE)
            for name, value in functions(set(sys.modules) - modules).items():
                before_functions.setdefault(name, value)

    libraries = _Libraries(own, forgive)
    sys.meta_path.insert(0, libraries)
    try:
        yield changes
    finally:
        sys.meta_path.remove(libraries)
        changes.found += _differences(before, _settled(before, draws))
        changes.found += _replaced(before_functions)


def _settled(before: State, draws: bool) -> State:
    """The values once threads had time to end."""
    deadline = time.monotonic() + WINDING_DOWN
    while True:
        now = values(draws)
        fresh = [name for name in now if name.startswith("thread ") and name not in before]
        if not fresh or time.monotonic() > deadline:
            return now
        time.sleep(0.02)


def _differences(before: State, after: State) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, _GONE), after.get(name, _GONE)
        if was == now:
            continue
        if name.startswith("thread "):
            if now != _GONE:
                yield f"{name} is still running"
        elif isinstance(was, list) and isinstance(now, list):
            more = [str(entry) for entry in now if entry not in was]
            less = [str(entry) for entry in was if entry not in now]
            told = [f"has {', '.join(more)} more"] * bool(more)
            told += [f"lacks {', '.join(less)}"] * bool(less)
            yield f"{name} {' and '.join(told) or 'is in another order'}"[:200]
        else:
            yield f"{name} was {was} and is {now}"[:200]


def _replaced(before: State) -> Iterator[str]:
    after = functions()
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            if name.startswith("the registration "):
                yield f"{name} is new"
        elif name in after and after[name] is not before[name] and not _is_of_torch(after[name]):
            yield f"{name} was replaced"


def _is_of_torch(function: Any) -> bool:
    """Whether torch wrapped it itself.

    So it does with the step of an optimizer: for its profiler when the first one of a class is
    made, and for its compiler once that is imported.
    """
    code = getattr(function, "__code__", None)
    by_compiler = code is not None and "/torch/_dynamo/" in code.co_filename.replace("\\", "/")
    return by_compiler or getattr(function, "hooked", False)


class _Libraries:
    """Finds modules as ever, and has the import of each outermost one of a library forgiven."""

    def __init__(self, own: str, forgive: Any):
        self._own, self._forgive = own, forgive
        self._inside = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The spec that the other finders have, its loader told to call :meth:`_execute`."""
        if self._inside or name.partition(".")[0] == self._own:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is None:
                continue
            loader: Any = spec.loader
            # a loader that is a class serves many modules, all of them Python's own
            if hasattr(loader, "exec_module") and not isinstance(loader, type):
                with suppress(AttributeError):
                    loader.exec_module = partial(self._execute, loader.exec_module, loader)
            return spec
        return None

    def _execute(self, execute: Any, loader: Any, module: ModuleType) -> None:
        del loader.exec_module
        if self._inside:
            execute(module)
            return
        self._inside = True
        try:
            with self._forgive():
                execute(module)
        finally:
            self._inside = False
