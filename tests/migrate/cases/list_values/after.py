from nxlog import ChatRequest

M = [{"role": "user", "content": "hi"}]


def requests(flag, settings, k: int, on: bool):
    ChatRequest(model="m", messages=M, provider_options={"logprobs": flag})
    ChatRequest(model="m", messages=M, provider_options={"logprobs": 1.5})
    ChatRequest(model="m", messages=M, provider_options={"logprobs": 0})
    ChatRequest(model="m", messages=M, provider_options={"n_probs": k})
    ChatRequest(model="m", messages=M, provider_options={"top_logprobs": -1})
    ChatRequest(model="m", messages=M, provider_options={"return_logprob": 1})
    ChatRequest(model="m", messages=M, provider_options={"top_logprobs": "5"})
    ChatRequest(model="m", messages=M, provider_options={"logprobs": False, "top_logprobs": 5})
    ChatRequest(model="m", messages=M, provider_options={"logprobs": on, "top_logprobs": 5})
    ChatRequest(model="m", messages=M, provider_options={"n_probs": 4, "top_logprobs": 5})
    ChatRequest(model="m", messages=M, provider_options={"top_logprobs": settings.pop(), "seed": settings.pop()})
    ChatRequest(model="m", messages=M, provider_options={"top_logprobs": (n := k), "seed": n})
    ChatRequest(model="m", messages=M, logprobs=False, provider_options={"logprobs": True})
    ChatRequest(model="m", messages=M, top_logprobs=2, provider_options={"top_logprobs": 5})
    ChatRequest(model="m", messages=M, provider_options={"logprobs": True} if flag else None)
    ChatRequest(model="m", messages=M, provider_options={"include": ["message.output_text.logprobs"], "logprobs": False})
    ChatRequest(model="m", messages=M, provider_options={settings.key: 1, "logprobs": True})
