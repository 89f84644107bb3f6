"""ft: plugin-based fine-tuning of language models.

Plugins import from :mod:`ft.api` and from nothing else in this package.
"""

__version__ = "0.1.0"
