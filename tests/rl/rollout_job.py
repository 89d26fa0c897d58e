"""A job to be killed: ``python -m tests.rl.rollout_job BASE_URL MODEL FILE``, the key in the environment."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from nxlog import AsyncClient
from nxlog.rendering import load
from nxlog.retry import RetryPolicy
from tests.tools.rollout_truth import run

if TYPE_CHECKING:
    from nxlog.rollout import Rollout

QUICK = RetryPolicy(attempts=60, first_delay=0.01, factor=1.0)


async def job(base_url: str, api_key: str, model: Path, path: Path | None) -> Rollout:
    """Fifty conversations of two turns with a tool."""
    async with AsyncClient(
        provider="llamacpp", base_url=base_url, api_key=api_key, wire="llamacpp", retries=0
    ) as client:
        return await run(
            client, "tiny", load(model), path=path, concurrency=4, request={"max_tokens": 16}, retries=QUICK
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    found = anyio.run(job, sys.argv[1], os.environ["JOB_KEY"], Path(sys.argv[2]), Path(sys.argv[3]))
    print(found.tally.turns)
