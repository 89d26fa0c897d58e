from nxlog import ChatRequest

m = [{"role": "user", "content": "hi"}]
a = ChatRequest(
    model="m", messages=m, logprobs=True  # end
)
b = ChatRequest(model="m", messages=m, logprobs=True  # a
)
c = ChatRequest(model="m", messages=m, logprobs=True,  # a
    top_logprobs=5,  # b
seed=1)
d = ChatRequest(
    # z
    logprobs=True, model="m", messages=m)
e = ChatRequest(model="m", messages=m, logprobs=True, top_logprobs=5,  # both
    provider_options={
    "seed": 1,
})
f = ChatRequest(
    model="m",
    messages=m,
    # of Gemini
    # on
    # done
    # closed
    logprobs=True,
    top_logprobs=3,  # three
    provider_options={
        "store": False,
    },
)
