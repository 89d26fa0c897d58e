from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
# what the evaluation needs
extra = {}
request = ChatRequest(model="openai/gpt-4o", messages=messages, logprobs=True, provider_options=extra)
