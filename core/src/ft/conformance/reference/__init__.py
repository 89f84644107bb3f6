"""One plugin of each kind that passes every check, and stands beside a plugin under test.

What a check finds must not depend on which other plugins are installed: a run that it makes is
put together from these, with the plugin under test in the place of its kind.
"""

from ft.api import Plugin
from ft.conformance.reference.adapter import adapter
from ft.conformance.reference.backend import backend
from ft.conformance.reference.command import command
from ft.conformance.reference.dataset import dataset
from ft.conformance.reference.engine import engine
from ft.conformance.reference.evaluator import evaluator
from ft.conformance.reference.exporter import exporter
from ft.conformance.reference.kernel import kernel
from ft.conformance.reference.model import family
from ft.conformance.reference.optimizer import optimizer
from ft.conformance.reference.quantizer import quantizer
from ft.conformance.reference.reward import reward
from ft.conformance.reference.source import source
from ft.conformance.reference.template import template
from ft.conformance.reference.tracker import tracker
from ft.conformance.reference.trainer import trainer

REFERENCES: dict[str, Plugin] = {
    plugin.kind: plugin
    for plugin in (
        family,
        template,
        dataset,
        adapter,
        quantizer,
        optimizer,
        trainer,
        kernel,
        backend,
        engine,
        exporter,
        evaluator,
        reward,
        tracker,
        source,
        command,
    )
}
"""Kind → the reference plugin."""
