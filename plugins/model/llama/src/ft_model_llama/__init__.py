"""Llama (Touvron et al., 2023, arXiv:2302.13971; Grattafiori et al., 2024, arXiv:2407.21783).

Many models of other vendors have this architecture and a chat template of their own, which
then counts. Llama 2, with another chat format, has a family of its own.
"""

from ft.api import Checkpoint, ModelFamily

family = ModelFamily(
    title="Llama",
    vendor="Meta",
    model_types=("llama",),
    templates=("llama3-1", "llama3-2", "llama3"),
    checkpoints=(
        Checkpoint("meta-llama/Meta-Llama-3-8B", parameters="8B", base=True),
        Checkpoint("meta-llama/Meta-Llama-3-70B", parameters="70B", base=True),
        Checkpoint("meta-llama/Meta-Llama-3-8B-Instruct", parameters="8B"),
        Checkpoint("meta-llama/Meta-Llama-3-70B-Instruct", parameters="70B"),
        Checkpoint("meta-llama/Meta-Llama-3.1-8B", parameters="8B", base=True),
        Checkpoint("meta-llama/Meta-Llama-3.1-70B", parameters="70B", base=True),
        Checkpoint("meta-llama/Meta-Llama-3.1-405B", parameters="405B", base=True),
        Checkpoint("meta-llama/Meta-Llama-3.1-8B-Instruct", parameters="8B"),
        Checkpoint("meta-llama/Meta-Llama-3.1-70B-Instruct", parameters="70B"),
        Checkpoint("meta-llama/Meta-Llama-3.1-405B-Instruct", parameters="405B"),
        Checkpoint("meta-llama/Llama-3.2-1B", parameters="1B", base=True),
        Checkpoint("meta-llama/Llama-3.2-3B", parameters="3B", base=True),
        Checkpoint("meta-llama/Llama-3.2-1B-Instruct", parameters="1B"),
        Checkpoint("meta-llama/Llama-3.2-3B-Instruct", parameters="3B"),
        Checkpoint("meta-llama/Llama-3.3-70B-Instruct", parameters="70B"),
        Checkpoint("huggyllama/llama-7b", parameters="7B", base=True),
        Checkpoint("huggyllama/llama-13b", parameters="13B", base=True),
        Checkpoint("huggyllama/llama-30b", parameters="30B", base=True),
        Checkpoint("huggyllama/llama-65b", parameters="65B", base=True),
    ),
    accepts=("packing",),
)
