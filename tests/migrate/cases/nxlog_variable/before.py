from nxlog import Client


def main():
    messages = [{"role": "user", "content": "hi"}]
    options = {"logprobs": True, "top_logprobs": 5, "store": False}
    client = Client()
    first = client.chat(model="openai/gpt-4o", messages=messages, provider_options=options)
    second = client.chat(
        model="openai/gpt-4o-mini",
        messages=messages,
        provider_options=options,
    )
    return first, second
