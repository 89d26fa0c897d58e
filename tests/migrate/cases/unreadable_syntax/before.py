from nxlog import ChatRequest

request = ChatRequest(model="m", messages=[], provider_options={"logprobs": True}
print("the bracket is missing"
