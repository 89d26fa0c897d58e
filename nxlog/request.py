"""``ChatRequest`` and the messages, tools and formats in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

Role = Literal["system", "developer", "user", "assistant", "tool"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

INCLUDE_LOGPROBS = "message.output_text.logprobs"
"""What asks for records on the Responses API: without it in ``include`` none come, whatever ``top_logprobs`` says."""


class _Part(BaseModel):
    """Base of everything inside a request."""

    # Inputs can be long and private: errors name the field and the rule, not the value.
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _OpenPart(_Part):
    # Providers hang keys of their own on parts (cache_control, ...), which go along.
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")


class TextPart(_OpenPart):
    """Text inside a message of parts."""

    type: Literal["text"] = "text"
    text: str


class ImageURL(_Part):
    """Where an image is: an ``https:`` or ``data:`` URL."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(_OpenPart):
    """An image inside a message of parts."""

    type: Literal["image_url"] = "image_url"
    image_url: ImageURL


class OtherPart(_OpenPart):
    """Any other part (audio, file, ...), passed on as it is."""

    type: str


class FunctionCall(_Part):
    """A function the model wants called; ``arguments`` is the JSON text as the model wrote it."""

    name: str
    arguments: str


class ToolCall(_Part):
    """One tool call of an assistant message."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class FunctionDefinition(_Part):
    """A function the model may call; ``parameters`` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Part):
    """One entry of ``tools``."""

    type: Literal["function"] = "function"
    function: FunctionDefinition


class JsonSchemaFormat(_Part):
    """A named JSON schema for the answer."""

    name: str = "answer"
    description: str | None = None
    json_schema: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None

    model_config: ClassVar[ConfigDict] = ConfigDict(populate_by_name=True)


class ResponseFormat(_Part):
    """``{"type": "text" | "json_object"}`` or ``{"type": "json_schema", "json_schema": {"name", "schema"}}``."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None

    @model_validator(mode="after")
    def _schema_belongs_to_its_type(self) -> Self:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("'json_schema' is given exactly when type is 'json_schema'")
        return self


def _kind_of_part(value: object) -> str:
    kind = cast("dict[str, object]", value).get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"({kind})" if kind in {"text", "image_url"} else "(other)"


def _kind_of_content(value: object) -> str:
    return "(parts)" if isinstance(value, list) else "(text)"


# Told apart beforehand, so that a mistake is reported once and no misspelled part passes as an unknown one. The
# parentheses mark what is no field in the place of an error.
Part = Annotated[
    Annotated[TextPart, Tag("(text)")]
    | Annotated[ImagePart, Tag("(image_url)")]
    | Annotated[OtherPart, Tag("(other)")],
    Discriminator(_kind_of_part),
]
ToolChoice = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag("(word)")] | Annotated[dict[str, Any], Tag("(tool)")],
    Discriminator(lambda value: "(tool)" if isinstance(value, dict) else "(word)"),
]
Content = Annotated[
    Annotated[str, Tag("(text)")] | Annotated[list[Part], Tag("(parts)")], Discriminator(_kind_of_content)
]


class Message(_Part):
    """One message. Tool results have role ``tool`` and the ``tool_call_id`` they answer."""

    role: Role
    content: Content | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None

    @model_validator(mode="after")
    def _has_what_its_role_needs(self) -> Self:
        if self.role == "tool" and self.tool_call_id is None:
            raise ValueError("a message with role 'tool' needs 'tool_call_id'")
        if self.role != "assistant" and self.content is None:
            raise ValueError(f"a message with role '{self.role}' needs 'content'")
        if self.role != "assistant" and self.tool_calls is not None:
            raise ValueError("only a message with role 'assistant' has 'tool_calls'")
        return self

    @property
    def text(self) -> str:
        """The text of the message; parts that are not text are left out."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content if isinstance(part, TextPart))
        return self.content or ""


def _strictly(kind: type, rule: str) -> BeforeValidator:
    def check(value: object) -> object:
        # bool is an int in Python, and "yes" is neither: both are mistakes here, not spellings.
        if value is not None and type(value) is not kind:
            raise ValueError(f"must be {rule}, got {type(value).__name__}")
        return value

    return BeforeValidator(check)


def _not_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, got bool")
    return value


_NO_BOOL = BeforeValidator(_not_bool)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else _none_if_empty(value)


def _none_if_empty(value: object) -> object:
    # An empty list asks for nothing, and servers refuse it.
    return None if value == [] else value


# The fields that the requests of all APIs have.
Model = Annotated[str, Field(min_length=1)]
Temperature = Annotated[float | None, Field(ge=0), _NO_BOOL]
TopP = Annotated[float | None, Field(ge=0, le=1), _NO_BOOL]
Count = Annotated[int | None, Field(ge=1), _NO_BOOL]
Penalty = Annotated[float | None, _NO_BOOL]
Flag = Annotated[bool | None, _strictly(bool, "a bool: True or False")]
Alternatives = Annotated[int | None, Field(ge=0), _strictly(int, "an int >= 0")]
Options = Annotated[dict[str, Any] | None, Field(repr=False)]
TokenIds = Annotated[list[Annotated[int, Field(ge=0, lt=2**31, strict=True)]] | None, BeforeValidator(_none_if_empty)]

NEED_LOGPROBS = ("top_logprobs", "logprob_token_ids")
"""Fields that turn logprobs on."""


def _asks(value: object) -> bool:
    return value is not None and value != []


class Request(BaseModel):
    """What the requests of all APIs have in common."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        # JSON has no numbers for them.
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _alternatives_imply_logprobs(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        given = cast("dict[str, Any]", value)
        if given.get("logprobs") is not None or not any(_asks(given.get(name)) for name in NEED_LOGPROBS):
            return given
        return {**given, "logprobs": True}

    @field_validator(*NEED_LOGPROBS, check_fields=False)
    @classmethod
    def _alternatives_need_logprobs(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("logprobs") is False:
            raise ValueError("given together with logprobs=False; leave one of the two out")
        return value

    def with_logprobs(self, logprobs: bool = True) -> Self:  # noqa: FBT001, FBT002 - reads as a sentence
        """The same request with logprobs on; ``with_logprobs(False)`` also forgets the alternatives."""
        given = {} if logprobs else {name: None for name in NEED_LOGPROBS if name in type(self).model_fields}
        return self._replace(logprobs=logprobs, **given)

    def with_top_logprobs(self, top_logprobs: int) -> Self:
        """The same request asking for that many alternatives for each token."""
        return self._replace(logprobs=True, top_logprobs=top_logprobs)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed, which are checked as those of a new request are.

        Raises:
            pydantic.ValidationError: as for a new request.
        """
        # Unchecked, top_logprobs would be sent without logprobs, and messages as dicts that nobody has read.
        copied = super().model_copy(deep=deep)
        return copied._replace(**update) if update else copied

    def _replace(self, **changes: Any) -> Self:
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).model_validate({**given, **changes})


class ChatRequest(Request):
    """One request for a chat answer, the same for every provider.

    What is left out is not sent. Fields a provider, model or mode cannot deliver are dropped with a
    ``ParameterWarning`` when the call is made.

    Raises:
        pydantic.ValidationError: a field is unknown or breaks its rule; the error names both.
    """

    model: Model
    """``"provider/model"``, or a bare model name with ``Client(provider=...)``."""
    input_ids: TokenIds = None
    """The prompt as token ids, in place of the messages; these may then be left out."""
    messages: Annotated[list[Message], Field(validate_default=True)] = []
    """The conversation, oldest first; dicts or ``Message``."""
    temperature: Temperature = None
    top_p: TopP = None
    max_tokens: Count = None
    """Upper limit of generated tokens, reasoning included where the provider counts it."""
    stop: Annotated[list[str] | None, BeforeValidator(_as_list)] = None
    """Texts at which generation ends; one string is a list of one."""
    seed: Annotated[int | None, _NO_BOOL] = None
    n: Count = None
    """How many choices to generate."""
    presence_penalty: Penalty = None
    frequency_penalty: Penalty = None
    tools: Annotated[list[Tool] | None, BeforeValidator(_none_if_empty)] = None
    """What the model may call; an empty list is the same as none."""
    tool_choice: ToolChoice | None = None
    """Which tool to call; a dict names one in OpenAI's shape."""
    response_format: ResponseFormat | None = None
    reasoning_effort: ReasoningEffort | None = None
    logprobs: Flag = None
    """Whether to return the logprob of every generated token."""
    top_logprobs: Alternatives = None
    """How many alternatives to return for each token; turns ``logprobs`` on. Its upper limit is the provider's."""
    logprob_token_ids: TokenIds = None
    """Ids whose logprobs to return at every place, among the alternatives; turns ``logprobs`` on."""
    return_token_ids: Flag = None
    """Whether to return the ids of the prompt and of what was generated."""
    prompt_logprobs: Alternatives = None
    """Return the logprobs of the prompt's tokens, with so many alternatives for each."""
    stop_token_ids: TokenIds = None
    """Ids at which generation ends."""
    provider_options: Options = None
    """Keys passed on as they are, for what nxlog has no field for. Never logprobs."""

    if TYPE_CHECKING:
        # What the fields take, which is more than what they hold.
        def __init__(  # noqa: PLR0913 - one for each field
            self,
            *,
            model: str,
            input_ids: Sequence[int] | None = None,
            messages: Sequence[Message | Mapping[str, Any]] = (),
            temperature: float | None = None,
            top_p: float | None = None,
            max_tokens: int | None = None,
            stop: str | Sequence[str] | None = None,
            seed: int | None = None,
            n: int | None = None,
            presence_penalty: float | None = None,
            frequency_penalty: float | None = None,
            tools: Sequence[Tool | Mapping[str, Any]] | None = None,
            tool_choice: Literal["auto", "none", "required"] | dict[str, Any] | None = None,
            response_format: ResponseFormat | Mapping[str, Any] | None = None,
            reasoning_effort: ReasoningEffort | None = None,
            logprobs: bool | None = None,
            top_logprobs: int | None = None,
            logprob_token_ids: Sequence[int] | None = None,
            return_token_ids: bool | None = None,
            prompt_logprobs: int | None = None,
            stop_token_ids: Sequence[int] | None = None,
            provider_options: dict[str, Any] | None = None,
        ) -> None: ...

    @field_validator("messages")
    @classmethod
    def _there_is_a_prompt(cls, value: list[Message], info: ValidationInfo) -> list[Message]:
        if not value and info.data.get("input_ids") is None:
            raise ValueError("give at least one message, or input_ids")
        return value


def describe_errors(errors: list[Mapping[str, Any]]) -> tuple[str, str]:
    """The first field pydantic complained about, and one line with every complaint and the kind of each value."""
    lines: list[str] = []
    for error in errors:
        where = ".".join(part for part in map(str, error["loc"]) if not part.startswith("(")) or "request"
        message = str(error["msg"]).removeprefix("Value error, ")
        got = "" if "got" in message or error["type"] in {"missing", "value_error"} else _kind(error.get("input"))
        lines.append(f"{where}: {message}{got}")
    first = str(errors[0]["loc"][0]) if errors[0]["loc"] else "request"
    return first, "; ".join(lines)


def _kind(value: object) -> str:
    return f" (got {type(value).__name__})"
