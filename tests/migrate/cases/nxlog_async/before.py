import asyncio

from nxlog import AsyncClient, ChatRequest

MESSAGES = [{"role": "user", "content": "hi"}]


async def ask(client: AsyncClient, model: str = "openai/gpt-4o"):
    reply = await client.chat(model=model, messages=MESSAGES, provider_options={"logprobs": True, "top_logprobs": 3})
    async with client.stream(
        model=model, messages=MESSAGES, provider_options={"return_logprob": True, "top_logprobs_num": 4}
    ) as stream:
        async for chunk in stream:
            print(chunk.delta)
    return reply


async def main():
    async with AsyncClient() as client:
        replies = await asyncio.gather(*(ask(client) for _ in range(2)))
        again = [
            await client.chat(ChatRequest(model="openai/gpt-4o", messages=MESSAGES, provider_options={"logprobs": True}))
            for _ in replies
        ]
    return again
