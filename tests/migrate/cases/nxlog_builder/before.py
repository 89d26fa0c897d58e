from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
plain = ChatRequest(model="openai/gpt-4o", messages=messages)
counted = plain.with_provider_options({"logprobs": True, "top_logprobs": 5})
chained = (
    ChatRequest(model="openai/gpt-4o", messages=messages)
    .with_provider_options({"logprobs": True, "store": False})
)
keywords = plain.with_provider_options(logprobs=True, top_logprobs=2, store=False)
off = plain.with_provider_options({"logprobs": False})
