from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
plain = ChatRequest(model="openai/gpt-4o", messages=messages)
counted = plain.with_top_logprobs(5)
chained = (
    ChatRequest(model="openai/gpt-4o", messages=messages)
    .with_logprobs()
    .model_copy(update={"provider_options": {"store": False}})
)
keywords = plain.with_top_logprobs(2).model_copy(update={"provider_options": dict(store=False)})
off = plain.with_logprobs(False)
