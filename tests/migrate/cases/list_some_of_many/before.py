# What can be rewritten is, beside what cannot.
from nxlog import ChatRequest

M = [{"role": "user", "content": "hi"}]


def requests(flag):
    good = ChatRequest(model="m", messages=M, provider_options={"logprobs": True})
    bad = ChatRequest(model="m", messages=M, provider_options={"logprobs": flag})
    return good, bad
