from pydantic_ai import Agent
from pydantic_ai.models.google import GoogleModelSettings
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from pydantic_ai.settings import ModelSettings

settings = OpenAIChatModelSettings(openai_logprobs=True, openai_top_logprobs=3, temperature=0)
google = GoogleModelSettings(google_logprobs=True, google_top_logprobs=2)
raw = ModelSettings(extra_body={"logprobs": True, "top_logprobs": 4})
plain: OpenAIChatModelSettings = {"openai_logprobs": True, "max_tokens": 10}
agent = Agent("openai:gpt-4o", model_settings={"openai_logprobs": True})
other = Agent(OpenAIChatModel("gpt-4o"), model_settings=settings)
result = agent.run_sync("hi", model_settings=ModelSettings(temperature=0))
