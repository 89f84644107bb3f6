"""Model families that are broken in one way."""

from mutant import mutant

from ft.api import hookimpl
from ft.conformance.reference.model import Family


def like_reference(family: type[Family]) -> Family:
    """An object of a broken class with the data of the reference family."""
    from ft.conformance.reference import family as reference

    made = family.__new__(family)
    vars(made).update(vars(reference))
    return made


@mutant("model.loss-falls")
def no_gradient():
    """A forward pass that cuts the graph."""

    class NoGradient(Family):
        @hookimpl
        def ft_patch_model(self, model):
            model.lm_head.register_forward_hook(lambda module, inputs, output: output * 0 + 1)

    return like_reference(NoGradient)
