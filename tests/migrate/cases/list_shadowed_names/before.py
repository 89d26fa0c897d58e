from nxlog import ChatRequest

if input():
    from elsewhere import ChatRequest


def dict(**fields):
    return fields


request = ChatRequest(model="m", messages=[], provider_options={"logprobs": True})


def ask(Client):
    from nxlog import ChatRequest as Mine

    with Client() as client:
        client.chat(model="m", messages=[], provider_options={"logprobs": True})
    return Mine(model="m", messages=[], provider_options=dict(logprobs=True))
