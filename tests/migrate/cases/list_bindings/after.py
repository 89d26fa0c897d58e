from nxlog import ChatRequest, Client

M = [{"role": "user", "content": "hi"}]


class Judge:
    def __init__(self, client: Client, other=None):
        self.client = client
        self.other = Client() if other is None else other

    def ask(self):
        return self.other.chat(model="m", messages=M, provider_options={"logprobs": True})

    class Inner:
        def ask(self):
            return self.client.chat(model="m", messages=M, provider_options={"logprobs": True})


def walrus():
    if options := {"logprobs": True}:
        return ChatRequest(model="m", messages=M, provider_options=options)


def default(options={"logprobs": True}):
    return ChatRequest(model="m", messages=M, provider_options=options)


def loop():
    for options in [{"logprobs": True}, {"top_logprobs": 5}]:
        ChatRequest(model="m", messages=M, provider_options=options)


def chained():
    a = b = {"logprobs": True}
    return ChatRequest(model="m", messages=M, provider_options=a), b


def formatted():
    options = {"logprobs": True}
    print(f"{options}")
    return ChatRequest(model="m", messages=M, provider_options=options)


def of_the_module():
    global options
    options = {"logprobs": True}
    return ChatRequest(model="m", messages=M, provider_options=options)


def assigned_again(client: Client, make):
    client = make()
    return client.chat(model="m", messages=M, provider_options={"logprobs": True})


def merged():
    ChatRequest(model="m", messages=M, provider_options={"logprobs": True} | {"store": False})
    ChatRequest(model="m", messages=M, provider_options={**{"logprobs": True}})
    return ChatRequest(*[], model="m", messages=M, provider_options={"logprobs": True})
