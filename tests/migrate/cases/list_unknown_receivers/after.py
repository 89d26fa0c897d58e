import functools

from nxlog import ChatRequest


class Fake:
    def chat(self, **fields): ...


def ask(client, wrapper):
    client.chat(model="m", messages=[], provider_options={"logprobs": True})
    wrapper.request.with_provider_options({"logprobs": True, "top_logprobs": 2})
    Fake().chat(provider_options={"logprobs": True})
    ask_later = functools.partial(ChatRequest, provider_options={"logprobs": True})
    config = {"model": "m", "provider_options": {"generationConfig": {"responseLogprobs": True}}}
    return ask_later, config
