"""The training loop and what it stands on: order of rows, losses, schedules, checkpoints."""
