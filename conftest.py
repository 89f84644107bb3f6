"""What all tests of the workspace share."""

import signal

import hypothesis
import pytest

# a first draw imports much, and on two busy cores that alone takes longer than a check allows
hypothesis.settings.register_profile(
    "workspace", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("workspace")


@pytest.fixture(autouse=True)
def _interrupts_arrive():
    """A shell that starts a job in the background has it ignore Ctrl-C; tests send it."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file on one worker, unless it divides them into groups itself."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
