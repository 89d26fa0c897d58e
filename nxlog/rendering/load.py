"""From a model's files to a ``Renderer``."""

from __future__ import annotations

import importlib
import json
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nxlog.errors import InvalidRequestError
from nxlog.rendering._gguf import read_metadata
from nxlog.rendering._gguf_tokenizer import added_bos, bpe_tokenizer, special_tokens, stop_tokens
from nxlog.rendering.qwen import CHATML_TOKENS
from nxlog.rendering.renderer import Renderer
from nxlog.rendering.template import ChatML, ChatTemplate, needs_extra

if TYPE_CHECKING:
    import os

CACHED = 8
"""How many renderers are kept, those least recently asked for going first."""

_FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja")

_Key = tuple[Path, str | None, tuple[tuple[int, int], ...]]
_cache: OrderedDict[_Key, Renderer] = OrderedDict()
_loading = threading.Lock()


def load(path: str | os.PathLike[str], *, chat_template: str | None = None) -> Renderer:
    """The renderer of a model (needs ``nxlog[rl]``). Nothing is downloaded.

    Files that have not changed since are not read again: the same renderer is returned, also to other threads.

    Args:
        path: a folder with ``tokenizer.json``, as models are published, or a GGUF file with a byte-level BPE
            vocabulary.
        chat_template: one to use in place of the model's own. A model that has none gets ChatML with tools as text if
            its tokenizer has the tokens for it.

    Raises:
        InvalidRequestError: a file is missing or damaged, or it is of a kind that cannot be read.
        ModuleNotFoundError: the extra is not installed.
    """
    place = Path(path).expanduser().resolve()
    files = [place / name for name in _FILES] if place.is_dir() else [place]
    key = (place, chat_template, tuple(map(_state, files)))
    with _loading:
        found = _cache.get(key)
        if found is None:
            found = _cache[key] = (_from_folder if place.is_dir() else _from_gguf)(place, chat_template)
            while len(_cache) > CACHED:
                _cache.popitem(last=False)
        _cache.move_to_end(key)
        return found


def _state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


def _from_folder(folder: Path, chat_template: str | None) -> Renderer:
    source = folder / "tokenizer.json"
    if not source.is_file():
        raise InvalidRequestError(f"{folder} has no tokenizer.json", param="path")
    package = tokenizers()
    try:
        tokenizer = package.Tokenizer.from_file(str(source))
    except Exception as error:  # noqa: BLE001 - the library raises no other kind
        raise InvalidRequestError(f"{source} is no tokenizer: {error}", param="path") from None
    # Files keep how a tokenizer cut and padded when it was saved; a prompt must be whole.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    config = _json(folder / "tokenizer_config.json")
    variables = {name: text for name, value in config.items() if (text := _token(name, value)) is not None}
    plain, with_tools = _templates(folder, config)
    template = _template(chat_template or plain, None if chat_template else with_tools, variables, tokenizer)
    ended: Any = _json(folder / "generation_config.json").get("eos_token_id", [])
    listed = cast("list[Any]", ended) if isinstance(ended, list) else [ended]
    stops = {id_ for id_ in listed if isinstance(id_, int)}
    if (eos := tokenizer.token_to_id(variables.get("eos_token", ""))) is not None:
        stops.add(eos)
    return Renderer(tokenizer, template, stop_ids=stops)


def _token(name: str, value: object) -> str | None:
    """The text of a special token of ``tokenizer_config.json``, which is a string or an object."""
    if not name.endswith("_token"):
        return None
    text: object = cast("dict[str, object]", value).get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


def _templates(folder: Path, config: dict[str, Any]) -> tuple[str | None, str | None]:
    """The template, and the one for tools if there are two."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8"), None
    given: Any = config.get("chat_template")
    if isinstance(given, list):
        named = {entry["name"]: entry["template"] for entry in cast("list[dict[str, str]]", given)}
        return named.get("default"), named.get("tool_use")
    return given, None


def _from_gguf(path: Path, chat_template: str | None) -> Renderer:
    fields, package = read_metadata(path), tokenizers()
    try:
        tokenizer, variables = bpe_tokenizer(package, fields, path), special_tokens(fields)
    except InvalidRequestError:
        raise
    except Exception as error:  # noqa: BLE001 - the library raises no other kind, and the fields may be anything
        raise InvalidRequestError(f"{path} is damaged: {error!r}", param="path") from None
    template = _template(chat_template or fields.get("tokenizer.chat_template"), None, variables, tokenizer)
    return Renderer(tokenizer, template, stop_ids=stop_tokens(fields), bos_id=added_bos(fields))


def _template(source: str | None, tool_source: str | None, variables: dict[str, str], tokenizer: Any) -> ChatTemplate:
    if source is not None:
        return ChatTemplate(source, tool_source=tool_source, variables=variables)
    if all(tokenizer.token_to_id(token) is not None for token in CHATML_TOKENS):
        return ChatML()
    raise InvalidRequestError("the model has no chat template; give chat_template", param="chat_template")


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidRequestError(f"{path} is no JSON: {error}", param="path") from None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def tokenizers() -> Any:
    """The package, which is an extra."""
    try:
        return importlib.import_module("tokenizers")
    except ModuleNotFoundError as error:
        raise needs_extra(error) from None
