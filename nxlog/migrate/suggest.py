"""The call of nxlog to write in place of another library's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from nxlog.migrate import bags
from nxlog.migrate.literals import text_of

if TYPE_CHECKING:
    from typing import Protocol

    from nxlog.migrate.names import Names

    class Wish(Protocol):
        """What is asked for."""

        def code(self, names: Names) -> str:
            """As fields of a call."""
            ...


_FIELDS = {
    **{name: name for name in ("model", "messages", "temperature", "top_p", "max_tokens", "stop", "seed", "n")},
    **{name: name for name in ("presence_penalty", "frequency_penalty", "tools", "tool_choice", "response_format")},
    "reasoning_effort": "reasoning_effort",
    "model_name": "model",
    "azure_deployment": "model",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "max_retries": "",
}
_LITELLM = {
    "azure": "azure-openai",
    "fireworks_ai": "fireworks",
    "hosted_vllm": "vllm",
    "nvidia_nim": "nvidia-nim",
    "together_ai": "together",
    "vertex_ai": "vertex",
}
"""Providers that LiteLLM calls otherwise."""
_LANGCHAIN = {
    "AzureChatOpenAI": "azure-openai",
    "ChatDeepSeek": "deepseek",
    "ChatFireworks": "fireworks",
    "ChatGoogleGenerativeAI": "gemini",
    "ChatGroq": "groq",
    "ChatMistralAI": "mistral",
    "ChatOpenAI": "openai",
    "ChatTogether": "together",
    "ChatVertexAI": "vertex",
    "ChatXAI": "xai",
}
PROVIDERS = frozenset({*_LITELLM.values(), *_LANGCHAIN.values(), "openai"})
"""Every provider that a suggestion may name."""

_LONG = 40


@dataclass
class Suggestion:
    """Fields of ``ChatRequest`` by name, as code."""

    fields: dict[str, cst.BaseExpression | str]
    provider: str | None = None
    litellm: bool = False
    stream: bool = False

    @classmethod
    def of(cls, call: cst.Call, *, provider: str | None = None, litellm: bool = False) -> Suggestion:
        """What can be taken over from a call."""
        fields: dict[str, cst.BaseExpression | str] = {}
        stream = False
        for pair in bags.pairs(call):
            name = _FIELDS.get(pair.key or "")
            if name:
                fields[name] = pair.value
            elif pair.key in {"input", "prompt"} and isinstance(pair.value, cst.BaseString):
                fields["messages"] = '[{"role": "user", "content": ...}]'
            elif pair.key in {"stream", "streaming"}:
                stream = isinstance(pair.value, cst.Name) and pair.value.value == "True"
        return cls(fields, provider, litellm, stream)

    def code(self, names: Names, wish: Wish) -> str:
        """The call."""
        fields: dict[str, str] = {"model": self._model(names), "messages": "..."}
        for name, value in self.fields.items():
            if name != "model":
                code = value if isinstance(value, str) else names.code(value)
                fields[name] = code if len(code) <= _LONG and "\n" not in code else "..."
        written = ", ".join(f"{name}={code}" for name, code in fields.items())
        return f"client.{'stream' if self.stream else 'chat'}({written}, {wish.code(names)})"

    def _model(self, names: Names) -> str:
        value = self.fields.get("model")
        text = value.strip('"') if isinstance(value, str) else text_of(value) if value is not None else None
        if text is None:
            return "..." if value is None or isinstance(value, str) else names.code(value)
        if self.litellm:
            provider, slash, model = text.partition("/")
            return f'"{_LITELLM.get(provider, provider)}/{model}"' if slash else f'"openai/{text}"'
        if "/" in text or self.provider is None:
            return f'"{text}"'
        return f'"{self.provider}/{text}"'


def model_of(langchain: str) -> str | None:
    """The provider behind a class of LangChain."""
    return _LANGCHAIN.get(langchain.rpartition(".")[2])
