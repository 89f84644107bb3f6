"""Finding, permitting and loading plugins: index, policy, load, and a run's selection."""
