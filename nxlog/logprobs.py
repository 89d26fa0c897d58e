"""Token log-probabilities of an answer: whole (``LogprobsData``) and in streams (``StreamLogprobsDelta``).

Both hold the token records of an answer by channel, in the order of the wire, and serialize to OpenAI's JSON. All
logprobs are natural logarithms. The records are lazy (see ``TokenLogprob``) and keep the reply's text alive;
``compact()`` gives an equal object that does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import msgspec
from pydantic_core import core_schema

from nxlog import _json
from nxlog._columns import Columns, CompactTokens, columns_of
from nxlog._record_json import record_json_schema, record_to_object
from nxlog._records import TokenLogprob, TopLogprob, decode_tokens, record_from_object
from nxlog.distribution import Distribution, DistributionSource

if TYPE_CHECKING:
    from typing import Self

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

__all__ = ["Channel", "Columns", "LogprobsData", "StreamLogprobsDelta", "TokenLogprob", "TopLogprob"]

Channel = Literal["content", "refusal", "reasoning"]
CHANNELS: tuple[Channel, ...] = ("content", "refusal", "reasoning")
_ALIASES: dict[str, Channel] = {"reasoning_content": "reasoning", **{name: name for name in CHANNELS}}


class _Channels(Sequence[TokenLogprob]):
    """Token records by channel; as a sequence it is the content channel."""

    __slots__ = ("_content", "_reasoning", "_refusal")

    def __init__(
        self,
        content: Sequence[TokenLogprob] | None = None,
        *,
        refusal: Sequence[TokenLogprob] | None = None,
        reasoning: Sequence[TokenLogprob] | None = None,
    ) -> None:
        self._content = content
        self._refusal = refusal
        self._reasoning = reasoning

    @property
    def content(self) -> Sequence[TokenLogprob]:
        """The tokens of the answer, ``[]`` where the server sent none in this channel."""
        return self._content if self._content is not None else []

    @property
    def refusal(self) -> Sequence[TokenLogprob] | None:
        """The tokens of a refusal; None where the server sent no such channel."""
        return self._refusal

    @property
    def reasoning(self) -> Sequence[TokenLogprob] | None:
        """The tokens of the reasoning; None where the server sent no such channel (or mixed it into content)."""
        return self._reasoning

    def channel(self, name: Channel) -> Sequence[TokenLogprob] | None:
        """One channel by its name; None where the server did not send it."""
        return {"content": self._content, "refusal": self._refusal, "reasoning": self._reasoning}[name]

    def columns(self, channel: Channel = "content") -> Columns:
        """The channel as columns for bulk work: float64 and int64 buffers, alternatives as offsets and values."""
        return columns_of(self.channel(channel) or [])

    def compact(self) -> Self:
        """An equal object held as columns, every distinct text once; it no longer keeps the reply's text alive."""
        held = {name: self.channel(name) for name in CHANNELS}
        return type(self)(**{name: None if part is None else CompactTokens(part) for name, part in held.items()})

    def __len__(self) -> int:
        return len(self.content)

    @overload
    def __getitem__(self, index: int) -> TokenLogprob: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[TokenLogprob]: ...
    def __getitem__(self, index: int | slice) -> TokenLogprob | Sequence[TokenLogprob]:
        return self.content[index]

    def __iter__(self) -> Iterator[TokenLogprob]:
        return iter(self.content)

    def __bool__(self) -> bool:
        """Whether any channel has a record; a refusal alone counts."""
        return any(self.channel(name) for name in CHANNELS)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Channels) or type(other) is not type(self):
            return NotImplemented
        return all(_same(self.channel(name), other.channel(name)) for name in CHANNELS)

    def __hash__(self) -> int:
        return hash(tuple(self.content))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._content, self._refusal, self._reasoning)

    def __repr__(self) -> str:
        parts = [f"{len(self.content)} tokens"]
        if self.content:
            text = "".join(token.token for token in self.content[:8])
            parts.append(repr(text if len(self.content) <= 8 else text + "…"))
        parts += [f"{name}={len(part)}" for name in CHANNELS[1:] if (part := self.channel(name)) is not None]
        return f"{type(self).__name__}({', '.join(parts)})"

    # -- the pydantic verbs -------------------------------------------------------------------------------------

    @classmethod
    def model_validate(cls, value: object) -> Self:
        """From an instance or the parsed JSON object.

        Raises:
            ValueError: the value is no object with the channels ``content``, ``refusal``, ``reasoning``.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, dict):
            raise ValueError(f"{cls.__name__}: expected an object with 'content', got {type(value).__name__}")
        return cls(**channels_from_object(cast("dict[str, Any]", value)))

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> Self:
        """From JSON, as lazily as from a server; NaN and Infinity literals are understood.

        Raises:
            ValueError: not JSON, or not the shape.
        """
        data = _json.utf8(text)
        try:
            parts = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        except _json.BROKEN:
            return cls.model_validate(_json.loads(data))
        decoded = {key: None if part == _json.NULL else decode_tokens(part) for key, part in parts.items()}
        return cls(**_by_channel(decoded))

    def model_dump(self, *, mode: Literal["python", "json"] = "python") -> dict[str, Any]:
        """OpenAI's object. Channels the server did not send are left out, except ``content``, which is then null.

        In mode ``"json"`` a value without a JSON number is the string ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``,
        which ``model_validate`` reads back.
        """
        out: dict[str, Any] = {
            name: None if (part := self.channel(name)) is None else [record_to_object(token) for token in part]
            for name in CHANNELS
            if name == "content" or self.channel(name) is not None
        }
        return _json.json_safe(out) if mode == "json" else out

    def model_dump_json(self, *, indent: int | None = None) -> str:
        """The same as strict JSON."""
        return _json.dumps(self.model_dump(), indent=indent)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.model_validate,
            serialization=core_schema.plain_serializer_function_ser_schema(cls._serialize, info_arg=True),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return channels_json_schema(cls.__name__)

    @staticmethod
    def _serialize(value: _Channels, info: core_schema.SerializationInfo) -> dict[str, Any]:
        return value.model_dump(mode="json" if info.mode == "json" else "python")


class LogprobsData(_Channels):
    """All token records of one choice.

    A sequence of its content tokens: ``len(data)``, ``data[0]``, ``for token in data``. ``None`` on a response means
    that no record came back; an object with empty ``content`` can only be made by hand.

    Attributes:
        distribution: which distribution the numbers describe. Neither part of the value (``==``) nor of the JSON, which
            is OpenAI's; copies and pickles keep it.
        distribution_source: who says so.
    """

    __slots__ = ("distribution", "distribution_source")

    def __init__(
        self,
        content: Sequence[TokenLogprob] | None = None,
        *,
        refusal: Sequence[TokenLogprob] | None = None,
        reasoning: Sequence[TokenLogprob] | None = None,
    ) -> None:
        super().__init__(content, refusal=refusal, reasoning=reasoning)
        self.distribution: Distribution = Distribution.UNKNOWN
        self.distribution_source: DistributionSource = DistributionSource.NOBODY

    def with_distribution(
        self,
        distribution: Distribution | str,
        source: DistributionSource | str = DistributionSource.ASSERTED,
    ) -> Self:
        """The same records with another label; for numbers of your own, or those that you know better.

        Raises:
            ValueError: there is no such distribution or source.
        """
        labeled = type(self)(self._content, refusal=self._refusal, reasoning=self._reasoning)
        labeled.distribution = Distribution(distribution)
        known = labeled.distribution is not Distribution.UNKNOWN
        labeled.distribution_source = DistributionSource(source) if known else DistributionSource.NOBODY
        return labeled

    def compact(self) -> Self:
        """As of any channels, with the label kept."""
        return super().compact().with_distribution(self.distribution, self.distribution_source)

    def __reduce__(self) -> tuple[Any, ...]:
        _, parts = super().__reduce__()
        return _rebuild_labeled, (self.distribution.value, self.distribution_source.value, *parts)


class StreamLogprobsDelta(_Channels):
    """The token records of one chunk of a stream: zero, one or many, whatever text the chunk carries."""

    __slots__ = ()


def _rebuild(cls: type[_Channels], content: Any, refusal: Any, reasoning: Any) -> _Channels:
    return cls(content, refusal=refusal, reasoning=reasoning)


def _rebuild_labeled(distribution: str, source: str, *parts: Any) -> LogprobsData:
    return cast("LogprobsData", _rebuild(*parts)).with_distribution(distribution, source)


def _same(a: Sequence[TokenLogprob] | None, b: Sequence[TokenLogprob] | None) -> bool:
    if a is None or b is None:
        return a is b
    return len(a) == len(b) and all(x == y for x, y in zip(a, b, strict=True))


def channels_from_object(value: dict[str, Any]) -> dict[Channel, list[TokenLogprob] | None]:
    """Channels of a parsed ``logprobs`` object of any quality: null stays None, a lone record is wrapped."""
    return _by_channel({key: _tokens_from_object(part) for key, part in value.items() if key in _ALIASES})


def _tokens_from_object(part: object) -> list[TokenLogprob] | None:
    if part is None:
        return None
    items = part if isinstance(part, CompactTokens) else _json.as_list(part)
    return [record_from_object(item, TokenLogprob) for item in items]


def _by_channel(parts: dict[str, list[TokenLogprob] | None]) -> dict[Channel, list[TokenLogprob] | None]:
    out: dict[Channel, list[TokenLogprob] | None] = {}
    for key, part in parts.items():
        name = _ALIASES.get(key)
        if name is not None:
            # Where a server sends a channel under both of its names, one of the two is empty.
            out[name] = out.get(name) or part
    return out


def channels_json_schema(title: str) -> dict[str, Any]:
    """JSON schema of the serialized form."""
    channel = {"anyOf": [{"type": "array", "items": record_json_schema(TokenLogprob)}, {"type": "null"}]}
    return {"title": title, "type": "object", "properties": dict.fromkeys(CHANNELS, channel)}
