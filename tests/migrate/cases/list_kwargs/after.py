from nxlog import ChatRequest, Client

MESSAGES = [{"role": "user", "content": "hi"}]


def ask(client: Client, **kwargs):
    return client.chat(model="openai/gpt-4o", messages=MESSAGES, **kwargs)


def both(client: Client, **kwargs):
    return client.chat(model="openai/gpt-4o", messages=MESSAGES, provider_options={"logprobs": True}, **kwargs)


def known():
    fields = {"model": "openai/gpt-4o", "messages": MESSAGES, "provider_options": {"logprobs": True}}
    return ChatRequest(**fields)


def harmless():
    fields = {"model": "openai/gpt-4o", "messages": MESSAGES, "provider_options": {"store": False}}
    return ChatRequest(**fields)


def spread(options):
    ChatRequest(model="openai/gpt-4o", messages=MESSAGES, provider_options={**options, "logprobs": True})
    return ChatRequest(model="openai/gpt-4o", messages=MESSAGES, provider_options={**options, "store": False})
