from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]

extra = {
    "logprobs": True,
    "top_logprobs": 5,
}

request = ChatRequest(
    model="openai/gpt-4o",
    messages=messages,
    provider_options=extra,  # the numbers
)
