from langchain.chat_models import init_chat_model
from langchain_openai import AzureChatOpenAI, ChatOpenAI

llm = ChatOpenAI(model="gpt-4o-mini", temperature=0)
bound = llm.bind(logprobs=True)
chained = ChatOpenAI(model_name="gpt-4o").bind(logprobs=True, top_logprobs=2).with_retry()
kwargs = ChatOpenAI(model="gpt-4o-mini", model_kwargs={"logprobs": True, "top_logprobs": 5})
field = AzureChatOpenAI(azure_deployment="gpt-4o", logprobs=True)
made = init_chat_model("gpt-4o", logprobs=True)
print(llm.invoke("hi", logprobs=True).response_metadata["logprobs"])
for chunk in llm.stream("hi", logprobs=True, top_logprobs=3):
    print(chunk)
quiet = llm.bind(stop=["."])
