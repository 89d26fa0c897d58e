from nxlog import ChatRequest

M = [{"role": "user", "content": "hi"}]


def parameter(request: ChatRequest):
    return request.with_provider_options({"logprobs": True})


def has_options(k):
    request = ChatRequest(model="m", messages=M, provider_options={"store": False})
    request.with_provider_options({"logprobs": True})
    ChatRequest(model="m", messages=M).with_provider_options({"logprobs": True, "top_logprobs": k})
    ChatRequest(model="m", messages=M).with_provider_options(
        {
            "logprobs": True,  # this would have no place
        }
    )
    request.model_copy(update={"provider_options": {"logprobs": True}})
    options = {"logprobs": True}
    return ChatRequest(model="m", messages=M).with_provider_options(options)
