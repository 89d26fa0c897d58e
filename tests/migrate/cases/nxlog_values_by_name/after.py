from nxlog import ChatRequest

WANTED = True
MOST = 7
messages = [{"role": "user", "content": "hi"}]


def main(k: int = 3, flag: bool = True, verbose=2):
    return [
        ChatRequest(model="openai/gpt-4o", messages=messages, logprobs=WANTED, top_logprobs=MOST),
        ChatRequest(model="openai/gpt-4o", messages=messages, logprobs=True, top_logprobs=MOST),
        ChatRequest(model="openai/gpt-4o", messages=messages, logprobs=True, top_logprobs=k),
        ChatRequest(model="openai/gpt-4o", messages=messages, logprobs=flag),
        ChatRequest(model="openai/gpt-4o", messages=messages, logprobs=verbose > 1, provider_options={"store": False}),
        ChatRequest(model="openai/gpt-4o", messages=messages, top_logprobs=max(k, 1), provider_options={"store": flag}),
    ]
