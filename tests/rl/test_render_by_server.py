"""Prompts by the server that will answer.

Real here: what vLLM and the llama.cpp server answered (recordings, put behind httpx's mock transport), and further down
the llama.cpp server itself, in process, on a tiny model made on the spot and on SmolLM2 where it is installed.
"""

from __future__ import annotations

import json
from array import array
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nxlog import (
    AsyncClient,
    ChatRequest,
    Client,
    DecodeError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    UnsupportedParameterError,
)
from nxlog.local import LocalEngine
from nxlog.rendering import RenderSource
from tests.tools.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODES = ["sync", "asyncio", "trio"]
QUESTION = [{"role": "user", "content": "Capital of France?"}]
CHAT = [
    {"role": "system", "content": "You are a concise assistant."},
    {"role": "user", "content": "Name the capital of France in one word."},
]
CAPITAL_IDS = [1, 9690, 198, 2683, 359, 253, 19484, 11173, 30, 2, 198, 1, 4093, 198]
CAPITAL_IDS += [5820, 260, 3575, 282, 4649, 281, 582, 2229, 30, 2, 198, 1, 520, 9531, 198]
TOOLS = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}]


class Server:
    """Answers by path with the recordings named, or with what else is given."""

    def __init__(self, provider: str, answers: dict[str, str | httpx.Response]) -> None:
        self.provider = provider
        self.answers = answers
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers[request.url.path]
        if isinstance(answer, httpx.Response):
            return answer
        path = FIXTURES / self.provider / "rendering" / f"{answer}.yaml"
        interaction = yaml.safe_load(path.read_text(encoding="ascii"))["interactions"][0]
        assert httpx.URL(interaction["request"]["uri"]).path == request.url.path
        response = interaction["response"]
        return httpx.Response(response["status"]["code"], content=response["body"]["string"].encode())

    @property
    def paths(self) -> list[str]:
        return [request.url.path for request in self.requests]

    def body(self, number: int = -1) -> dict[str, Any]:
        return json.loads(self.requests[number].content)

    def ask(self, mode: str, method: str, *args: Any, **fields: Any) -> Any:
        transport = httpx.MockTransport(self)
        options: dict[str, Any] = {"provider": self.provider, "base_url": "http://server.invalid:81/v1", "retries": 0}
        if mode == "sync":
            with Client(http_client=httpx.Client(transport=transport), **options) as client:
                return getattr(client, method)(*args, **fields)

        async def run() -> Any:
            async with AsyncClient(http_client=httpx.AsyncClient(transport=transport), **options) as client:
                return await getattr(client, method)(*args, **fields)

        return anyio.run(run, backend=mode)


every_mode = pytest.mark.parametrize("mode", MODES)


@every_mode
def test_vllm_renders_where_it_may(mode: str) -> None:
    server = Server("vllm", {"/v1/chat/completions/render": "think_chat_render"})
    prompt = server.ask(mode, "render", model="smollm2-think", messages=QUESTION)
    assert prompt.source is RenderSource.RENDER
    assert isinstance(prompt.token_ids, array)
    assert len(prompt.token_ids) == 34
    assert prompt.token_ids[-4:].tolist() == [1, 520, 9531, 198]
    assert prompt.text is None


@every_mode
def test_vllm_tokenizes_where_rendering_is_switched_off(mode: str) -> None:
    server = Server("vllm", {"/v1/chat/completions/render": "render_chat", "/tokenize": "tokenize_chat"})
    prompt = server.ask(mode, "render", model="smollm2-135m", messages=CHAT)
    assert prompt.source is RenderSource.TOKENIZE
    assert prompt.token_ids.tolist() == CAPITAL_IDS
    assert server.paths == ["/v1/chat/completions/render", "/tokenize"]
    # What is sent is what was recorded.
    assert server.body() == {"model": "smollm2-135m", "messages": CHAT, "add_generation_prompt": True}


@every_mode
def test_llamacpp_applies_its_template_and_tokenizes(mode: str) -> None:
    tokens = httpx.Response(200, json={"tokens": CAPITAL_IDS})
    server = Server("llamacpp", {"/apply-template": "native_apply_template", "/tokenize": tokens})
    prompt = server.ask(mode, "render", model="smollm2-135m", messages=CHAT)
    assert prompt.source is RenderSource.APPLY_TEMPLATE
    assert prompt.text.startswith("<|im_start|>system\nYou are a concise assistant.<|im_end|>")
    assert prompt.token_ids.tolist() == CAPITAL_IDS
    assert server.body(0)["messages"] == CHAT
    assert server.body(1) == {"content": prompt.text, "add_special": True, "parse_special": True}


@every_mode
def test_text_to_ids_and_back(mode: str) -> None:
    vllm = Server("vllm", {"/tokenize": "tokenize", "/detokenize": "detokenize"})
    assert vllm.ask(mode, "tokenize", "naïve café 🦜", model="m").tolist() == [3546, 46494, 37366, 15107, 116, 246]
    assert vllm.body() == {"model": "m", "prompt": "naïve café 🦜", "add_special_tokens": False}
    assert vllm.ask(mode, "detokenize", [504, 3575, 282, 4649], model="m") == "The capital of France"
    assert vllm.body() == {"model": "m", "tokens": [504, 3575, 282, 4649]}
    llama = Server("llamacpp", {"/detokenize": "native_detokenize"})
    assert llama.ask(mode, "detokenize", array("i", [504, 3575, 282, 4649]), model="m") == "The capital of France"
    assert llama.body() == {"tokens": [504, 3575, 282, 4649]}


def test_only_what_decides_about_the_prompt_is_sent() -> None:
    server = Server("vllm", {"/v1/chat/completions/render": "render_chat", "/tokenize": "tokenize_chat"})
    request = ChatRequest.model_validate(
        {
            "model": "m",
            "messages": CHAT,
            "tools": TOOLS,
            "reasoning_effort": "low",
            "logprobs": True,
            "top_logprobs": 20,
            "max_tokens": 9,
            "provider_options": {"chat_template_kwargs": {"enable_thinking": False}},
        }
    )
    server.ask("sync", "render", request)
    rendered, tokenized = server.body(0), server.body(1)
    assert rendered.keys() == {"model", "messages", "tools", "reasoning_effort", "chat_template_kwargs"}
    assert tokenized.keys() == {"model", "messages", "add_generation_prompt", "tools", "chat_template_kwargs"}
    assert tokenized["tools"] == rendered["tools"] == TOOLS
    assert tokenized["chat_template_kwargs"] == {"reasoning_effort": "low", "enable_thinking": False}


@pytest.mark.parametrize("base_url", ["http://server.invalid:81", "http://server.invalid:81/v1/"])
def test_the_address_may_have_v1_or_not(base_url: str) -> None:
    server = Server("vllm", {"/tokenize": "tokenize"})
    with Client(
        provider="vllm", base_url=base_url, http_client=httpx.Client(transport=httpx.MockTransport(server))
    ) as client:
        client.tokenize("naïve café 🦜", model="m")
    assert server.paths == ["/tokenize"]


# -- what goes wrong ---------------------------------------------------------------------------------------------------


@every_mode
def test_a_provider_without_such_endpoints_says_so_before_anything_is_sent(mode: str) -> None:
    server = Server("sglang", {})
    for method, args in (("render", ()), ("tokenize", ("x",)), ("detokenize", ([1],))):
        fields = {"messages": QUESTION} if method == "render" else {}
        with pytest.raises(UnsupportedParameterError, match=r"nxlog\.rendering\.load"):
            server.ask(mode, method, *args, model="m", **fields)
    assert server.requests == []


@pytest.mark.parametrize(("status", "error"), [(403, PermissionDeniedError), (404, NotFoundError)])
def test_both_endpoints_closed_is_the_error_of_the_second(status: int, error: type[Exception]) -> None:
    closed = httpx.Response(status, json={"error": {"message": "closed", "code": status}})
    server = Server("vllm", {"/v1/chat/completions/render": "render_chat", "/tokenize": closed})
    with pytest.raises(error, match="closed") as caught:
        server.ask("sync", "render", model="m", messages=CHAT)
    assert (caught.value.provider, caught.value.model) == ("vllm", "m")


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"token_ids": ["1"]}', b'{"token_ids": [4294967296]}', b"\xff"])
def test_an_answer_of_another_shape_is_a_decode_error(answer: bytes) -> None:
    server = Server("vllm", {"/v1/chat/completions/render": httpx.Response(200, content=answer)})
    with pytest.raises(DecodeError):
        server.ask("sync", "render", model="m", messages=CHAT)


def test_llamacpp_cannot_say_which_tokens_an_image_is() -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}
    server = Server("llamacpp", {})
    with pytest.raises(InvalidRequestError, match=r"messages\.0.*image_url"):
        server.ask("sync", "render", model="m", messages=[image])
    assert server.requests == []


@pytest.mark.parametrize("wire", ["openai-chat", "vllm-generate"])
def test_the_wire_of_answers_does_not_matter(wire: str) -> None:
    """A wire that has no place for tools has none for answers with tools; the prompt is a chat's all the same."""
    server = Server("vllm", {"/v1/chat/completions/render": "think_chat_render"})
    with Client(
        provider="vllm",
        wire=wire,
        on_unsupported="raise",
        defaults={"return_token_ids": True},
        http_client=httpx.Client(transport=httpx.MockTransport(server)),
    ) as client:
        client.render(model="m", messages=CHAT, tools=TOOLS, seed=1)
    assert server.body() == {"model": "m", "messages": CHAT, "tools": TOOLS}


def test_ids_are_a_prompt_already() -> None:
    server = Server("vllm", {})
    with pytest.raises(InvalidRequestError, match="ids are a prompt already"):
        server.ask("sync", "render", ChatRequest(model="m", input_ids=[1, 2]))
    assert server.requests == []


def test_no_model_no_question() -> None:
    with pytest.raises(InvalidRequestError, match="model"):
        Server("vllm", {}).ask("sync", "tokenize", "x", model="")


def test_the_key_is_in_no_error() -> None:
    key = "key-that-nobody-may-see"
    answer = httpx.Response(400, text=f"no, {key}")
    transport = httpx.MockTransport(Server("vllm", {"/tokenize": answer}))
    with (
        Client(provider="vllm", api_key=key, http_client=httpx.Client(transport=transport)) as client,
        pytest.raises(Exception, match="no, ") as caught,
    ):
        client.tokenize("x", model="m")
    assert key not in f"{caught.value} {vars(caught.value)}"


# -- a real server -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The llama.cpp server with a model of half a megabyte, which has ChatML as its template."""
    path = write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")
    with (
        LocalEngine(path) as engine,
        Client(provider="llamacpp", base_url=engine.base_url, api_key=engine.api_key) as client,
    ):
        yield client


@pytest.mark.model
@pytest.mark.network
def test_what_is_rendered_is_what_is_generated_from(live: Client) -> None:
    prompt = live.render(model="tiny", messages=CHAT)
    reply = live.chat(model="tiny", messages=CHAT, max_tokens=1)
    assert reply.usage is not None
    assert len(prompt.token_ids) == reply.usage.prompt_tokens
    assert live.detokenize(prompt.token_ids, model="tiny") == prompt.text


@pytest.mark.model
@pytest.mark.network
@given(st.text(max_size=60))
def test_the_ids_of_a_text_spell_it(live: Client, text: str) -> None:
    text = text.replace("\0", "")  # where llama.cpp takes a text to end
    assert live.detokenize(live.tokenize(text, model="tiny"), model="tiny") == text


@pytest.mark.model
@pytest.mark.network
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_async_client_says_the_same(live: Client, backend: str) -> None:
    prompt = live.render(model="tiny", messages=CHAT)

    async def run() -> None:
        target = live._config.target("tiny")
        options: dict[str, Any] = {"provider": "llamacpp", "base_url": target.base_url, "api_key": target.secret}
        async with AsyncClient(**options) as client:
            assert await client.render(model="tiny", messages=CHAT) == prompt
            ids = await client.tokenize("café", model="tiny")
            assert await client.detokenize(ids, model="tiny") == "café"

    anyio.run(partial(run), backend=backend)
