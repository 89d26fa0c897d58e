from nxlog import ChatRequest

request = ChatRequest(
    model="openai/gpt-4o",
    messages=[{"role": "user", "content": "hi"}],
    provider_options={"store": False, "logprobs": True, "metadata": {"team": "a"}, "top_logprobs": 5},
    temperature=0.2,
)
