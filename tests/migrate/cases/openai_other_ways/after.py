import openai
from openai import AsyncAzureOpenAI, OpenAI

vllm = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")
azure = AsyncAzureOpenAI(azure_endpoint="https://example.invalid")
params = {"logprobs": True, "top_logprobs": 3}


class Judge:
    def __init__(self):
        self.client = OpenAI()

    def ask(self, messages, **kwargs):
        self.client.chat.completions.create(model="gpt-4o", messages=messages, **params)
        self.client.chat.completions.create(model="gpt-4o", messages=messages, **kwargs)
        self.client.beta.chat.completions.parse(model="gpt-4o", messages=messages, logprobs=True)
        return self.client.chat.completions.with_raw_response.create(model="gpt-4o", messages=messages, logprobs=True)


async def others(messages, client):
    vllm.chat.completions.create(model="Qwen/Qwen3-8B", messages=messages, extra_body={"logprobs": True, "top_k": 5})
    await azure.chat.completions.create(model="gpt-4o", messages=messages, logprobs=True, stream=True)
    openai.responses.create(model="gpt-4o", input="hi", include=["message.output_text.logprobs"], top_logprobs=2)
    client.completions.create(model="gpt-3.5-turbo-instruct", prompt="hi", logprobs=5)
    client.chat.completions.create(model="gpt-4o", messages=messages, logprobs=False)
    return client.chat.completions.create(model="gpt-4o", messages=messages, logprobs=None, top_logprobs=None)
