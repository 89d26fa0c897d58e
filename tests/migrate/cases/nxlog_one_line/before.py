from nxlog import ChatRequest

request = ChatRequest(model="openai/gpt-4o", messages=[{"role": "user", "content": "hi"}], provider_options={"logprobs": True, "top_logprobs": 5})
