"""Data: from files over rows, examples and token ids to micro batches."""
