from nxlog import ChatRequest

m = [{"role": "user", "content": "hi"}]
a = ChatRequest(
    model="openai/gpt-4o", messages=m,
    provider_options={"logprobs": True,
                      "top_logprobs": 5,
                      "store": False})
b = ChatRequest(provider_options={"logprobs": True}, model="openai/gpt-4o", messages=m)
c = ChatRequest(
    provider_options = { "logprobs" : True , "store" : False } ,
    model = "openai/gpt-4o" ,
    messages = m
)
d = ChatRequest(model="openai/gpt-4o", messages=m, provider_options={
    "store": False,
    "logprobs": True,
    "top_logprobs": 5})
e = ChatRequest(
    model="openai/gpt-4o"
    , messages=m
    , provider_options={"logprobs": True}
)
f = [ChatRequest(model="openai/gpt-4o", messages=m, provider_options={"logprobs": True,}) for _ in range(2)]
if True:
	g = ChatRequest(
		model="openai/gpt-4o",
		messages=m,
		provider_options={
			"logprobs": True,
			# tabs
			"top_logprobs": 1,
		},
	)
