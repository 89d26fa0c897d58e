from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
request = ChatRequest.model_validate(
    {
        "model": "openai/gpt-4o",
        "messages": messages,
        "provider_options": {"logprobs": True, "top_logprobs": 5, "store": False},
    }
)
fresh = ChatRequest(model="openai/gpt-4o", messages=messages)
other = fresh.model_copy(update={"temperature": 0.5, "provider_options": {"logprobs": True}})
