"""Compiles the TOML files: data, JSON schemas, and the provider matrix of the documentation.

Everything is a pure function of the files, in a fixed order, so that the committed results can be
compared with what the files say now.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
from typing import TYPE_CHECKING, Any, cast

from nxlog.errors import RegistryError
from nxlog.registry import claims, matrix, models
from nxlog.registry.capabilities import evidence_of
from nxlog.registry.claims import EvidenceKind
from nxlog.registry.files import read_directory
from nxlog.registry.lookup import Registry, from_raw
from nxlog.registry.models import Capabilities, ProviderFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

    from nxlog.registry.expand import Raw

WRITER = "python -m nxlog.registry"

DATA_PATH = "nxlog/registry/data.json"
MATRIX_PATH = "docs/providers.md"
README_PATH = "README.md"
BEGIN, END = f"<!-- written by {WRITER} -->", "<!-- end -->"
PROVIDERS_SCHEMA_PATH = "providers/.schema.json"
CAPABILITIES_SCHEMA_PATH = "capabilities/.schema.json"

SCHEMA_LINE = "#:schema ./.schema.json"


def outputs(root: Path) -> dict[str, str]:
    """What every generated file should contain, by its path under ``root``.

    Raises:
        RegistryError: a TOML file is broken, or a claim points at a recording that is not there.
    """
    providers, capabilities = read_directory(root)
    registry = from_raw(providers, capabilities, {}, origin=str(root))
    aliases = _aliases(registry)
    _check_files(root, registry, capabilities)
    data = {
        "_written_by": f"{WRITER}; edit providers/*.toml and capabilities/*.toml instead",
        "aliases": dict(sorted(aliases.items())),
        "providers": dict(sorted(providers.items())),
        "capabilities": dict(sorted(capabilities.items())),
    }
    made = {
        DATA_PATH: _json(data),
        PROVIDERS_SCHEMA_PATH: _json(_schema(ProviderFile.model_json_schema(), "ProviderFile")),
        CAPABILITIES_SCHEMA_PATH: _json(_capabilities_schema()),
        MATRIX_PATH: matrix.page(registry, WRITER),
    }
    readme = _read(root / README_PATH)
    return made if readme is None else made | {README_PATH: _with_block(readme, matrix.summary(registry))}


def _with_block(readme: str, summary: str) -> str:
    """The README with the summary between its two marks."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise RegistryError(f"{README_PATH}: the summary of the providers belongs between {BEGIN!r} and {END!r}")
    return f"{head}{begin}\n{summary}{end}{tail}"


def stale(root: Path) -> list[str]:
    """The generated files that do not contain what the TOML files say."""
    return [path for path, text in outputs(root).items() if _read(root / path) != text]


def write(root: Path) -> list[str]:
    """Writes the generated files that changed, and says which."""
    changed: list[str] = []
    for path, text in outputs(root).items():
        target = root / path
        if _read(target) != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="\n")
            changed.append(path)
    return changed


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str) + "\n"


def _aliases(registry: Registry) -> dict[str, str]:
    found: dict[str, str] = {}
    for provider in registry:
        for alias in provider.aliases:
            folded = alias.casefold()
            if folded in registry.ids or found.get(folded, provider.id) != provider.id:
                raise RegistryError(f"providers/{provider.id}.toml: alias {alias!r} is taken; choose another")
            found[folded] = provider.id
    return found


def _check_files(root: Path, registry: Registry, capabilities: dict[str, Raw]) -> None:
    for folder in ("providers", "capabilities"):
        for path in sorted((root / folder).glob("*.toml")):
            if path.read_text(encoding="utf-8").partition("\n")[0] != SCHEMA_LINE:
                raise RegistryError(f"{folder}/{path.name}: line 1 must be {SCHEMA_LINE!r}")
    for id_, raw in capabilities.items():
        if id_ not in registry.ids:
            raise RegistryError(f"capabilities/{id_}.toml: there is no providers/{id_}.toml")
        found = registry.claims(id_)
        missing = set(raw.get("wires", {})) - set(registry.provider(id_).wires)
        if missing:
            raise RegistryError(f"capabilities/{id_}.toml: wires {sorted(missing)} are not in providers/{id_}.toml")
        for entry in evidence_of(found):
            if entry.kind is EvidenceKind.ASSERTED:
                raise RegistryError(f"capabilities/{id_}.toml: nobody's word is evidence in the built-in data")
            if entry.ref is not None and not (root / entry.ref).is_file():
                raise RegistryError(f"capabilities/{id_}.toml: {entry.ref} does not exist")


def _schema(schema: Raw, name: str) -> Raw:
    for title, definition in {name: schema, **schema["$defs"]}.items():
        # "Trait_Distribution_" is the definition of Trait[Distribution].
        for field, text in _DOCSTRINGS.get(title.partition("_")[0], {}).items():
            if field in definition.get("properties", {}):
                definition["properties"][field]["description"] = text
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _docstrings(*modules: ModuleType) -> dict[str, dict[str, str]]:
    """The strings under the fields of each class.

    pydantic can collect them itself (``use_attribute_docstrings``), but does so at every import, which
    then takes twice as long; only the schemas need them.
    """
    found: dict[str, dict[str, str]] = {}
    for module in modules:
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = dict(_fields(node))
    return found


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, following in itertools.pairwise(node.body):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
            case _:
                pass


_DOCSTRINGS = _docstrings(claims, models)


def _capabilities_schema() -> Raw:
    """The model's schema plus what a file may say beyond it: ``sources``, ``extends``, evidence by name."""
    schema = Capabilities.model_json_schema()
    properties = cast("Raw", schema["properties"])
    properties["extends"] = {
        "type": "string",
        "description": "Id of the provider whose capabilities hold here too, except for what this file says.",
    }
    properties["sources"] = {
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/Evidence"},
        "description": "Evidence by name, for several claims to point at.",
    }
    for definition in cast("Raw", schema["$defs"]).values():
        evidence = definition.get("properties", {}).get("evidence")
        if evidence is not None:
            evidence["items"] = {"anyOf": [{"$ref": "#/$defs/Evidence"}, {"type": "string"}]}
    return _schema(schema, "Capabilities")
