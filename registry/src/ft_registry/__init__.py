"""What the project says of plugins: data files alone, which ``ft`` reads without this module."""
