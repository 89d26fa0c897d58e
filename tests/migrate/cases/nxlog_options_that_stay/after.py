from nxlog import ChatRequest

request = ChatRequest(
    model="openai/gpt-4o",
    messages=[{"role": "user", "content": "hi"}],
    logprobs=True,
    top_logprobs=5,
    provider_options={"store": False, "metadata": {"team": "a"}},
    temperature=0.2,
)
