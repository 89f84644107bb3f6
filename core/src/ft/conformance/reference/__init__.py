"""One plugin of each kind that passes every check, and stands beside a plugin under test.

What a check finds must not depend on which other plugins are installed: a run that it makes is
put together from these, with the plugin under test in the place of its kind.
"""

from ft.conformance.reference.adapter import adapter
from ft.conformance.reference.dataset import dataset
from ft.conformance.reference.model import family
from ft.conformance.reference.optimizer import optimizer
from ft.conformance.reference.quantizer import quantizer
from ft.conformance.reference.template import template
from ft.conformance.reference.trainer import trainer

REFERENCES = {
    plugin.kind: plugin
    for plugin in (family, template, dataset, adapter, quantizer, optimizer, trainer)
}
"""Kind → the reference plugin."""
