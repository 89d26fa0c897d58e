"""An agent on the embedded engine, and the script that prints its logprobs: A-19 of the checklist.

Real here: all of it. openai-agents' Runner, nxlog, and llama.cpp in process on a tiny model made on the spot.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from agents import Agent, ModelSettings, Runner

import nxlog
from nxlog import AsyncClient, ChatResponse, TokenLogprob, TopLogprob
from nxlog.integrations.openai_agents import AgentsModel, from_agents
from nxlog.local import LocalEngine, engine
from tests.tools.tiny_gguf import write_tiny_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

SCRIPT = Path(nxlog.__file__).parent.parent / "docs" / "example" / "agents_logprobs.py"

pytestmark = [
    pytest.mark.model,
    pytest.mark.anyio,
    # What the tiny model says is noise, of whose broken characters llama.cpp keeps records back.
    pytest.mark.filterwarnings("ignore::nxlog.ParameterWarningCategory"),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def running(tiny: Path) -> Iterator[LocalEngine]:
    with LocalEngine(tiny) as started:
        yield started


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("agents_logprobs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("mode", ["unary", "stream"])
async def test_an_agent_on_llama_cpp(running: LocalEngine, mode: str) -> None:
    """The logprobs on the agent's answer are those that llama.cpp gives to the same question asked without one."""
    handed: list[ChatResponse] = []
    async with AsyncClient(provider="local", base_url=running.base_url, api_key=running.api_key) as client:
        model = AgentsModel(running.model, client=client, on_reply=handed.append)
        settings = ModelSettings(top_logprobs=3, max_tokens=12, temperature=0)
        agent = Agent("Guide", instructions="Be brief.", model=model, model_settings=settings)
        if mode == "unary":
            result: Any = await Runner.run(agent, "Hello")
        else:
            result = Runner.run_streamed(agent, "Hello")
            deltas = [
                entry
                async for event in result.stream_events()
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
                for entry in event.data.logprobs
            ]
            assert [entry.logprob for entry in deltas] == [token.logprob for token in handed[0].logprobs or ()]
        asked = await client.chat(
            model=running.model,
            messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
            top_logprobs=3,
            max_tokens=12,
            temperature=0,
        )
    found = from_agents(result.raw_responses[-1]).logprobs
    assert found is not None
    assert asked.logprobs is not None
    shorter = min(len(found), len(asked.logprobs))
    assert shorter >= 3
    for mine, theirs in zip(found[:shorter], asked.logprobs[:shorter], strict=True):
        assert mine.token == theirs.token
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)
        assert len(mine.top_logprobs) == 3
    assert handed[0].usage is not None
    assert result.raw_responses[-1].usage.output_tokens == handed[0].usage.completion_tokens


async def test_the_script(
    script: ModuleType, tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A-19, as a reader runs it: no key, no server."""
    monkeypatch.setenv("NXLOG_MODEL", str(tiny))
    monkeypatch.setattr(engine, "_default", None)
    try:
        await script.main("Is the sky blue?", "local/tiny")
    finally:
        started = vars(engine)["_default"]
        started.close()
    printed = capsys.readouterr().out
    shown = re.findall(r"^(?:'.*'|\".*\"): (-\d+\.\d\d) \[(.*)\]$", printed, re.MULTILINE)
    assert len(shown) >= 3
    for _, others in shown:
        assert len(re.findall(r" -\d+\.\d\d(?:, |$)", others)) == 3
    entries = json.loads(printed[printed.rindex("\n[\n") :])
    assert 3 <= len(entries) <= 5
    assert [f"{entry['logprob']:.2f}" for entry in entries] == [value for value, _ in shown[: len(entries)]]


def test_the_script_without_numbers(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """A-19: at most three alternatives, "unknown" for what is no number, the first five entries as JSON."""
    tops = [TopLogprob.build(text, value) for text, value in [("a", -0.5), ("b", None), ("c", math.nan), ("d", -4.0)]]
    script.show([TokenLogprob.build("a", None, top_logprobs=tops)] * 7)
    printed = capsys.readouterr().out
    assert printed.startswith("'a': unknown ['a' -0.50, 'b' unknown, 'c' unknown]\n" * 7 + "[\n")
    entries = json.loads(printed[printed.index("\n[\n") :])
    assert len(entries) == 5
    assert (entries[0]["logprob"], len(entries[0]["top_logprobs"])) == (None, 4)


@pytest.mark.parametrize("nothing", [None, []])
def test_the_script_without_logprobs(script: ModuleType, nothing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A-19: it says what to look at."""
    script.show(nothing)
    printed = capsys.readouterr().out
    assert "No logprobs came back" in printed
    assert "top_logprobs" in printed
