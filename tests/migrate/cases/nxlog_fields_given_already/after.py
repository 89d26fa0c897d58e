from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
same = ChatRequest(model="openai/gpt-4o", messages=messages, logprobs=True)
more = ChatRequest(
    model="openai/gpt-4o", messages=messages, logprobs=True, top_logprobs=5
)
none = ChatRequest(model="openai/gpt-4o", messages=messages, provider_options={"store": False})
