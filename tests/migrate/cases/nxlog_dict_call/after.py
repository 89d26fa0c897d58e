from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
request = ChatRequest(model="openai/gpt-4o", messages=messages, logprobs=True, top_logprobs=5, provider_options=dict(store=False))
plain = ChatRequest(model="openai/gpt-4o", messages=messages, logprobs=True)
