from nxlog import ChatRequest

request = ChatRequest(
    model="openai/gpt-4o",
    messages=[{"role": "user", "content": "hi"}],
    # extra fields
    # we need the numbers
    # nothing else yet
    logprobs=True,  # every token
    # no more
    top_logprobs=5,  # end of options
)
