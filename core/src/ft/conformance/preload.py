"""What every check of a model needs, imported once in the process that workers are forked from."""

import gc
import tempfile
import threading
from contextlib import suppress

import torch
import tqdm
import transformers.integrations.sdpa_attention
import transformers.masking_utils
import transformers.modeling_utils
import transformers.utils.logging

import ft.conformance.reference.modeling
import ft.conformance.worker  # noqa: F401

# its own lock spans processes, and would be left behind by a worker that is killed
tqdm.tqdm.set_lock(threading.RLock())

# ft shows none of their progress bars either
transformers.utils.logging.disable_progress_bar()

# its table of how checkpoints are renamed takes a third of a second to make
with suppress(ImportError, AttributeError):
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    get_checkpoint_conversion_mapping("")

# its tables of characters take seconds to make, and are kept in the working folder by default
with suppress(ImportError):
    import hypothesis
    import hypothesis.configuration
    import hypothesis.strategies

    hypothesis.configuration.set_hypothesis_home_dir(f"{tempfile.gettempdir()}/ft-kit-hypothesis")
    hypothesis.settings(max_examples=1, database=None, deadline=None)(
        hypothesis.given(hypothesis.strategies.text())(lambda text: None)
    )()

DEVICE_IN_USE = torch.cuda.is_initialized()
"""Whether an import has claimed the device, as some libraries of kernels do: a process that is
forked from this one cannot use it then."""

# what is here already is not looked through again after each check
gc.collect()
gc.freeze()
