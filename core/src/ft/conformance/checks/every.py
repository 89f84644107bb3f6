"""Level 2, of plugins of every kind: options as data, and manners while it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pydantic

from ft.conformance.bench import some
from ft.conformance.check import ANY, check
from ft.conformance.checks.described import bound
from ft.conformance.subject import Subject
from ft.recipe.keys import option_fields

LINES = 5
"""Lines that a plugin may write to the standard streams while it is used."""


# -------------------------------------------------------------------------------------------
# Options as data
# -------------------------------------------------------------------------------------------


@check(ANY, light=True)
def options_round_trip(subject: Subject) -> None:
    """Options come back from YAML as they were.

    Why: ``resolved.yaml`` of a run is written from the options that hold, and ``ft resume``,
    ``ft chat`` and ``ft export`` read it again.

    Passes: the options of each sample, dumped as JSON values, written as YAML and read again,
    validate to options that are equal, defaults included.

    Fails: a validator that turns a value into something which it does not accept itself; a
    default that is no value of its option; a serializer that rounds.

    Example: ``option betas is (0.9, 0.999) and comes back from YAML as (0.9, 0.99)``.
    """
    import yaml

    options = bound(subject).options
    dumped = _dumped(options)
    read = yaml.safe_load(yaml.safe_dump(dumped))
    try:
        again = type(options).model_validate(read)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "options"
        raise AssertionError(
            f"options that are written to YAML are refused when read again: {where}: {first['msg']}"
        ) from None
    for name in type(options).model_fields:
        was, now = getattr(options, name), getattr(again, name)
        assert was == now, f"option {name} is {was!r} and comes back from YAML as {now!r}"


@check(ANY, light=True)
def options_schema(subject: Subject) -> None:
    """Options have a JSON Schema that their values agree with.

    Why: editors complete and check recipes by it (``ft schema``); one plugin without a schema
    takes that from the whole recipe.

    Passes: ``Options.model_json_schema()`` works; it has every option, under the name that a
    recipe uses, with the description that it has; and the values of each sample, defaults
    included, have the types that it states.

    Fails: an option of a type that JSON does not know, such as ``torch.dtype``; a default that
    no validator saw; a serializer that writes something else than what is read.

    Example: ``option rank is 'auto', and its schema allows integer``.
    """
    model = type(subject.plugin).Options
    try:
        schema = model.model_json_schema()
    except Exception as error:
        first = str(error).splitlines()[0]
        raise AssertionError(f"its options have no JSON Schema: {first}") from error
    properties = schema.get("properties", {})
    for name, option in option_fields(model).items():
        assert name in properties, f"option {name} is not in the JSON Schema"
        described = properties[name].get("description")
        assert described or not option.description, (
            f"option {name} lost its description in the JSON Schema"
        )
    for name, value in _dumped(bound(subject).options).items():
        allowed = sorted(set(_types(properties.get(name, {}), schema.get("$defs", {}))))
        if allowed:
            assert _type_of(value) & {*allowed}, (
                f"option {name} is {value!r}, and its schema allows {' or '.join(allowed)}"
            )


def _dumped(options: pydantic.BaseModel) -> dict[str, Any]:
    try:
        return options.model_dump(mode="json", by_alias=True)
    except Exception as error:
        first = str(error).splitlines()[0]
        raise AssertionError(f"its options cannot be written: {first}") from error


def _types(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str]:
    """The types that a schema allows; none where it says nothing of them."""
    if "$ref" in schema:
        yield from _types(definitions.get(schema["$ref"].rpartition("/")[2], {}), definitions)
    for part in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(part, ()):
            yield from _types(inner, definitions)
    stated = schema.get("type", ())
    yield from [stated] if isinstance(stated, str) else stated
    for value in [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]:
        yield from _type_of(value)


def _type_of(value: Any) -> set[str]:
    """The names that JSON Schema has for the type of a value."""
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, int):
        return {"integer", "number"}
    names = {
        float: "number",
        str: "string",
        dict: "object",
        list: "array",
        type(None): "null",
    }
    return {names[type(value)]} if type(value) in names else set()


# -------------------------------------------------------------------------------------------
# Manners: what it does beside its work, in one small use
# -------------------------------------------------------------------------------------------


@check(ANY)
def no_network(subject: Subject) -> None:
    """It uses no network that nobody asked for.

    Why: runs happen on machines without one, and a plugin that reports home tells others what
    its users work on.

    Passes: in a small use from local files, all of Python's connections and look-ups of hosts
    counted, none leaves this machine. Each is refused while the kit watches.

    Fails: a look for a newer version; telemetry, also where its failure is caught; a tokenizer
    that is fetched by its name.

    Example: ``it asks for stats.example.org:443``.
    """
    found = _observe(subject).connections
    assert not found, f"it asks for {some(set(found))}"


@check(ANY)
def no_stray_files(subject: Subject) -> None:
    """It writes into its folders alone.

    Why: a run folder holds everything of a run; what lies elsewhere is neither found, nor copied,
    nor deleted with it, and is in the way of the next run.

    Passes: a small use changes files in the run's folder, in the temporary folder of the system
    and in ft's cache alone, and leaves nothing in the user's home or in the working folder, not
    by a compiled library either.

    Fails: ``open("debug.txt", "w")``; a cache in ``~/.mynet``; a file beside the plugin's code.

    Example: ``it writes ~/.mynet/cache.json``.
    """
    found = _observe(subject).written
    assert not found, f"it writes {some(set(found))}"


@check(ANY)
def no_state_left(subject: Subject) -> None:
    """It leaves the process as it was.

    Why: the next run of a notebook, a sweep or a server shares the process; what is left
    switched there changes its results, and nothing in its recipe says why.

    Passes: after a small use, and after ``ft_end_process``, all of these are what they were:
    environment, working folder, ``sys.path``, filters of warnings, levels and handlers of
    loggers, handlers of signals, threads; of torch the default type and device, gradient mode,
    threads, determinism, flags of backends; the functions and classes of torch and transformers,
    and what is registered with transformers. What a library does to the process as it is
    imported is not held against the plugin; nor are random numbers that were drawn.

    Fails: ``torch.set_default_dtype`` without a way back; ``LlamaAttention.forward = faster``, of
    the class where the model's own modules are meant; ``AutoConfig.register`` (read and build such
    a model in ``ft_load_config`` and ``ft_load_model``); a thread that goes on polling.

    Example: ``it leaves changed: torch.nn.functional.silu was replaced``.
    """
    found = _observe(subject).changed
    assert not found, f"it leaves changed: {'; '.join(found[:3])}"


@check(ANY)
def deterministic(subject: Subject) -> None:
    """The same seed gives the same result.

    Why: a run that cannot be repeated cannot be compared with another, and a resumed one is
    another run.

    Passes: two small uses in one process, every generator seeded alike before, give results that
    are equal to the last bit: losses and weights, a rendered text, an example.

    Fails: a generator that is seeded from the clock; an order taken from a ``set``; state that
    a first run leaves to the second.

    Example: ``two uses under one seed differ: a tensor of (4, 64) at 1.layer.up``.
    """
    differs = _observe(subject).differs
    assert not differs, f"two uses under one seed differ: {differs}"


@check(ANY)
def does_not_reseed(subject: Subject) -> None:
    """It leaves the seeding to core.

    Why: whatever draws after the plugin draws the same numbers whatever the run's seed is: five
    seeds are one, and each process of a large run sees the same dropout.

    Passes: the states of the generators of random, numpy and torch after a small use depend on
    the seed that they were given before. Core's own seeding is left out meanwhile.

    Fails: ``torch.manual_seed(0)`` ahead of an initialization, where a ``torch.Generator`` of its
    own, or ``torch.random.fork_rng``, is meant.

    Example: ``it seeds torch: its state after two uses is the same, whatever the seed before``.
    """
    found = _observe(subject).reseeded
    assert not found, (
        f"it seeds {' and '.join(found)}: the state after two uses is the same, whatever the seed "
        "before"
    )


@check(ANY)
def quiet(subject: Subject) -> None:
    """It speaks through the run.

    Why: what is printed tears a progress bar apart, is repeated by every process, and is lost
    where there is no terminal; ``run.progress`` knows all of that.

    Passes: a small use writes at most 5 lines to the standard streams.

    Fails: a ``print`` in a hook that is called for each step or row; the banner of a library.

    Example: ``it prints 96 lines, such as: 'step 1: loss 6.31'``.
    """
    printed = _observe(subject).printed
    assert len(printed) <= LINES, (
        f"it prints {len(printed)} lines, such as: {printed[len(printed) // 2][:200]!r}"
    )


def _observe(subject: Subject) -> Any:
    from ft.conformance.exercise import observe

    return observe(subject)
