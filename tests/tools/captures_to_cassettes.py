"""Turn raw captures of local engines into the VCR cassettes under ``fixtures/``.

    python tests/tools/captures_to_cassettes.py CAPTURES [--fixtures fixtures]

``CAPTURES`` has one directory per engine, and in it three files per case: ``<case>.meta.json``
(engine, version, status, headers, note), ``<case>.request.json`` (method, path, headers, body) and
``<case>.response.<json|sse|txt>`` (the exact bytes of the body). Only the wires that nxlog speaks
are taken, see ``PATHS``. What is written is what the server sent; only the address is replaced by
the default one of the provider, so that a client without options finds the cassette.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cassette_file import Exchange, write

PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/completion",
    "/generate",
    "/inference/v1/generate",
)
RENDERING = ("/v1/chat/completions/render", "/apply-template", "/tokenize", "/detokenize")
"""Endpoints that make prompts and answer nothing; they go into a folder of their own, which no wire reads."""
MAX_BODY = 300_000
"""Whole-vocabulary replies are left out: they prove nothing that a short list does not."""
RECORDED = "2026-11"
LICENSE = (
    "Apache-2.0, as the project: recorded by its authors; the text of the replies is by "
    "SmolLM2-135M-Instruct (Apache-2.0)"
)


@dataclass(frozen=True)
class Source:
    """Where the captures of one engine go."""

    directory: str
    provider: str
    port: int
    prefix: str = ""
    without: tuple[str, ...] = ()
    """Routes that the engine does not have; what was captured there is a 404."""


SOURCES = (
    Source("xllamacpp", "llamacpp", 8080),
    Source("vllm", "vllm", 8000),
    Source("vllm-think", "vllm", 8000, prefix="think_"),
    Source("sglang", "sglang", 30000),
    Source("llama_cpp_python", "llama-cpp-python", 8000, without=("/v1/responses",)),
    Source("mlx-lm", "mlx-lm", 8080),
    Source("transformers-serve", "transformers-serve", 8000),
)


@dataclass(frozen=True)
class Capture:
    """One case as it was captured."""

    meta: dict[str, Any]
    request: dict[str, Any]
    body: bytes

    @property
    def case(self) -> str:
        """The case's name with its number."""
        name: str = self.meta["case"]
        return name


def read_captures(directory: Path) -> list[Capture]:
    """Every case of one engine, in order."""
    captures: list[Capture] = []
    for meta_file in sorted(directory.glob("*.meta.json")):
        case = meta_file.name.removesuffix(".meta.json")
        (body_file,) = directory.glob(f"{case}.response.*")
        captures.append(
            Capture(
                meta=json.loads(meta_file.read_text(encoding="utf-8")),
                request=json.loads((directory / f"{case}.request.json").read_text(encoding="utf-8")),
                body=body_file.read_bytes(),
            )
        )
    return captures


def wanted(capture: Capture, source: Source) -> bool:
    """Whether the case is on a wire that nxlog and the engine speak, and of a size worth keeping."""
    path = capture.request["path"]
    return path in PATHS + RENDERING and path not in source.without and len(capture.body) <= MAX_BODY


def names(cases: list[str]) -> dict[str, str]:
    """Names without the case number, which stays only where two cases would collide."""
    short = {case: re.sub(r"^\d+[a-z]?_", "", case) for case in cases}
    uses = Counter(short.values())
    return {case: name if uses[name] == 1 else case for case, name in short.items()}


def to_exchange(capture: Capture, source: Source) -> Exchange:
    """The capture as a cassette's exchange."""
    meta, request = capture.meta, capture.request
    raw: str | None = request.get("body_raw")
    body = json.dumps(request["body"], ensure_ascii=False) if raw is None else raw
    metadata: dict[str, Any] = {
        "evidence": "captured",
        "provider": source.provider,
        "engine": meta["engine"],
        "engine_version": meta["engine_version"],
        "recorded": RECORDED,
        "case": capture.case,
        "note": meta["note"],
        "license": LICENSE,
    }
    if meta["scrubbed"]:
        metadata["scrubbed"] = "local file paths are <path>; nothing else was changed"
    headers: dict[str, list[str]] = {}
    for name, value in meta["headers"] or [("content-type", meta["content_type"])]:
        headers.setdefault(name, []).append(value)
    if meta["headers"] is None:
        metadata["headers"] = "not recorded; the content type follows from the request"
    return Exchange(
        uri=f"http://localhost:{source.port}{request['path']}",
        request_headers={name: [value] for name, value in request["headers"].items()},
        request_body=body,
        status=meta["status"],
        response_headers=headers,
        response_body=capture.body,
        metadata=metadata,
    )


def convert(captures: Path, fixtures: Path) -> list[Path]:
    """Write every wanted capture and return the files."""
    written: list[Path] = []
    for source in SOURCES:
        cases = [case for case in read_captures(captures / source.directory) if wanted(case, source)]
        short = names([case.case for case in cases])
        for case in cases:
            folder = fixtures / source.provider
            folder = folder / "rendering" if case.request["path"] in RENDERING else folder
            path = folder / f"{source.prefix}{short[case.case]}.yaml"
            write(path, to_exchange(case, source))
            written.append(path)
    return written


def main() -> int:
    """Convert the directory named on the command line."""
    parser = argparse.ArgumentParser(description="Turn captures into VCR cassettes.")
    parser.add_argument("captures", type=Path)
    parser.add_argument("--fixtures", type=Path, default=Path("fixtures"))
    options = parser.parse_args()
    written = convert(options.captures, options.fixtures)
    sys.stdout.write(f"{len(written)} cassettes\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
