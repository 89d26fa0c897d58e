"""From messages to the tokens a model reads, and from what it wrote to the tool calls in it.

::

    prompt = client.render(model="vllm/my-model", messages=messages)     # by the server that will answer
    renderer = nxlog.rendering.load("path/to/model")                     # here (needs nxlog[rl])
    prompt = renderer.render(messages, tools=tools)
    longer = renderer.bridge_to_next_turn(prompt.token_ids, output_ids, new_messages, tools)
    parsed = nxlog.rendering.parse_tool_calls(text, "hermes", tools=tools)
"""

from __future__ import annotations

from nxlog.rendered import Rendered, RenderSource
from nxlog.rendering.bridge import Bridge
from nxlog.rendering.load import load
from nxlog.rendering.messages import tool_result_text
from nxlog.rendering.qwen import tool_response, with_text_tools
from nxlog.rendering.renderer import Renderer
from nxlog.rendering.template import ChatTemplate
from nxlog.rendering.tool_calls import ParsedOutput, parse_tool_call_ids, parse_tool_calls, parse_turn
from nxlog.rendering.tool_formats import ToolFormat

__all__ = [
    "Bridge",
    "ChatTemplate",
    "ParsedOutput",
    "RenderSource",
    "Rendered",
    "Renderer",
    "ToolFormat",
    "load",
    "parse_tool_call_ids",
    "parse_tool_calls",
    "parse_turn",
    "tool_response",
    "tool_result_text",
    "with_text_tools",
]
