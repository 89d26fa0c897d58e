from nxlog import ChatRequest

WANTED = True
MOST = 7
messages = [{"role": "user", "content": "hi"}]


def main(k: int = 3, flag: bool = True, verbose=2):
    return [
        ChatRequest(model="openai/gpt-4o", messages=messages, provider_options={"logprobs": WANTED, "top_logprobs": MOST}),
        ChatRequest(model="openai/gpt-4o", messages=messages, provider_options={"logprobs": MOST}),
        ChatRequest(model="openai/gpt-4o", messages=messages, provider_options={"logprobs": True, "top_logprobs": k}),
        ChatRequest(model="openai/gpt-4o", messages=messages, provider_options={"logprobs": flag}),
        ChatRequest(model="openai/gpt-4o", messages=messages, provider_options={"logprobs": verbose > 1, "store": False}),
        ChatRequest(model="openai/gpt-4o", messages=messages, provider_options={"top_logprobs": max(k, 1), "store": flag}),
    ]
