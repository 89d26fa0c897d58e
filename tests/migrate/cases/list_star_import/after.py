from nxlog import *

request = ChatRequest(model="m", messages=[], provider_options={"logprobs": True})
