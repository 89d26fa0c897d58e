from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
same = ChatRequest(model="openai/gpt-4o", messages=messages, logprobs=True, provider_options={"logprobs": True})
more = ChatRequest(
    model="openai/gpt-4o", messages=messages, logprobs=True, provider_options={"logprobs": True, "top_logprobs": 5}
)
none = ChatRequest(model="openai/gpt-4o", messages=messages, provider_options={"logprobs": None, "store": False})
