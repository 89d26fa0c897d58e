"""What servers say when they refuse. The bodies in the cassettes are real; the sentences are such as servers use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from nxlog import errors
from nxlog.wire.errors import Refusal, RefusalKind, classify_refusal, event_error, parse_error, status_error
from tests.conformance.cassettes import CASES

FIXTURES = Path(__file__).parent.parent / "fixtures"

RANGE, PRECONDITION = RefusalKind.RANGE, RefusalKind.PRECONDITION
UNSUPPORTED, TRANSIENT = RefusalKind.UNSUPPORTED, RefusalKind.TRANSIENT

SENTENCES = [
    (RANGE, 5, "Invalid value for 'top_logprobs': must be less than or equal to 5."),
    (RANGE, 5, "Range of top_logprobs should be [0, 5]"),
    (RANGE, 20, "Invalid top_logprobs value, the valid range of top_logprobs is [0, 20]."),
    (RANGE, 20, "top_logprobs must be between 0 and 20"),
    (RANGE, 5, "logprobs: the value must lie between 0 and 5"),
    (RANGE, 8, "top_logprobs must be at most 8"),
    (RANGE, 20, "Requested sample logprobs of 21, which is greater than max allowed: 20"),
    (RANGE, 5, "9 is greater than the maximum of 5 - 'logprobs'"),
    (RANGE, 10, 'top_logprobs" must be in range [0, 10]'),
    (RANGE, 11, "top_logprobs 12 must be in [0, 11]"),
    (RANGE, 4, "`top_n_tokens` must be >= 0 and <= 4, given 5"),
    (RANGE, None, "Invalid 'top_logprobs': integer below minimum value. Expected a value >= 0, but got -1 instead."),
    (RANGE, None, "top_logprobs: Input should be greater than or equal to 0"),
    (RANGE, None, "logprob_start_len=10 is higher than the number of input tokens 5"),
    (PRECONDITION, None, "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."),
    (PRECONDITION, None, "when using `top_logprobs`, `logprobs` must be set to true."),
    (PRECONDITION, None, "logprobs must be set to true if top_logprobs is used."),
    (PRECONDITION, None, "top_logprobs requires logprobs to be set to true"),
    (PRECONDITION, None, "top_logprobs can only be used when 'logprobs' is true"),
    (PRECONDITION, None, "`logprobs` must be true to support top_logprobs"),
    (PRECONDITION, None, "`prompt_logprobs` are not available when `stream=True`."),
    (PRECONDITION, None, "best_of is not supported when streaming tokens"),
    (PRECONDITION, None, "logprobs must be a boolean"),
    (PRECONDITION, None, "Field 'logprobs': type must be number, but is string"),
    (PRECONDITION, None, "logprobs must be of type bool"),
    (PRECONDITION, None, "logprobs can only be given when response_logprobs is true"),
    (PRECONDITION, None, "give it together with setting response_logprobs"),
    (PRECONDITION, None, "set generation_config.response_logprobs"),
    (PRECONDITION, None, "logprobs need gather_generation_logits"),
    (PRECONDITION, None, "return_prompt_token_ids is not supported with streaming."),
    (UNSUPPORTED, None, "You are not allowed to request logprobs from this model"),
    (UNSUPPORTED, None, "Unsupported parameter: 'logprobs' is not supported with this model."),
    (UNSUPPORTED, None, "`logprobs` is not supported with this model"),
    (UNSUPPORTED, None, "logprobs are not supported with reasoning models."),
    (UNSUPPORTED, None, "logprobs are not supported with gpt-oss models"),
    (UNSUPPORTED, None, "logprobs is not supported with reasoning."),
    (UNSUPPORTED, None, "Logprobs are not supported in streaming mode"),
    (UNSUPPORTED, None, "logprobs is not supported with tools + stream"),
    (UNSUPPORTED, None, "This model does not support the 'logprobs' parameter."),
    (UNSUPPORTED, None, "Unrecognized request argument supplied: logprobs"),
    (UNSUPPORTED, None, "Unrecognized request argument supplied: top_logprobs"),
    (UNSUPPORTED, None, "'include' is not supported with this model"),
    (UNSUPPORTED, None, "Logprobs is not enabled for models/gemini-2.5-pro"),
    (UNSUPPORTED, None, "Logprobs is not supported for the current model."),
    (UNSUPPORTED, None, "Unable to submit request because Logprobs is not supported for this model."),
    (UNSUPPORTED, None, "Logprobs are not enabled for this model"),
    (UNSUPPORTED, None, "logprobs are not supported with this model"),
    (UNSUPPORTED, None, "logprobs is not yet supported by this model"),
    (UNSUPPORTED, None, '{"object":"error","message":"no","code":"3051"}'),
    (UNSUPPORTED, None, '{"object":"error","message":"no","code": 3051}'),
    (UNSUPPORTED, None, "logprobs: Extra inputs are not permitted"),
    (UNSUPPORTED, None, "top_logprobs: Extra inputs are not permitted"),
    (UNSUPPORTED, None, 'Invalid JSON payload received. Unknown name "logprobs": Cannot find field.'),
    (UNSUPPORTED, None, 'Invalid JSON payload received. Unknown name "top_logprobs": Cannot find field.'),
    (UNSUPPORTED, None, "the engine does not support return_logprob"),
    (UNSUPPORTED, None, "logprobs are available only for the vllm backend"),
    (UNSUPPORTED, None, "logprobs field not supported yet"),
    (UNSUPPORTED, None, "logprobs is not supported for models created with logits_all=False"),
    (UNSUPPORTED, None, "the server has not enabled logprobs_mode"),
    (UNSUPPORTED, None, "logprobs is removed"),
    (UNSUPPORTED, None, "the model does not support parameters: ['logprobs'], drop them"),
    (TRANSIENT, None, "the maximum number of requests with logprobs is reached"),
    (TRANSIENT, None, "Missing Logprobs results."),
]


@pytest.mark.parametrize(("kind", "limit", "sentence"), SENTENCES)
def test_sentence_is_understood(kind: RefusalKind, limit: int | None, sentence: str) -> None:
    assert classify_refusal(sentence) == Refusal(kind, limit)
    assert classify_refusal(sentence.upper()) == Refusal(kind, limit)


@pytest.mark.parametrize(("kind", "limit", "sentence"), SENTENCES)
def test_sentence_is_understood_inside_a_body(kind: RefusalKind, limit: int | None, sentence: str) -> None:
    """In a JSON body the quotes of the message are escaped."""
    assert classify_refusal(json.dumps({"error": {"message": sentence, "code": 400}})) == Refusal(kind, limit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Internal Server Error",
        "temperature: Extra inputs are not permitted",
        "Invalid value for 'temperature': must be less than or equal to 2.",
        'Unknown name "seed": Cannot find field.',
        "'seed' is not supported with this model.",
        "This model's maximum context length is 2048 tokens.",
        "The model `no-such-model` does not exist.",
        "temperature must be between 0 and 2",
    ],
)
def test_other_complaints_are_not_about_logprobs(text: str) -> None:
    assert classify_refusal(text) is None


# -- error bodies of real servers ------------------------------------------------------------------------------------

BAD, AUTH, DENIED = errors.BadRequestError, errors.AuthenticationError, errors.PermissionDeniedError
MISSING, LIMIT, SERVER = errors.NotFoundError, errors.RateLimitError, errors.ServerError

# cassette: class, code, param, what it says about logprobs
REAL: dict[str, tuple[type[errors.StatusError], str | None, str | None, Refusal | None]] = {
    "anthropic/err_bad_key": (AUTH, "authentication_error", None, None),
    "anthropic/err_extra_inputs": (BAD, "invalid_request_error", None, Refusal(UNSUPPORTED)),
    "deepseek/err_top_logprobs_range": (BAD, "invalid_request_error", None, Refusal(RANGE, 20)),
    "llama-cpp-python/chat_json_schema": (SERVER, "internal_server_error", None, None),
    "llama-cpp-python/err_bad_json": (SERVER, None, None, None),
    "llama-cpp-python/err_ctx_overflow": (BAD, "context_length_exceeded", "messages", None),
    "llama-cpp-python/err_top_minus1": (SERVER, "internal_server_error", None, Refusal(RANGE)),
    "llamacpp/07_emoji_responses": (BAD, "invalid_request_error", None, Refusal(PRECONDITION)),
    "llamacpp/07b_emoji_responses": (BAD, "invalid_request_error", None, None),
    "llamacpp/chat_tools_required_stream": (BAD, "invalid_request_error", None, Refusal(UNSUPPORTED)),
    "llamacpp/err_bad_json": (BAD, "invalid_request_error", None, None),
    "llamacpp/err_ctx_overflow": (BAD, "exceed_context_size_error", None, None),
    "llamacpp/err_logprobs_false_top": (BAD, "invalid_request_error", None, Refusal(PRECONDITION)),
    "llamacpp/err_logprobs_string": (BAD, "invalid_request_error", None, Refusal(PRECONDITION)),
    "llamacpp/err_no_messages": (BAD, "invalid_request_error", None, None),
    "llamacpp/err_responses_top21": (BAD, "invalid_request_error", None, Refusal(PRECONDITION)),
    "llamacpp/err_top_without_logprobs": (BAD, "invalid_request_error", None, Refusal(PRECONDITION)),
    "llamacpp/emoji_responses_stream": (BAD, "invalid_request_error", None, None),
    "llamacpp/responses_logprobs": (BAD, "invalid_request_error", None, Refusal(PRECONDITION)),
    "llamacpp/responses_logprobs_stream": (BAD, "invalid_request_error", None, Refusal(PRECONDITION)),
    "llamacpp/responses_toplp_no_include": (BAD, "invalid_request_error", None, Refusal(PRECONDITION)),
    "local/err_n2": (BAD, "invalid_request_error", None, None),
    "openai/err_bad_key": (AUTH, "invalid_api_key", None, None),
    "openai/err_not_allowed": (DENIED, "invalid_request_error", None, Refusal(UNSUPPORTED)),
    "openai/err_rate_limit": (LIMIT, "rate_limit_exceeded", None, None),
    "openai/err_reasoning_logprobs": (BAD, "unsupported_parameter", "logprobs", Refusal(UNSUPPORTED)),
    "openai/err_top_logprobs_gt5": (BAD, "invalid_request_error", "top_logprobs", Refusal(RANGE, 5)),
    "openai/err_top_without_logprobs": (BAD, "invalid_request_error", "top_logprobs", Refusal(PRECONDITION)),
    "openai/err_unknown_model": (MISSING, "model_not_found", None, None),
    "sglang/chat_input_ids": (BAD, "BadRequestError", None, None),
    "sglang/chat_token_ids_stream": (BAD, "BadRequest", None, Refusal(PRECONDITION)),
    "sglang/emoji_responses_stream": (BAD, "invalid_request_error", "logprobs", Refusal(UNSUPPORTED)),
    "sglang/err_bad_json": (BAD, "Bad Request", None, None),
    "sglang/err_ctx_overflow": (BAD, "BadRequestError", None, None),
    "sglang/err_no_messages": (BAD, "Bad Request", None, None),
    "sglang/generate_err": (BAD, None, None, None),
    "sglang/responses_logprobs_stream": (BAD, "invalid_request_error", "logprobs", Refusal(UNSUPPORTED)),
    "transformers-serve/err_bad_json": (BAD, None, None, None),
    "transformers-serve/err_no_messages": (SERVER, None, None, None),
    "vllm/chat_prompt_logprobs_stream": (BAD, "BadRequestError", "prompt_logprobs", Refusal(PRECONDITION)),
    "vllm/chat_top_minus1_allowed": (BAD, "BadRequestError", "logprobs", Refusal(RANGE, 20)),
    "vllm/err_bad_json": (BAD, "Bad Request", "body.28", None),
    "vllm/err_completions_logprobs_99": (BAD, "BadRequestError", "logprobs", Refusal(RANGE, 20)),
    "vllm/err_ctx_overflow": (BAD, "BadRequestError", "input_tokens", None),
    "vllm/err_logprobs_false_top": (BAD, "BadRequestError", "top_logprobs", Refusal(PRECONDITION)),
    "vllm/err_no_messages": (BAD, "Bad Request", "body.messages", None),
    "vllm/err_responses_top21": (BAD, "BadRequestError", "logprobs", Refusal(RANGE, 20)),
    "vllm/err_top21": (BAD, "BadRequestError", "logprobs", Refusal(RANGE, 20)),
    "vllm/err_top_minus1": (BAD, "BadRequestError", "logprobs", Refusal(RANGE, 20)),
    "vllm/err_top_without_logprobs": (BAD, "BadRequestError", "top_logprobs", Refusal(PRECONDITION)),
    "vllm/err_unknown_model": (MISSING, "NotFoundError", "model", None),
    "vllm/inference_generate": (DENIED, "PermissionDeniedError", None, None),
    "vertex/err_missing_results": (SERVER, "INTERNAL", None, Refusal(TRANSIENT)),
}


REFUSED = {f"{case.provider}/{case.name}": case for case in CASES if case.status >= 400}
# A body that is no JSON cannot be sent by nxlog, but what servers say to it is evidence too.
NO_JSON = {"llamacpp/err_bad_json", "sglang/err_bad_json", "transformers-serve/err_bad_json", "vllm/err_bad_json"}
NO_JSON |= {"llama-cpp-python/err_bad_json"}


def refused(name: str) -> tuple[int, bytes]:
    """Status and body."""
    text = (FIXTURES / f"{name}.yaml").read_text(encoding="ascii")
    document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    response = document["interactions"][0]["response"]
    body = response["body"]["string"]
    return response["status"]["code"], body if isinstance(body, bytes) else body.encode()


def test_the_table_names_everything_that_was_captured() -> None:
    captured = {name for name, case in REFUSED.items() if case.metadata["evidence"] == "captured"}
    assert captured | NO_JSON <= set(REAL) <= set(REFUSED) | NO_JSON


@pytest.mark.parametrize("name", sorted(set(REFUSED) - set(REAL)))
def test_a_documented_refusal_is_understood(name: str) -> None:
    """By its name: the number is refused, or the field."""
    status, body = refused(name)
    found = classify_refusal(body.decode())
    assert found is not None
    assert found.kind is (RANGE if "top" in name.partition("/")[2] else UNSUPPORTED)
    assert status_error(status, body).message


@pytest.mark.parametrize("name", REAL)
def test_body_of_a_server(name: str) -> None:
    status, body = refused(name)
    error = status_error(status, body)
    assert (type(error), error.code, error.param, classify_refusal(error.body or "")) == REAL[name]
    assert error.status_code == status
    assert str(error).startswith(f"HTTP {status}: ")
    assert "\n" not in str(error)
    assert "no message" not in str(error)


@pytest.mark.parametrize(
    ("body", "message", "code", "param", "status"),
    [
        ({"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}, "m", "c", "p", None),
        ({"error": {"message": "m", "type": "t", "param": None, "code": None}}, "m", "t", None, None),
        ({"error": {"message": "m", "type": "t", "code": 400}}, "m", "t", None, 400),
        ({"error": {"message": "m", "code": 7}}, "m", "7", None, None),
        ({"error": "m"}, "m", None, None, None),
        ({"error": "m", "code": "c"}, "m", "c", None, None),
        ({"object": "error", "message": "m", "type": "t", "param": None, "code": 429}, "m", "t", None, 429),
        ({"message": "m", "type_": "x"}, "m", None, None, None),
        ({"detail": "m"}, "m", None, None, None),
        ({"detail": [{"msg": "m"}]}, '[{"msg": "m"}]', None, None, None),
        ([{"error": {"message": "m", "code": 400, "status": "INVALID"}}], "m", "INVALID", None, 400),
        ({"error": {"message": "m", "code": 403, "status": 403}}, "m", None, None, 403),
        ({"status": 404, "title": "t", "detail": "m"}, "m", None, None, None),
        ({"error_code": "c", "message": "m"}, "m", "c", None, None),
        ({"__type": "com.example#c", "message": "m"}, "m", "c", None, None),
        ({"Message": "m"}, "m", None, None, None),
        ({"error": "c", "error_description": "m"}, "m", "c", None, None),
        ({"error": ["m", "n"]}, "m; n", None, None, None),
        ({"errors": [{"code": 7003, "message": "m"}], "success": False}, "m", "7003", None, None),
        ({"errors": [{"code": "c", "message": "m"}, {"code": "d", "message": "n"}]}, "m", "c", None, None),
        ({"errors": []}, "", None, None, None),
        ({"type": "error", "error": {"type": "t", "message": "m"}}, "m", "t", None, None),
        ("m", "m", None, None, None),
        ({}, "", None, None, None),
        ([], "", None, None, None),
        (None, "", None, None, None),
    ],
)
def test_shapes_of_error_bodies(body: Any, message: str, code: str | None, param: str | None, status: int | None):
    found = parse_error(body)
    assert (found.message, found.code, found.param, found.status) == (message, code, param, status)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"upstream connect error\n  reset", "HTTP 502: upstream connect error reset"),
        (b"<html><head><title>502</title><style>a{}</style></head><body>Bad <b>gateway</b></body></html>",
         "HTTP 502: 502 Bad gateway"),
        (b"", "HTTP 502: no message"),
        (b"\xff\xfe", "HTTP 502: \ufffd\ufffd"),
        (b"[" * 100_000, "HTTP 502: " + "[" * 500 + "…"),
        (b'{"error":{"message":"one\\n\\n  two"}}', "HTTP 502: one two"),
    ],
    ids=["text", "html", "empty", "not-utf8", "deep", "lines"],
)  # fmt: skip
def test_message_is_one_line_of_any_body(body: bytes, message: str) -> None:
    error = status_error(502, body)
    assert str(error) == message
    assert isinstance(error, SERVER)


def test_status_error_keeps_what_support_asks_for() -> None:
    error = status_error(429, b'{"error":{"message":"m"}}', headers={"request-id": "r1"}, retry_after=2.5)
    assert (error.request_id, error.retry_after, error.retryable) == ("r1", 2.5, True)


def test_amazon_names_the_error_in_a_header() -> None:
    headers = {"x-amzn-errortype": "ValidationException:http://internal.example.com/coral/", "x-amzn-requestid": "r1"}
    error = status_error(400, b'{"message":"m"}', headers=headers)
    assert (error.code, error.request_id, str(error)) == ("ValidationException", "r1", "HTTP 400: m")


def test_a_body_without_a_message_is_shown_itself() -> None:
    assert str(status_error(400, b'{"reason": "unknown field x"}')) == 'HTTP 400: {"reason": "unknown field x"}'


@pytest.mark.parametrize(("status", "message"), [(401, "the key is missing or wrong"), (404, "not found")])
def test_silent_statuses_are_explained(status: int, message: str) -> None:
    assert str(status_error(status, b"{}")) == f"HTTP {status}: {message}"


def test_error_inside_a_reply_takes_its_class_from_its_code_or_the_wire() -> None:
    assert type(event_error({"error": {"message": "m", "code": 404}}, "")) is MISSING
    assert type(event_error({"error": {"message": "m", "type": "t"}}, "")) is SERVER
    found = event_error({"error": {"message": "m", "type": "t"}}, "", statuses={"t": 429})
    assert (type(found), found.status_code) == (LIMIT, 429)
