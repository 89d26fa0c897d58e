from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
only = ChatRequest(
    model="openai/gpt-4o",
    messages=messages,
    provider_options={"include": ["message.output_text.logprobs"], "top_logprobs": 5},
)
beside = ChatRequest(
    model="openai/gpt-4o",
    messages=messages,
    provider_options={"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]},
)
