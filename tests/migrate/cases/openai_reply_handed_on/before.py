import json

from openai import OpenAI

client = OpenAI()
response = client.chat.completions.create(
    model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}], logprobs=True
)
print(json.dumps(response.model_dump()))
