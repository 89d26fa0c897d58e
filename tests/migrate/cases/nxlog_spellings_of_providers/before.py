from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
sglang = ChatRequest(
    model="sglang/m", messages=messages, provider_options={"return_logprob": True, "top_logprobs_num": 2, "priority": 1}
)
llamacpp = ChatRequest(model="llamacpp/m", messages=messages, provider_options={"n_probs": 10, "cache_prompt": True})
tgi = ChatRequest(model="huggingface/m", messages=messages, provider_options={"top_n_tokens": 4})
together = ChatRequest(model="together/m", messages=messages, provider_options={"logprobs": 1})
letta = ChatRequest(model="vllm/m", messages=messages, provider_options={"return_logprobs": True, "TopLogprobs": 2})
off = ChatRequest(model="openai/gpt-4o", messages=messages, provider_options={"logprobs": False})
