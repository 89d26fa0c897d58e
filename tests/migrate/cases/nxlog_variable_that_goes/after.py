from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]

request = ChatRequest(
    model="openai/gpt-4o",
    messages=messages,
    logprobs=True,
    top_logprobs=5,  # the numbers
)
