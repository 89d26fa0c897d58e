from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
# what the evaluation needs
extra = {"logprobs": True}
request = ChatRequest(model="openai/gpt-4o", messages=messages, provider_options=extra)
