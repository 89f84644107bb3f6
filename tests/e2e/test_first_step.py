"""What a user waits for before the first step: nothing that it does not need."""

from __future__ import annotations

import json
import subprocess
import sys

AFTERWARDS = {"matplotlib"}
"""Needed by the report, which comes last."""
NEVER = {
    *("tensorboard", "pandas", "pyarrow", "datasets", "sklearn", "scipy"),
    *("trl", "gradio", "torchvision", "IPython", "pytest"),
}
"""What some library imports where it may; none of it takes part in this run."""
LOOK = """
import gc, json, sys
import ft.training.loop

make = ft.training.loop.train

def train(run, model):
    with open("imported.json", "w") as file:
        names = sorted({name.partition(".")[0] for name in sys.modules})
        json.dump({"names": names, "kept": gc.get_freeze_count(), "on": gc.isenabled()}, file)
    make(run, model)

ft.training.loop.train = train
from ft.cli import main
code = main(sys.argv[1:])
assert not gc.get_freeze_count()
sys.exit(code)
"""


def test_nothing_is_done_that_the_first_step_does_not_need(work, checkpoint, recipe):
    (work / "rows.json").write_text(json.dumps([{"instruction": "What?", "output": "This."}] * 8))
    trainer = {"steps": 1, "batch_size": 2}
    file = recipe(model=str(checkpoint("qwen3")), data="rows.json", trainer=trainer)
    done = subprocess.run(
        [sys.executable, "-c", LOOK, "train", str(file)], cwd=work, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((work / "imported.json").read_text())
    imported = set(found["names"])
    assert {"torch", "transformers", "peft"} <= imported
    assert not imported & (AFTERWARDS | NEVER)
    # collections are on again, and pass over what the libraries have made
    assert found["on"]
    assert found["kept"] > 100_000
