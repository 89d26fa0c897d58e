from nxlog import ChatRequest, Client

messages = [{"role": "user", "content": "hi"}]
request = ChatRequest(
    model="openai/gpt-4o",
    messages=messages,
    logprobs=True,
    top_logprobs=5,
    provider_options={"store": False, "prompt_logprobs": 1, "logprob_start_len": 0},
)
logprobs = {"logprobs": True}
with Client() as client:
    client.chat(request)
    client.chat(model="openai/gpt-4o", messages=messages, provider_options=None)
