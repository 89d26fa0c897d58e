from nxlog import Client


class Judge:
    def __init__(self):
        self.client = Client()
        self.messages = [{"role": "user", "content": "hi"}]

    def ask(self):
        return self.client.chat(
            model="openai/gpt-4o", messages=self.messages, provider_options={"logprobs": True, "top_logprobs": 5}
        )


def main():
    return Judge().ask()
