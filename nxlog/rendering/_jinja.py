"""Chat templates run by Jinja, in a sandbox: a template comes with a model, from wherever the model came."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, cast

from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nxlog.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2.parser import Parser


class _Generation(Extension):
    """``{% generation %}`` marks what the assistant said; for the text it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - the base class has it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The inside of the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _tojson(value: Any, indent: int | None = None, **options: Any) -> str:
    # Not Jinja's own filter, which escapes for HTML.
    settings: dict[str, Any] = {"ensure_ascii": False, "indent": indent, **options}
    return json.dumps(value, **settings)


def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    made.filters["tojson"] = _tojson
    functions = {"raise_exception": _raise_exception, "strftime_now": _strftime_now}
    cast("dict[str, Any]", made.globals).update(functions)
    return made


_ENVIRONMENT = _environment()


class CompiledTemplate:
    """A template that compiled; safe to share between threads."""

    def __init__(self, source: str) -> None:
        try:
            self._template = _ENVIRONMENT.from_string(source)
        except TemplateSyntaxError as error:
            raise InvalidRequestError(
                f"chat template: line {error.lineno}: {error.message}", param="template"
            ) from None

    def render(self, variables: Mapping[str, Any]) -> str:
        """The text for these variables."""
        try:
            return self._template.render(variables)
        except TemplateError as error:
            raise InvalidRequestError(f"the chat template refuses: {error.message}", param="messages") from None
        except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            # What a template does to messages that it was not written for.
            raise InvalidRequestError(
                f"the chat template fails: {type(error).__name__}: {error}", param="messages"
            ) from None
