"""The commands and their options; what they do is in ``chat``, ``listing``, ``probe`` and ``conformance``."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import Annotated

import typer

from nxlog._version import __version__
from nxlog.cli import chat as chat_command
from nxlog.cli import listing
from nxlog.cli import migrate as migrate_command
from nxlog.cli.color import ColorMode, wants_color
from nxlog.cli.exits import MEANINGS, Status, reporting
from nxlog.cli.text import write, write_error

# \b keeps the lines as they are.
_STATUSES = "\b\nExit status:\n" + "\n".join(f"  {status.value:3}  {text}" for status, text in MEANINGS.items())

app: typer.Typer = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=_STATUSES,
    help="Ask language models, and see how certain they are of each token.",
)
local: typer.Typer = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The embedded model: no key, no server."
)
app.add_typer(local, name="local")
app.command(epilog=migrate_command.EPILOG)(migrate_command.migrate)

Color = Annotated[ColorMode, typer.Option(help="On a terminal, always, or never. NO_COLOR and FORCE_COLOR count.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it
    if wanted:
        write(f"nxlog {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command; ``--version`` ends the program before it gets here."""
    del version


@app.command(epilog=_STATUSES)
def chat(  # noqa: PLR0913 - one parameter for each option
    prompt: Annotated[str, typer.Argument(help="What to ask; - reads it from stdin.", show_default=False)],
    *,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="PROVIDER/MODEL", help="Whom to ask; without it, the embedded model."),
    ] = None,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="The system message.")] = None,
    top_logprobs: Annotated[int, typer.Option(min=0, help="Alternatives to ask for at each token.")] = 5,
    temperature: Annotated[float | None, typer.Option(min=0, help="Sampling temperature.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer, in tokens.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampler.")] = None,
    stream: Annotated[
        bool | None,
        typer.Option("--stream/--no-stream", help="Print the answer as it comes (not the default with --json)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole reply as JSON, and nothing else.")] = False,
    least: Annotated[int, typer.Option(min=0, help="How many of the least certain tokens to list.")] = 8,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer only.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where a field cannot be delivered.")] = False,
    provider: Annotated[str | None, typer.Option(metavar="ID", help="Provider of a bare model name.")] = None,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the server is, as for -m vllm/NAME.")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable that holds the key.")
    ] = None,
    color: Color = ColorMode.AUTO,
) -> None:
    """Ask a model; its answer is colored by the probability of each token, red to green."""
    with reporting():
        text = _stdin() if prompt == "-" else prompt
        if not text.strip():
            raise typer.BadParameter("the prompt is empty", param_hint="PROMPT")
        messages = [{"role": "user", "content": text}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        chat_command.run(
            chat_command.Target(
                model=model, provider=provider, base_url=base_url, api_key_env=api_key_env, strict=strict
            ),
            {
                "messages": messages,
                "logprobs": True,
                "top_logprobs": top_logprobs,
                "temperature": temperature,
                "max_tokens": max_tokens,
                "seed": seed,
            },
            chat_command.Output(json=as_json, color=wants_color(color), report=not quiet, least=least),
            stream=not as_json if stream is None else stream,
        )


@app.command()
def providers(*, as_json: AsJson = False, color: Color = ColorMode.AUTO) -> None:
    """List the providers, and whether they give log-probabilities."""
    with reporting():
        listing.print_providers(as_json=as_json, color=wants_color(color))


@app.command()
def capabilities(
    model: Annotated[str, typer.Argument(metavar="PROVIDER[/MODEL]", help="As in openai/gpt-4o.", show_default=False)],
    *,
    wire: Annotated[str | None, typer.Option(metavar="NAME", help="Wire format, when not the first.")] = None,
    as_json: AsJson = False,
    color: Color = ColorMode.AUTO,
) -> None:
    """Show what a model can do there, and on what evidence."""
    with reporting():
        listing.print_capabilities(model, wire=wire, as_json=as_json, color=wants_color(color))


@app.command(epilog=_STATUSES)
def probe(
    model: Annotated[
        str,
        typer.Argument(
            metavar="PROVIDER/MODEL",
            help="Whom to ask: vllm/my-model; local for the embedded model; custom/NAME for any server.",
            show_default=False,
        ),
    ],
    *,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the server is, when not at the provider's address.")
    ] = None,
    wire: Annotated[str | None, typer.Option(metavar="NAME", help="Wire format, when not the first.")] = None,
    api_key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable that holds the key.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The server and its version, for the evidence.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, help="Write a cassette for each answer there, without the key."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Longest wait for one answer.")] = 120,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with status 9 where the registry says something that is not so.")
    ] = False,
    as_json: AsJson = False,
    color: Color = ColorMode.AUTO,
) -> None:
    """Ask a live endpoint some two dozen short questions, and print what it can do as it was measured."""
    from nxlog.cli import probe as probe_command  # noqa: PLC0415 - only here

    with reporting():
        contradicted = probe_command.run(
            probe_command.Options(
                model=model,
                base_url=base_url,
                wire=wire,
                api_key_env=api_key_env,
                engine=engine,
                record=record,
                timeout=timeout,
            ),
            as_json=as_json,
            color=wants_color(color),
        )
        if check and contradicted:
            raise typer.Exit(Status.CONTRADICTED)


@app.command(epilog=_STATUSES)
def conformance(
    *,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the server is, when not at the provider's address.")
    ] = None,
    wire: Annotated[str | None, typer.Option(metavar="NAME", help="Wire format, when not the first.")] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME", help="The model, for servers that have several.")
    ] = "default",
    provider: Annotated[
        str, typer.Option(metavar="ID", help="Whose server it is; local for the embedded model.")
    ] = "custom",
    api_key_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable that holds the key.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Longest wait for one answer.")] = 120,
    as_json: AsJson = False,
    color: Color = ColorMode.AUTO,
) -> None:
    """Check whether a live server keeps the rules that a client of log-probabilities relies on."""
    from nxlog.cli import conformance as conformance_command  # noqa: PLC0415 - only here

    with reporting():
        kept = conformance_command.run(
            conformance_command.Options(
                provider=provider,
                model=model,
                base_url=base_url,
                wire=wire,
                api_key_env=api_key_env,
                timeout=timeout,
            ),
            as_json=as_json,
            color=wants_color(color),
        )
        if not kept:
            raise typer.Exit(Status.NONCONFORMANT)


@local.command()
def pull() -> None:
    """Install the embedded model into this Python environment."""
    from nxlog.local import pull as pull_model  # noqa: PLC0415 - only here

    with reporting():
        write_error("nxlog: installing the embedded model (93 MB) if it is not there")
        write(f"{pull_model()}\n")


@local.command()
def path() -> None:
    """Print the path of the embedded model."""
    from nxlog.local import find_model  # noqa: PLC0415 - only here

    with reporting():
        write(f"{find_model()}\n")


def _stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"stdin is not text in {error.encoding}", param_hint="PROMPT") from error
