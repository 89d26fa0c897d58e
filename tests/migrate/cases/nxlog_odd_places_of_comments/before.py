from nxlog import ChatRequest

m = [{"role": "user", "content": "hi"}]
a = ChatRequest(
    model="m", messages=m, provider_options={"logprobs": True}  # end
)
b = ChatRequest(model="m", messages=m, provider_options={"logprobs": True  # a
})
c = ChatRequest(model="m", messages=m, provider_options={"logprobs": True,  # a
"top_logprobs": 5  # b
}, seed=1)
d = ChatRequest(provider_options={  # z
"logprobs": True}, model="m", messages=m)
e = ChatRequest(model="m", messages=m, provider_options={
    "logprobs": True, "top_logprobs": 5,  # both
    "seed": 1,
})
f = ChatRequest(
    model="m",
    messages=m,
    provider_options={
        "generationConfig": {  # of Gemini
            # on
            "responseLogprobs": True,
            "logprobs": 3,  # three
            # done
        },  # closed
        "store": False,
    },
)
