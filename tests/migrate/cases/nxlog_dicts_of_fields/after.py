from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
request = ChatRequest.model_validate(
    {
        "model": "openai/gpt-4o",
        "messages": messages,
        "logprobs": True,
        "top_logprobs": 5,
        "provider_options": {"store": False},
    }
)
fresh = ChatRequest(model="openai/gpt-4o", messages=messages)
other = fresh.model_copy(update={"temperature": 0.5, "logprobs": True})
