"""Comments of every kind stay, beside what they are about."""

from nxlog import ChatRequest

# before the request
request = ChatRequest(  # opened
    model="openai/gpt-4o",  # the model
    messages=[{"role": "user", "content": "hi"}],
    # about the options
    # we need the numbers
    logprobs=True,  # every token
    # five will do
    top_logprobs=5,  # no more
    provider_options={  # extra fields
        # and this is for billing
        "store": False,  # not kept
    },  # end of options
    # and no randomness
    temperature=0,
)  # closed
# after the request
