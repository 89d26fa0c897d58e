import litellm
from litellm import Router, acompletion
from litellm import completion as complete

messages = [{"role": "user", "content": "hi"}]
litellm.completion(model="gpt-4o", messages=messages, logprobs=True, top_logprobs=3)
complete("together_ai/Qwen/Qwen3-8B", messages, logprobs=1, temperature=0)
router = Router(model_list=[])


async def main():
    await acompletion(model="vertex_ai/gemini-2.5-flash", messages=messages, extra_body={"logprobs": True})
    await router.acompletion(model="deepseek/deepseek-chat", messages=messages, logprobs=True, stream=True)
    return litellm.completion(model="gpt-4o", messages=messages)
