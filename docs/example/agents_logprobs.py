"""The log-probabilities of an agent's answer.

Usage: ``python docs/example/agents_logprobs.py ["a question" ["provider/model"]]``. Without a model the one that comes
with nxlog answers, which needs no key and no server.
"""

import asyncio
import json
import math
import sys

from agents import Agent, ModelSettings, Runner, set_tracing_disabled

from nxlog.integrations.openai_agents import AgentsModel, from_agents


def show(records):
    if not records:
        print("No logprobs came back. Check that the model can give them, and that top_logprobs was set.")
        return
    for record in records:
        others = ", ".join(f"{top.token!r} {number(top.logprob)}" for top in record.top_logprobs[:3])
        print(f"{record.token!r}: {number(record.logprob)} [{others}]")
    print(json.dumps([record.model_dump(mode="json") for record in records[:5]], indent=2))


def number(logprob):
    return "unknown" if logprob is None or math.isnan(logprob) else f"{logprob:.2f}"


async def main(question="Is the sky blue?", model="local/smollm2-135m-instruct"):
    set_tracing_disabled(True)  # or the SDK sends what is said to OpenAI
    answering = AgentsModel(model)
    settings = ModelSettings(top_logprobs=3, max_tokens=16, temperature=0)
    agent = Agent("Guide", instructions="Answer in one sentence.", model=answering, model_settings=settings)
    result = await Runner.run(agent, question)
    print(result.final_output)
    show(from_agents(result.raw_responses[-1]).logprobs)
    await answering.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
