from nxlog import Client

messages = [{"role": "user", "content": "hi"}]
client = Client()
reply = client.chat(model="openai/gpt-4o", messages=messages, provider_options={"logprobs": True, "top_logprobs": 5})
with client.stream(
    model="openai/gpt-4o",
    messages=messages,
    provider_options={"logprobs": True},
) as stream:
    for chunk in stream:
        print(chunk.delta)
print(Client().chat(model="openai/gpt-4o", messages=messages, provider_options={"logprobs": True}).text)
