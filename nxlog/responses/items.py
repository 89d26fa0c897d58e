"""The items of the Responses API: what a model puts out, and what it can be given.

Keys that nxlog has no field for are kept on the item (``item.model_extra``) and go along when it is sent back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Tag

from nxlog.logprobs import TokenLogprob
from nxlog.response import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


PARAGRAPH = "\n\n"
"""Between the parts of a reasoning, each of which is a text of its own, often with a heading."""


class _Open(BaseModel):
    """Base of everything here."""

    # Inputs can be long and private: errors name the field and the rule, not the value.
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)


# -- parts -----------------------------------------------------------------------------------------------------------


class OutputText(_Open):
    """Text of an answer."""

    type: Literal["output_text"] = "output_text"
    text: Text = ""
    annotations: list[dict[str, Any]] = []
    logprobs: list[TokenLogprob] | None = None
    """The token records of this text; ``[]`` where the server sent an empty list, None where it sent none."""


class Refusal(_Open):
    """Text of a refusal."""

    type: Literal["refusal"] = "refusal"
    refusal: Text = ""
    logprobs: list[TokenLogprob] | None = None
    """No server of this API is known to send them; converted from a chat answer they are here."""


class ReasoningText(_Open):
    """Text of a reasoning, or of the summary that stands for it."""

    type: Literal["reasoning_text", "summary_text"] = "reasoning_text"
    text: Text = ""


class InputText(_Open):
    """Text of the user, the system or a tool."""

    type: Literal["input_text"] = "input_text"
    text: str


class OtherPart(_Open):
    """Any other part (an image, a file, audio), kept whole."""

    type: str = ""


# -- items -----------------------------------------------------------------------------------------------------------


class Message(_Open):
    """A message of the model."""

    type: Literal["message"] = "message"
    id: Text | None = None
    role: Text = "assistant"
    status: Text | None = None
    content: list[OutputPart] = []

    @property
    def text(self) -> str:
        """The text of all its parts."""
        return "".join(part.text for part in self.content if isinstance(part, OutputText))

    @property
    def refusal(self) -> str:
        """The text of its refusals; mostly ``""``."""
        return "".join(part.refusal for part in self.content if isinstance(part, Refusal))


class Reasoning(_Open):
    """A reasoning, as far as the server shows it."""

    type: Literal["reasoning"] = "reasoning"
    id: Text | None = None
    summary: list[ReasoningText] = []
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None
    status: Text | None = None
    logprobs: list[TokenLogprob] | None = None
    """The token records of the reasoning. No server sends them here; they are those that vLLM mixes into the records
    of the text, where it can be proven which they are, with the mark that ends the reasoning as the last."""

    @property
    def text(self) -> str:
        """The text of summary and content."""
        return PARAGRAPH.join(part.text for part in [*self.summary, *(self.content or ())] if part.text)


class FunctionCall(_Open):
    """A function that the model wants called; ``arguments`` is the JSON text as the model wrote it."""

    type: Literal["function_call"] = "function_call"
    id: Text | None = None
    call_id: Text = ""
    name: Text = ""
    arguments: Text = ""
    status: Text | None = None


class FunctionCallOutput(_Open):
    """What a function gave back."""

    type: Literal["function_call_output"] = "function_call_output"
    id: Text | None = None
    call_id: Text = ""
    output: str | list[dict[str, Any]] = ""
    status: Text | None = None


class CodeInterpreterCall(_Open):
    """Code that the server ran."""

    type: Literal["code_interpreter_call"] = "code_interpreter_call"
    id: Text | None = None
    code: Text | None = None
    container_id: Text | None = None
    outputs: list[dict[str, Any]] | None = None
    status: Text | None = None


class WebSearchCall(_Open):
    """A search that the server made; ``action`` is ``{"type": "search" | "open_page" | "find", ...}``."""

    type: Literal["web_search_call"] = "web_search_call"
    id: Text | None = None
    action: dict[str, Any] | None = None
    status: Text | None = None


class OtherItem(_Open):
    """Any other item, kept whole."""

    type: str = ""


class InputMessage(_Open):
    """A message in the input: of the user, the system, the developer, or of an earlier assistant."""

    type: Literal["message"] = "message"
    role: Literal["user", "system", "developer", "assistant"]
    content: str | list[InputPart]


def _type_of(value: object) -> str:
    kind = cast("dict[str, object]", value).get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return str(kind or "")


def _tagged(known: Iterable[str]) -> Callable[[object], str]:
    names = frozenset(known)

    # The parentheses mark what is no field in the place of an error.
    def tag(value: object) -> str:
        kind = _type_of(value)
        return f"({kind})" if kind in names else "(other)"

    return tag


def _kind_of_input(value: object) -> str:
    if isinstance(value, Message):
        return "(output)"
    kind = _type_of(value)
    if isinstance(value, InputMessage):
        return "(message)"
    if isinstance(value, dict):
        given = cast("dict[str, Any]", value)
        if kind == "message" or (not kind and "role" in given):
            return "(output)" if _is_output(given) else "(message)"
    return f"({kind})" if kind in _ITEM_TYPES else "(other)"


def _is_output(message: dict[str, Any]) -> bool:
    """Whether a message is one that a model has put out, with the id that its server gave it."""
    return message.get("role") == "assistant" and isinstance(message.get("content"), list) and "id" in message


_ITEM_TYPES = frozenset(
    {"reasoning", "function_call", "function_call_output", "code_interpreter_call", "web_search_call"}
)

OutputPart = Annotated[
    Annotated[OutputText, Tag("(output_text)")]
    | Annotated[Refusal, Tag("(refusal)")]
    | Annotated[OtherPart, Tag("(other)")],
    Discriminator(_tagged(("output_text", "refusal"))),
]
InputPart = Annotated[
    Annotated[InputText, Tag("(input_text)")]
    | Annotated[OutputText, Tag("(output_text)")]
    | Annotated[Refusal, Tag("(refusal)")]
    | Annotated[OtherPart, Tag("(other)")],
    Discriminator(_tagged(("input_text", "output_text", "refusal"))),
]
OutputItem = Annotated[
    Annotated[Message, Tag("(message)")]
    | Annotated[Reasoning, Tag("(reasoning)")]
    | Annotated[FunctionCall, Tag("(function_call)")]
    | Annotated[FunctionCallOutput, Tag("(function_call_output)")]
    | Annotated[CodeInterpreterCall, Tag("(code_interpreter_call)")]
    | Annotated[WebSearchCall, Tag("(web_search_call)")]
    | Annotated[OtherItem, Tag("(other)")],
    Discriminator(_tagged(_ITEM_TYPES | {"message"})),
]
"""What a model puts out."""
InputItem = Annotated[
    Annotated[InputMessage, Tag("(message)")]
    | Annotated[Message, Tag("(output)")]
    | Annotated[Reasoning, Tag("(reasoning)")]
    | Annotated[FunctionCall, Tag("(function_call)")]
    | Annotated[FunctionCallOutput, Tag("(function_call_output)")]
    | Annotated[CodeInterpreterCall, Tag("(code_interpreter_call)")]
    | Annotated[WebSearchCall, Tag("(web_search_call)")]
    | Annotated[OtherItem, Tag("(other)")],
    Discriminator(_kind_of_input),
]
"""What a model can be given, which is also all that one has put out: ``input=[*reply.output, ...]``."""

Message.model_rebuild()
InputMessage.model_rebuild()


def as_input(item: InputItem | OutputItem) -> dict[str, Any]:
    """The item as it is sent, without token records: no server reads them, and they are long."""
    out = item.model_dump(exclude_none=True)
    out.pop("logprobs", None)
    for part in out["content"] if isinstance(out.get("content"), list) else ():
        part.pop("logprobs", None)
    return out
