"""Nothing here is about a language model."""

from scipy.special import logsumexp

logprobs = [-1.0, -2.0]
options = {"logprobs": logprobs}
print(logsumexp(logprobs), options)
