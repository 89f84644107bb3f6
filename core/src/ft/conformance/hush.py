"""Imported before :mod:`ft.conformance.preload`: what libraries log meanwhile is no plugin's."""

import logging

logging.disable(logging.WARNING)
