from nxlog import Client


def main():
    messages = [{"role": "user", "content": "hi"}]
    options = {"store": False}
    client = Client()
    first = client.chat(model="openai/gpt-4o", messages=messages, logprobs=True, top_logprobs=5, provider_options=options)
    second = client.chat(
        model="openai/gpt-4o-mini",
        messages=messages,
        logprobs=True,
        top_logprobs=5,
        provider_options=options,
    )
    return first, second
