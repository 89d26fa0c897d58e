from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
gemini = ChatRequest(
    model="vertex/gemini-2.5-flash",
    messages=messages,
    provider_options={
        "generationConfig": {
            "responseLogprobs": True,
            "logprobs": 5,
            "candidateCount": 1,
        },
        "safetySettings": [],
    },
)
snake = ChatRequest(
    model="vertex/gemini-2.5-flash",
    messages=messages,
    provider_options={"generation_config": {"response_logprobs": True, "logprobs": 3}},
)
deep = ChatRequest(
    model="vllm/m", messages=messages, provider_options={"a": {"b": {"logprobs": True}, "c": 1}, "d": {"e": {"f": 2}}}
)
