"""How it was: ChatRequest(provider_options={"logprobs": True})."""

import nxlog

HELP = 'write provider_options={"logprobs": True}'
text = f"provider_options={{'logprobs': {True}}}"
request = nxlog.ChatRequest(
    model="openai/gpt-4o",
    messages=[{"role": "user", "content": 'what is provider_options={"logprobs": True}?'}],
    provider_options={'logprobs': True, 'user': "logprobs"},
)
# provider_options={"logprobs": True, "top_logprobs": 5}
