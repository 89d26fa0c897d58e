from nxlog import ChatRequest, Client

M = [{"role": "user", "content": "hi"}]
OPTIONS = {"logprobs": True}


def constant_of_the_module():
    return ChatRequest(model="m", messages=M, provider_options=OPTIONS)


def assigned_twice(flag):
    options = {"logprobs": True}
    if flag:
        options = {"logprobs": True, "top_logprobs": 5}
    return ChatRequest(model="m", messages=M, provider_options=options)


def changed():
    options = {"store": False}
    options["logprobs"] = True
    options.update(top_logprobs=5)
    return ChatRequest(model="m", messages=M, provider_options=options)


def handed_on(log):
    options = {"logprobs": True}
    log(options)
    return ChatRequest(model="m", messages=M, provider_options=options)


def closure(client: Client):
    options = {"logprobs": True}

    def ask():
        return client.chat(model="m", messages=M, provider_options=options)

    return ask


def nested_by_name():
    config = {"responseLogprobs": True, "logprobs": 5}
    return ChatRequest(model="m", messages=M, provider_options={"generationConfig": config})


def value_that_changes(k):
    options = {"logprobs": True, "top_logprobs": k}
    k += 1
    return ChatRequest(model="m", messages=M, provider_options=options)


def from_elsewhere(options, make):
    ChatRequest(model="m", messages=M, provider_options=options)
    return ChatRequest(model="m", messages=M, provider_options=make())
