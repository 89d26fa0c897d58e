import nxlog as n
import nxlog.client
import nxlog.request as inner
from nxlog import ChatRequest as R
from nxlog import Client as Connection

MESSAGES = [{"role": "user", "content": "hi"}]

first = n.ChatRequest(model="openai/gpt-4o", messages=MESSAGES, logprobs=True)
second = R(model="openai/gpt-4o", messages=MESSAGES, logprobs=True, top_logprobs=2)
third = inner.ChatRequest(model="openai/gpt-4o", messages=MESSAGES, logprobs=True)
with Connection() as c:
    c.chat(model="openai/gpt-4o", messages=MESSAGES, logprobs=True, top_logprobs=1)
with nxlog.client.Client() as c2:
    c2.chat(model="openai/gpt-4o", messages=MESSAGES, logprobs=True)
