import asyncio
import os

from openai import AsyncOpenAI as SDK

QUESTION = [{"role": "user", "content": "Name a tree that is green in winter."}]


async def main():
    async with SDK(api_key=os.environ["OPENAI_API_KEY"]) as sdk:
        reply = await sdk.chat.completions.create(
            model="gpt-4o-mini",
            messages=QUESTION,
            extra_body={"logprobs": True, "top_logprobs": 3},
        )
        print(len(reply.choices[0].logprobs.content), reply.choices[0].finish_reason)
        for index, token in enumerate(reply.choices[0].logprobs.content):
            print(index, token.top_logprobs[0].token)


asyncio.run(main())
