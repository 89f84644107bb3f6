"""What every check of a model needs, imported once in the process that workers are forked from."""

import threading

import torch  # noqa: F401
import tqdm
import transformers.integrations.sdpa_attention
import transformers.masking_utils
import transformers.modeling_utils  # noqa: F401

import ft.conformance.reference.modeling
import ft.conformance.worker  # noqa: F401

# its own lock spans processes, and would be left behind by a worker that is killed
tqdm.tqdm.set_lock(threading.RLock())
