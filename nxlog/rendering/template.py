"""``ChatTemplate``: from messages to the text that a model continues."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nxlog.errors import InvalidRequestError
from nxlog.rendering.messages import template_messages, template_tools
from nxlog.rendering.qwen import CHATML, with_text_tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nxlog.rendering._jinja import CompiledTemplate

_NONE: Mapping[str, Any] = MappingProxyType({})


class ChatTemplate:
    """A Jinja chat template, run in a sandbox (needs ``nxlog[rl]``); safe to share between threads.

    Args:
        source: the template.
        tool_source: the one for requests with tools, where a model has two.
        variables: what templates ask for besides messages and tools: ``bos_token``, ``eos_token``, ...

    Raises:
        InvalidRequestError: the template has an error in its syntax.
        ModuleNotFoundError: Jinja is not installed.
    """

    def __init__(self, source: str, *, tool_source: str | None = None, variables: Mapping[str, Any] = _NONE) -> None:
        self.source: str = source
        self.variables: Mapping[str, Any] = dict(variables)
        self._plain: CompiledTemplate = _compiled(source)
        self._with_tools: CompiledTemplate = self._plain if tool_source is None else _compiled(tool_source)

    def render(
        self,
        messages: Iterable[object],
        *,
        tools: Iterable[object] | None = None,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """The text of the conversation.

        Args:
            messages: dicts, ``nxlog.Message`` or other objects with ``model_dump``.
            tools: what the model may call.
            add_generation_prompt: whether to open the assistant's turn at the end.
            variables: further ones for the template, such as ``enable_thinking``.

        Raises:
            InvalidRequestError: the template refuses the messages, or they have what it cannot write.
        """
        described = template_tools(tools)
        template = self._with_tools if described else self._plain
        given = {"messages": template_messages(messages), "tools": described}
        settings = {"documents": None, "add_generation_prompt": add_generation_prompt}
        return template.render({**self.variables, **settings, **variables, **given})


class ChatML(ChatTemplate):
    """ChatML with tools as text: the stand-in for a tokenizer that has ChatML's tokens and no template."""

    def __init__(self) -> None:
        super().__init__(CHATML)

    def render(
        self,
        messages: Iterable[object],
        *,
        tools: Iterable[object] | None = None,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """The text of the conversation; see ``with_text_tools``."""
        written = with_text_tools(messages, tools)
        return super().render(written, add_generation_prompt=add_generation_prompt, **variables)


def _compiled(source: str) -> CompiledTemplate:
    try:
        from nxlog.rendering._jinja import CompiledTemplate  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise needs_extra(error) from None
    if not isinstance(source, str):  # pyright: ignore[reportUnnecessaryIsInstance] - files may hold anything
        raise InvalidRequestError(f"chat template: must be text, got {type(source).__name__}", param="template")
    return CompiledTemplate(source)


def needs_extra(error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The error for a package of the extra that is not installed."""
    return ModuleNotFoundError(f"local rendering needs {error.name}: pip install 'nxlog[rl]'", name=error.name)
