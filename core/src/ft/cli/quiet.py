"""Keep libraries from writing over what ft shows."""

from __future__ import annotations

import logging
import os
import warnings


def quiet_libraries() -> None:
    """Silence progress bars, advice and deprecation notes of libraries; errors still show.

    ``FT_TRACEBACK=1`` leaves everything as it is, for debugging.
    """
    if os.environ.get("FT_TRACEBACK"):
        return
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    warnings.filterwarnings("ignore")
    if logging.lastResort is not None:  # what writes the warnings of a library that nobody set up
        logging.lastResort.setLevel(logging.ERROR)
    # torch has this one told of how other libraries use it
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
