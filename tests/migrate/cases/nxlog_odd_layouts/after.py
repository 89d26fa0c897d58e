from nxlog import ChatRequest

m = [{"role": "user", "content": "hi"}]
a = ChatRequest(
    model="openai/gpt-4o", messages=m,
    logprobs=True,
    top_logprobs=5,
    provider_options={"store": False})
b = ChatRequest(logprobs=True, model="openai/gpt-4o", messages=m)
c = ChatRequest(
    logprobs=True,
    provider_options = { "store" : False } ,
    model = "openai/gpt-4o" ,
    messages = m
)
d = ChatRequest(model="openai/gpt-4o", messages=m, logprobs=True, top_logprobs=5, provider_options={
    "store": False})
e = ChatRequest(
    model="openai/gpt-4o"
    , messages=m
    , logprobs=True
)
f = [ChatRequest(model="openai/gpt-4o", messages=m, logprobs=True) for _ in range(2)]
if True:
	g = ChatRequest(
		model="openai/gpt-4o",
		messages=m,
		logprobs=True,
		# tabs
		top_logprobs=1,
	)
