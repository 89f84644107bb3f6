"""A run, step by step: resolve, load, patch, adapt, data, train, save, report."""
