from dataclasses import dataclass

from nxlog import Client


class Judge:
    def __init__(self):
        self.client = Client()
        self.messages = [{"role": "user", "content": "hi"}]

    def ask(self):
        return self.client.chat(
            model="openai/gpt-4o", messages=self.messages, provider_options={"logprobs": True, "top_logprobs": 5}
        )


@dataclass
class Panel:
    client: Client
    judges: int = 2

    def ask(self):
        messages = [{"role": "user", "content": "hi"}]
        return self.client.chat(
            model="openai/gpt-4o",
            messages=messages,
            provider_options={"logprobs": True},
        )


def main():
    return Judge().ask(), Panel(Client()).ask()
