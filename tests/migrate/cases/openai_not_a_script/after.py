from openai import OpenAI

client = OpenAI()


def score(question):
    response = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": question}],
        logprobs=True,
        top_logprobs=5,
        max_completion_tokens=1,
    )
    return response.choices[0].logprobs.content[0]
