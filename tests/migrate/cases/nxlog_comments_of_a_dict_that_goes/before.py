from nxlog import ChatRequest

request = ChatRequest(
    model="openai/gpt-4o",
    messages=[{"role": "user", "content": "hi"}],
    provider_options={  # extra fields
        # we need the numbers
        "logprobs": True,  # every token
        "top_logprobs": 5,  # no more
        # nothing else yet
    },  # end of options
)
