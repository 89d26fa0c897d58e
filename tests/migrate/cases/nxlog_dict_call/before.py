from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
request = ChatRequest(model="openai/gpt-4o", messages=messages, provider_options=dict(logprobs=True, top_logprobs=5, store=False))
plain = ChatRequest(model="openai/gpt-4o", messages=messages, provider_options=dict(logprobs=True))
