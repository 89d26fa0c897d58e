"""Is the model sure of it?"""

from __future__ import annotations

import math

from nxlog import Client
import os

client = Client(provider="openai", base_url=os.environ.get("OPENAI_BASE_URL"))
response = client.chat(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "Name a tree that is green in winter."}],  # one question
    logprobs=True,
    top_logprobs=3,
    max_tokens=20,
)
print(response.choices[0].text)
for token in response.choices[0].logprobs.content:  # one line for each token
    others = [top.token for top in token.top_logprobs]
    print(repr(token.token), round(math.exp(token.logprob), 3), others)
print(response.usage.completion_tokens)
