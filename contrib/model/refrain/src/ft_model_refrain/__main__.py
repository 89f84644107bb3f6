"""``python -m ft_model_refrain FOLDER``: write the start of a model to pre-train."""

from __future__ import annotations

import argparse
from pathlib import Path

from ft_model_refrain.start import write_start


def main(arguments: list[str] | None = None) -> None:
    """Read the sizes from the command line and write the folder."""
    parser = argparse.ArgumentParser(prog="python -m ft_model_refrain", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hidden-size", type=int, default=256, help="channels (%(default)s)")
    parser.add_argument("--layers", type=int, default=8, help="decoder layers (%(default)s)")
    parser.add_argument("--heads", type=int, default=4, help="attention heads (%(default)s)")
    given = parser.parse_args(arguments)
    if (given.folder / "config.json").exists():
        parser.error(f"{given.folder} holds a model already; name another folder")
    if given.hidden_size % (2 * given.heads):
        parser.error("--hidden-size must be an even multiple of --heads")
    count = write_start(
        given.folder,
        hidden_size=given.hidden_size,
        intermediate_size=4 * given.hidden_size,
        num_hidden_layers=given.layers,
        num_attention_heads=given.heads,
    )
    print(f"{given.folder}: the start of a model with {count:,} parameters")


if __name__ == "__main__":
    main()
