from nxlog import AsyncClient, ChatRequest, Client

MESSAGES = [{"role": "user", "content": "hi"}]
requests = {
    name: ChatRequest(model=f"openai/{name}", messages=MESSAGES, logprobs=True)
    for name in ("gpt-4o", "gpt-4o-mini")
}
build = lambda: ChatRequest(model="openai/gpt-4o", messages=MESSAGES, logprobs=True)  # noqa: E731
print(f"{ChatRequest(model='openai/gpt-4o', messages=MESSAGES, logprobs=True).logprobs}")


def typed(client: "Client | None" = None, other: AsyncClient | None = None):
    if client is not None and (reply := client.chat(
        model="openai/gpt-4o", messages=MESSAGES, logprobs=True
    )):
        return reply
    return build()


def main():
    with Client() as client:
        return typed(client), typed()
