"""Tools in plain text, in the manner of Qwen and Hermes, for models whose chat template knows none.

Tools are described in the system message, calls are ``<tool_call>`` blocks of the assistant, and results are
``<tool_response>`` blocks inside user messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nxlog.rendering.messages import template_messages, template_tools, to_json, tool_result_text

if TYPE_CHECKING:
    from collections.abc import Iterable

CHATML = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
"""The chat template of models that have ChatML's tokens and no template of their own."""
CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")


def with_text_tools(messages: Iterable[object], tools: Iterable[object] | None = None) -> list[dict[str, Any]]:
    """The conversation with everything about tools written out as text.

    Args:
        messages: as of ``template_messages``.
        tools: what the model may call; described at the end of the system message, which is made where there is none.
    """
    written: list[dict[str, Any]] = []
    after_result = False
    for message in template_messages(messages):
        role, text = message["role"], message["content"]
        if role == "tool":
            response = tool_response(text)
            if after_result:  # results of one turn are one user message
                written[-1]["content"] += "\n" + response
            else:
                written.append({"role": "user", "content": response})
        else:
            blocks = [tool_call(call["function"]) for call in message.get("tool_calls", ())]
            written.append({"role": role, "content": "\n".join([text, *blocks] if text else blocks)})
        after_result = role == "tool"
    if described := template_tools(tools):
        first = written[0] if written and written[0]["role"] == "system" else None
        text = tools_text(described)
        system = {"role": "system", "content": text if first is None else f"{first['content']}\n\n{text}"}
        written[: 0 if first is None else 1] = [system]
    return written


def tool_response(result: object) -> str:
    """The result of a tool, as a user message holds it; see ``tool_result_text``."""
    return f"<tool_response>\n{tool_result_text(result)}\n</tool_response>"


def tool_call(function: dict[str, Any]) -> str:
    """A call with its name and arguments, as the assistant writes it."""
    arguments = function["arguments"]
    # Arguments that are text are what a model wrote and nobody could parse; they go back as they came.
    text = arguments if isinstance(arguments, str) else to_json(arguments)
    return f'<tool_call>\n{{"name": {to_json(function["name"])}, "arguments": {text}}}\n</tool_call>'


def tools_text(tools: Iterable[object]) -> str:
    """What a system message says of the tools."""
    lines = [to_json(tool) for tool in template_tools(tools) or ()]
    return "\n".join(
        (
            "# Tools",
            "",
            "These functions may be called. Each line within <tools></tools> describes one as JSON:",
            "<tools>",
            *lines,
            "</tools>",
            "",
            "To call one, write a JSON object with its name and arguments within <tool_call></tool_call>:",
            "<tool_call>",
            '{"name": <name of the function>, "arguments": <object with the arguments>}',
            "</tool_call>",
        )
    )
