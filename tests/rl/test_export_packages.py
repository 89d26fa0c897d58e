"""The formats against the trainers' own packages, each where it is installed.

What is real: the types and functions of the packages. Where a module imports more than a test machine has (GPU
libraries, Ray, a web framework), ``declared`` takes the classes from its file as they are written there. The
development extra has tinker; ``docs/decisions/export.md`` says which versions of the others were tried, and how.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import math
import warnings
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nxlog.export import (
    TrainingRow,
    from_agent_lightning,
    from_art,
    from_letta,
    from_nemo_gym,
    from_strands,
    from_tinker,
    from_verifiers,
    from_verl,
    to_agent_lightning,
    to_art,
    to_letta,
    to_nemo_gym,
    to_skyrl,
    to_strands,
    to_tinker,
    to_trl,
    to_verifiers,
    to_verl,
)
from nxlog.trajectory import Trajectory
from tests.rl.exported import ANSWER_LOGPROBS, CALL_LOGPROBS, IDS, MASK, forked, one_branch, two_turns

if TYPE_CHECKING:
    from types import ModuleType

    from nxlog.trajectory import Branch


def package(name: str) -> ModuleType:
    """A module of a trainer; without it, or without what it imports, the test is skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package's own
        try:
            return importlib.import_module(name)
        except ImportError as error:
            pytest.skip(f"{name} is not installed: {error}")


def source(name: str, file: str) -> str:
    """The text of a package's file. Nothing is imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{name} is not installed")
    return (Path(next(iter(spec.submodule_search_locations))) / file).read_text(encoding="utf-8")


def declared(name: str, file: str, *names: str, **given: Any) -> dict[str, Any]:
    """Classes and functions of a package's file, without what the file imports from the package itself."""
    found: dict[str, Any] = {"__name__": f"{name}.declared", **given}
    for node in ast.parse(source(name, file)).body:
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").partition(".")[0] == name):
            continue
        imports = isinstance(node, ast.Import | ast.ImportFrom)
        if imports or getattr(node, "name", None) in names:
            code = compile(ast.Module([node], []), file, "exec", dont_inherit=True)
            try:
                exec(code, found)
            except ImportError:
                assert imports, file
    return {name: found[name] for name in names}


def whole(branch: Branch) -> TrainingRow:
    """What a format gives back that holds ids, mask and log-probabilities of a branch."""
    row = TrainingRow.of(branch)
    return dataclasses.replace(
        row,
        temperatures=array("d", [math.nan]) * len(row),
        version_names=(),
        finish_reason=None,
        prompt_length=list(row.loss_mask).index(1),
    )


def float32(values: list[float]) -> list[float]:
    return array("f", values).tolist()


def tinker_datum(branch: Branch) -> Any:
    tinker = package("tinker")
    value = to_tinker(branch, advantage=0.5)
    inputs = {
        name: tinker.TensorData(data=data, dtype="int64" if name == "target_tokens" else "float32")
        for name, data in value["loss_fn_inputs"].items()
    }
    return tinker.Datum(model_input=tinker.ModelInput.from_ints(value["model_input"]), loss_fn_inputs=inputs)


def test_tinker() -> None:
    for branch in forked().branches():
        datum = tinker_datum(branch)
        read = from_tinker(
            {
                "model_input": datum.model_input.to_ints(),
                "loss_fn_inputs": {name: tensor.data for name, tensor in datum.loss_fn_inputs.items()},
            }
        )
        expected = whole(branch)
        assert read == dataclasses.replace(expected, logprobs=array("d", array("f", expected.logprobs)))


def test_tinker_makes_the_same_of_the_turns() -> None:
    tinker, processing = package("tinker"), package("tinker_cookbook.rl.data_processing")
    types, completers = package("tinker_cookbook.rl.types"), package("tinker_cookbook.completers")
    trajectory = forked()
    turns = [trajectory.turn(index) for index in range(len(trajectory)) if trajectory.turn(index).role == "assistant"]
    transitions = [
        types.Transition(
            ob=tinker.ModelInput.from_ints(list(turn.prompt_ids)),
            ac=completers.TokensWithLogprobs(list(turn.output_ids), list(turn.output_logprobs)),
            reward=0.0,
            episode_done=turn is turns[-1],
        )
        for turn in turns
    ]
    data = processing.trajectory_to_data(
        types.Trajectory(transitions=transitions, final_ob=tinker.ModelInput.empty()), traj_advantage=0.5
    )
    branches = trajectory.branches()
    assert len(data) == len(branches) == 3
    for datum, branch in zip(data, branches, strict=True):
        ours = tinker_datum(branch)
        assert ours.model_input.to_ints() == datum.model_input.to_ints()
        assert ours.loss_fn_inputs.keys() == datum.loss_fn_inputs.keys()
        for name, tensor in datum.loss_fn_inputs.items():
            assert ours.loss_fn_inputs[name].tolist() == tensor.tolist(), name


def test_verl() -> None:
    loop = package("verl.experimental.agent_loop.agent_loop")
    branch = one_branch()
    output = loop.AgentLoopOutput(**to_verl(branch, reward=0.5), metrics=loop.AgentLoopMetrics())
    assert from_verl(output.model_dump()) == whole(branch)
    tensors = output.as_dict()
    assert tensors["prompts"].tolist() + tensors["responses"].tolist() == IDS
    assert tensors["response_mask"].tolist() == MASK[3:]
    assert tensors["rollout_log_probs"].tolist() == float32([*CALL_LOGPROBS, 0.0, 0.0, *ANSWER_LOGPROBS])
    assert tensors["rm_scores"].tolist() == [0.0] * 6 + [0.5]


def test_art() -> None:
    tokenize, art = package("art.preprocessing.tokenize"), package("art")
    for branch in forked().branches():
        result = tokenize.TokenizedResult(
            **to_art(branch), advantage=0.5, chat="", trajectory=art.Trajectory(), _tokenizer=None
        )
        columns = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
        assert from_art(columns) == whole(branch)
    assert result.without_prompt().token_ids == result.token_ids  # prompt_length is ART's to find


def test_strands() -> None:
    rollout = package("strands_sglang.rollout").Rollout
    exported = rollout(**to_strands(one_branch()))
    appended = rollout()
    appended.add_prompt(IDS[:3])
    appended.add_response(IDS[3:6], CALL_LOGPROBS)
    appended.add_prompt(IDS[6:8])
    appended.add_response(IDS[8:], ANSWER_LOGPROBS)
    assert exported == appended
    assert exported.initial_prompt_length == 3
    assert from_strands(exported.model_dump()) == whole(one_branch())


def test_verifiers() -> None:
    traces, graph = package("verifiers.v1.trace"), package("verifiers.v1.graph")
    branches = forked().branches()
    exported = to_verifiers(branches)
    trace = traces.Trace.model_construct(
        nodes=[graph.MessageNode.model_validate(node) for node in exported["nodes"]],
        calls=[traces.ModelCall.model_validate(call) for call in exported["calls"]],
    )
    for theirs, branch in zip(trace.branches, branches, strict=True):
        row = TrainingRow.of(branch)
        assert theirs.token_ids == list(row.ids)
        assert theirs.sampled_mask == [bool(trained) for trained in row.loss_mask]
        assert theirs.logprobs == [0.0 if math.isnan(value) else value for value in row.logprobs]
    nodes = [node.model_dump() for node in trace.nodes]
    assert [from_verifiers({"nodes": nodes})[i] for i in range(3)] == [whole(branch) for branch in branches]


def test_agent_lightning() -> None:
    triplet = declared("agentlightning", "types/core.py", "Triplet")["Triplet"]
    trajectory = two_turns()
    triplets = [triplet.model_validate(value) for value in to_agent_lightning(trajectory)]
    # As its reader for Tinker takes them.
    assert [[entry["logprob"] for entry in one.response["logprobs"]] for one in triplets] == [
        CALL_LOGPROBS,
        ANSWER_LOGPROBS,
    ]
    read = from_agent_lightning(one.model_dump() for one in triplets)
    assert Trajectory(read).branches()[0].ids == one_branch().ids


def test_skyrl() -> None:
    keys = declared("skyrl", "train/generators/base.py", "GeneratorOutput", "TrajectoryID")["GeneratorOutput"]
    output = to_skyrl(forked().branches(), rewards=[0.0, 0.5, 1.0])
    assert output.keys() <= keys.__annotations__.keys()
    validate = declared("skyrl", "train/utils/trainer_utils.py", "validate_generator_output", GeneratorOutput=keys)[
        "validate_generator_output"
    ]
    validate(3, output)
    output["rollout_logprobs"][1].pop()
    with pytest.raises(AssertionError, match="Response ids and rollout logprobs must have the same length"):
        validate(3, output)


def test_letta() -> None:
    turn_type = declared("letta", "schemas/letta_response.py", "TurnTokenData")["TurnTokenData"]
    exported = to_letta(two_turns())
    turns = [turn_type.model_validate(value) for value in exported]
    assert [turn.model_dump() for turn in turns] == exported  # its fields, and no other
    assert from_letta(turn.model_dump() for turn in turns) == from_letta(exported)


def test_trl_reads_these_names() -> None:
    trainer = source("trl", "trainer/grpo_trainer.py")
    assert 'required_keys = {"prompt_ids", "completion_ids", "logprobs"}' in trainer
    assert 'tool_mask = extra_fields.pop("env_mask", None)' in trainer
    assert {"prompt_ids", "completion_ids", "logprobs", "env_mask"} == to_trl([one_branch()]).keys()


def test_nemo_gym() -> None:
    base = (
        "TokenIDLogProbMixin",
        *("NeMoGymSummary", "NeMoGymResponseReasoningItem", "NeMoGymResponseReasoningItemForTraining"),
        *("NeMoGymResponseOutputText", "NeMoGymResponseOutputRefusal", "NeMoGymResponseOutputMessage"),
        *("NeMoGymResponseOutputMessageForTraining", "NeMoGymEasyInputMessage", "NeMoGymFunctionCallOutput"),
        *("NeMoGymResponseFunctionToolCall", "NeMoGymResponseFunctionToolCallForTraining"),
    )
    types = declared("nemo_gym", "openai_utils.py", *base, RoutedExperts=str, NeMoGymContent=Any)
    exported = to_nemo_gym(two_turns())
    names = [
        "NeMoGymEasyInputMessage",
        "NeMoGymResponseReasoningItem",
        "NeMoGymResponseFunctionToolCallForTraining",
        "NeMoGymFunctionCallOutput",
        "NeMoGymResponseOutputMessageForTraining",
    ]
    items = [*exported["input"], *exported["output"]]
    validated = [types[name].model_validate(item) for name, item in zip(names, items, strict=True)]
    assert validated[2].generation_log_probs == CALL_LOGPROBS
    turns = from_nemo_gym(item.model_dump(exclude_none=True) for item in validated)
    assert Trajectory(turns).branches()[0].ids == one_branch().ids
