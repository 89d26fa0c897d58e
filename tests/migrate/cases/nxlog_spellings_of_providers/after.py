from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
sglang = ChatRequest(
    model="sglang/m", messages=messages, logprobs=True, top_logprobs=2, provider_options={"priority": 1}
)
llamacpp = ChatRequest(model="llamacpp/m", messages=messages, logprobs=True, top_logprobs=10, provider_options={"cache_prompt": True})
tgi = ChatRequest(model="huggingface/m", messages=messages, logprobs=True, top_logprobs=4)
together = ChatRequest(model="together/m", messages=messages, logprobs=True, top_logprobs=1)
letta = ChatRequest(model="vllm/m", messages=messages, logprobs=True, top_logprobs=2)
off = ChatRequest(model="openai/gpt-4o", messages=messages, logprobs=False)
