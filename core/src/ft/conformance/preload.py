"""What every check of a model needs, imported once in the process that workers are forked from."""

import gc
import threading

import torch  # noqa: F401
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

# what is here already is not looked through again after each check
gc.collect()
gc.freeze()
