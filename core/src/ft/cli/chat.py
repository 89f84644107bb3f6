"""``ft chat``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ft.cli.output import print_json

if TYPE_CHECKING:
    from ft.api import Run, Sampling


@click.command()
@click.argument("model")
@click.option("--prompt", "-p", "prompts", multiple=True, help="Answer this and leave; repeatable.")
@click.option("--system", help="System message before the conversation.")
@click.option("--engine", help="Engine plugin; unset: the only one installed.")
@click.option("--base", is_flag=True, help="The run's model as it was before training.")
@click.option("--max-new-tokens", default=512, show_default=True, type=click.IntRange(1))
@click.option("--temperature", default=0.0, show_default=True, type=click.FloatRange(0))
@click.option("--top-p", default=1.0, show_default=True, type=click.FloatRange(0, 1))
@click.option("--top-k", default=0, show_default=True, type=click.IntRange(0))
@click.option("--repetition-penalty", default=1.0, show_default=True, type=click.FloatRange(0))
@click.option("--seed", type=int, help="Seed of the sampling.")
@click.option("--device", help="auto, cpu, cuda, …; unset: the run's.")
@click.option("--json", "as_json", is_flag=True, help="Print the answers to --prompt as JSON.")
def chat(
    model: str,
    prompts: tuple[str, ...],
    system: str | None,
    engine: str | None,
    base: bool,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    top_k: int,
    repetition_penalty: float,
    seed: int | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Talk to MODEL: a run folder, or a model as a recipe names it.

    Each --prompt is a conversation of its own. Without one, a conversation begins here:
    /new starts over, /exit or Ctrl-D ends it.
    """
    from ft.api import Sampling
    from ft.cli.progress import TerminalProgress
    from ft.cli.quiet import quiet_libraries
    from ft.pipeline.open import choose_plugin, open_run
    from ft.plugins.policy import installed_index

    quiet_libraries()
    index = installed_index()
    sampling = Sampling(
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        repetition_penalty=repetition_penalty,
        seed=seed,
    )
    with TerminalProgress() as progress:
        chosen = choose_plugin(index, "engine", engine)
        run = open_run(model, index, progress, [chosen], device=device)
        run.model = run.load_base() if base or not run.is_finished else run.load_result()
    if prompts:
        _answer(run, prompts, system, sampling, as_json)
    else:
        _converse(run, system, sampling)


def _answer(
    run: Run, prompts: tuple[str, ...], system: str | None, sampling: Sampling, as_json: bool
) -> None:
    """Answer each prompt in a conversation of its own."""
    from ft.api import Conversation, Message

    opening = [Message("system", system)] if system else []
    answers = run.generate(
        [Conversation([*opening, Message("user", prompt)]) for prompt in prompts], sampling
    )
    if as_json:
        print_json(
            [
                {
                    "prompt": prompt,
                    **answer.message.as_template_input(),
                    "finished": answer.finished,
                    "tokens": len(answer.token_ids),
                }
                for prompt, answer in zip(prompts, answers, strict=True)
            ]
        )
        return
    for prompt, answer in zip(prompts, answers, strict=True):
        if len(prompts) > 1:
            click.secho(f"> {prompt}", bold=True)
        click.echo(answer.text.strip())


def _converse(run: Run, system: str | None, sampling: Sampling) -> None:
    """A conversation at the terminal, streamed."""
    from dataclasses import replace

    from ft.api import Conversation, Message

    opening = [Message("system", system)] if system else []
    messages = list(opening)
    streaming = replace(sampling, stream=lambda text: click.echo(text, nl=False))
    click.secho("/new starts over, /exit ends", dim=True, err=True)
    while True:
        try:
            said = click.prompt(click.style(">", bold=True), prompt_suffix=" ")
        except click.Abort:
            click.echo()
            return
        if said.strip() == "/exit":
            return
        if said.strip() == "/new":
            messages = list(opening)
            continue
        messages.append(Message("user", said))
        answer = run.generate([Conversation(messages)], streaming)[0]
        click.echo("" if answer.finished else click.style(" … (max-new-tokens)", dim=True))
        messages.append(answer.message)
