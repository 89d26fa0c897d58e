"""Is the model sure of it?"""

from __future__ import annotations

import math

from openai import OpenAI

client = OpenAI()
response = client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "Name a tree that is green in winter."}],  # one question
    logprobs=True,
    top_logprobs=3,
    max_tokens=20,
)
print(response.choices[0].message.content)
for token in response.choices[0].logprobs.content:  # one line for each token
    others = [top.token for top in token.top_logprobs]
    print(repr(token.token), round(math.exp(token.logprob), 3), others)
print(response.usage.completion_tokens)
