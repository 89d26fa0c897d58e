"""``nxlog chat``: ask, print the answer as it comes, then how certain it was."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nxlog.cli.color import console, paint
from nxlog.cli.paint import Painter
from nxlog.cli.report import answer_tokens, least_certain_table, summary
from nxlog.cli.text import one_line, visible, write, write_error
from nxlog.client import Client
from nxlog.errors import InvalidRequestError, MissingKeyError
from nxlog.registry import ProviderKind, Registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nxlog.cli.paint import Span
    from nxlog.logprobs import TokenLogprob
    from nxlog.response import ChatResponse, StreamChunk
    from nxlog.warnings import ParameterWarning


_OWN = {ProviderKind.ENGINE, ProviderKind.LOCAL}


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whom to ask, as the options say it."""

    model: str | None
    provider: str | None
    base_url: str | None
    api_key_env: str | None
    strict: bool


@dataclass(frozen=True, kw_only=True)
class Output:
    """How to print the answer."""

    json: bool
    color: bool
    report: bool
    least: int


def run(target: Target, fields: dict[str, Any], output: Output, *, stream: bool) -> None:
    """Ask and print.

    Raises:
        NxlogError: the call failed; what has arrived is printed.
    """
    client, model = connect(target)
    fields = {"model": model, **{name: value for name, value in fields.items() if value is not None}}
    told = _Told()
    printer = _Printer(color=output.color)
    with client:
        if not stream:
            reply = client.chat(**fields)
            if not output.json:
                _print_whole(printer, reply)
        else:
            with client.stream(**fields) as chunks:
                told.tell(chunks.warnings)
                try:
                    for chunk in chunks:
                        if not output.json:
                            printer.chunk(chunk)
                finally:
                    printer.end()
            reply = chunks.response
    if output.json:
        write(reply.model_dump_json() + "\n")
    elif output.report:
        print_report(reply, color=output.color, least=output.least)
    told.tell(reply.warnings)


def connect(target: Target) -> tuple[Client, str]:
    """A client, and the name it knows the model by.

    Raises:
        InvalidRequestError: a server is named but no model.
        MissingKeyError: the variable that should hold the key is not set.
    """
    registry = Registry.default()
    provider, model = target.provider, target.model
    if model is None:
        if provider is not None or target.base_url is not None or target.api_key_env is not None:
            raise InvalidRequestError("model: say which with -m, as in -m openai/gpt-4o-mini", param="model")
        provider, model = "local", _embedded_model()
    key = key_of(target.api_key_env)
    if provider is None and (_runs_here(registry, model) if target.base_url else key is not None):
        # An address or a key belongs to one provider: the one that the model names.
        found, model = registry.resolve(model)
        provider = found.id
    client = Client(
        provider=provider,
        base_url=target.base_url,
        api_key=key,
        on_unsupported="raise" if target.strict else "warn",
        registry=registry,
    )
    return client, model


def _runs_here(registry: Registry, model: str) -> bool:
    """Whether the model's prefix is an engine that people run themselves, as in ``vllm/my-model``.

    Any other prefix at an address of one's own is a part of the model's name: ``openai/gpt-oss-20b``.
    """
    prefix, slash, _ = model.partition("/")
    return bool(slash) and prefix in registry and registry.provider(prefix).kind in _OWN


def _embedded_model() -> str:
    from nxlog.local import default_engine  # noqa: PLC0415 - an extra, and it starts a model

    model = default_engine().model
    write_error(f"nxlog: no model given (-m): asking the embedded model {model}")
    return model


def key_of(variable: str | None) -> str | None:
    """The key in an environment variable.

    Raises:
        MissingKeyError: the variable is not set.
    """
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise MissingKeyError(f"the environment variable {variable} holds no key", param="api_key")
    return key


def print_report(reply: ChatResponse, *, color: bool, least: int) -> None:
    """The table of the least certain tokens and the summary."""
    screen = console(color=color)
    tokens = answer_tokens(reply)
    screen.print()
    if tokens and least:
        screen.print("Least certain tokens")
        screen.print(least_certain_table(tokens, least, width=screen.width))
    for line in summary(reply):
        screen.print(visible(line), soft_wrap=True)


class _Told:
    """Warnings go to stderr, each once: a stream knows some of them at its start and all at its end."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def tell(self, found: Iterable[ParameterWarning]) -> None:
        for warning in found:
            line = f"nxlog: {warning.severity}: {one_line(str(warning))}"
            if line not in self._seen:
                self._seen.add(line)
                write_error(line)


def _print_whole(printer: _Printer, reply: ChatResponse) -> None:
    logprobs = reply.logprobs
    if reply.reasoning:
        printer.aside(reply.reasoning)
    printer.answer(reply.text, logprobs.content if logprobs else ())
    if reply.refusal:
        printer.answer(reply.refusal, (logprobs.refusal or ()) if logprobs else ())
    printer.end()


class _Printer:
    """Prints an answer: colored and with control characters made visible, or exactly as it is."""

    def __init__(self, *, color: bool) -> None:
        self._color = color
        self._show = visible if color or sys.stdout.isatty() else str
        self._painter = Painter()
        self._last = "\n"
        self._aside = False

    def chunk(self, chunk: StreamChunk) -> None:
        if chunk.index != 0:
            return
        if chunk.reasoning_delta:
            self.aside(chunk.reasoning_delta)
            if not chunk.delta:
                return  # records without a channel of their own are those of the reasoning
        logprobs = chunk.logprobs
        self.answer(chunk.delta, logprobs.content if logprobs else ())
        if chunk.refusal_delta:
            self.answer(chunk.refusal_delta, (logprobs.refusal or ()) if logprobs else ())

    def answer(self, text: str, records: Sequence[TokenLogprob]) -> None:
        if text and self._aside:
            self._break()
            self._aside = False
        if not self._color:
            self._write(text, self._show(text))
        else:
            self._spans(self._painter.feed(text, records))

    def aside(self, text: str) -> None:
        """Reasoning is for people who watch; it is no part of the answer that a program reads."""
        if self._color or sys.stdout.isatty():
            self._aside = True
            self._write(text, f"\x1b[2m{self._show(text)}\x1b[0m" if self._color else self._show(text))

    def end(self) -> None:
        """Print what was held back, and end the line."""
        self._spans(self._painter.finish())
        self._break()

    def _spans(self, spans: Sequence[Span]) -> None:
        for span in spans:
            self._write(span.text, paint(self._show(span.text), span.probability))

    def _break(self) -> None:
        if self._last != "\n":
            self._write("\n", "\n")

    def _write(self, text: str, painted: str) -> None:
        if text:
            self._last = text[-1]
            write(painted)
