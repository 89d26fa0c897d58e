from nxlog import ChatRequest

messages = [{"role": "user", "content": "hi"}]
gemini = ChatRequest(
    model="vertex/gemini-2.5-flash",
    messages=messages,
    logprobs=True,
    top_logprobs=5,
    provider_options={
        "generationConfig": {
            "candidateCount": 1,
        },
        "safetySettings": [],
    },
)
snake = ChatRequest(
    model="vertex/gemini-2.5-flash",
    messages=messages,
    logprobs=True,
    top_logprobs=3,
)
deep = ChatRequest(
    model="vllm/m", messages=messages, logprobs=True, provider_options={"a": {"c": 1}, "d": {"e": {"f": 2}}}
)
