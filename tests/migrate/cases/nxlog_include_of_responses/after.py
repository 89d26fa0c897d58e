from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
only = ChatRequest(
    model="openai/gpt-4o",
    messages=messages,
    logprobs=True,
    top_logprobs=5,
)
beside = ChatRequest(
    model="openai/gpt-4o",
    messages=messages,
    logprobs=True,
    provider_options={"include": ["reasoning.encrypted_content"]},
)
