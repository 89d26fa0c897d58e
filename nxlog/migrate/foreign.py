"""Calls of other libraries that ask for logprobs: reported, with the call of nxlog to write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from nxlog.migrate import bags
from nxlog.migrate.findings import Outcome, Refusal
from nxlog.migrate.layout import Remarks
from nxlog.migrate.literals import text_of
from nxlog.migrate.options import TRUE, Ask, Taken, fields_of, holds_include, take, traces
from nxlog.migrate.spellings import Meaning, meaning_of, without_prefix
from nxlog.migrate.suggest import Suggestion, model_of

if TYPE_CHECKING:
    from nxlog.migrate.bags import Bag
    from nxlog.migrate.names import Names
    from nxlog.migrate.plan import Plan

_BAGS = {"extra_body", "model_kwargs", "model_settings", "extra_args"}
"""Arguments that hold what the library itself has no name for."""
_ENDS = {"create", "parse", "stream"}
_LITELLM = {"completion", "acompletion", "text_completion", "atext_completion", "batch_completion"}
_RUNS = {"bind", "invoke", "ainvoke", "stream", "astream", "batch", "abatch", "generate", "agenerate"}


@dataclass
class Wish:
    """What a call asks for, and by which of its arguments."""

    asks: list[Ask] = field(default_factory=list[Ask])
    by: list[str] = field(default_factory=list[str])
    unclear: bool = False
    """Whether a part of it cannot be read."""
    rest: Bag | None = None
    """What the dict holds besides, which goes into ``provider_options``."""

    def code(self, names: Names) -> str:
        """The fields to write."""
        try:
            fields = [] if self.unclear else fields_of(Taken(asks=self.asks), names)
        except Refusal:
            fields = []
        written = ", ".join(f"{one.name}={names.code(one.value)}" for one in fields) or "logprobs=..., top_logprobs=..."
        if self.rest is None:
            return written
        rest = names.code(self.rest)
        return f"{written}, provider_options={rest if len(rest) <= 60 and chr(10) not in rest else '{...}'}"


def visit_foreign(call: cst.Call, plan: Plan) -> None:
    """Look at one call."""
    if plan.settled(call):
        return
    for library in (_openai, _litellm, _langchain, _pydantic_ai, _nxuskit):
        found = library(call, plan.names)
        if found is not None:
            plan.settle(call)
            for arg in call.args:
                plan.settle(arg.value)
            _say(call, plan, found)
            return


def _say(node: cst.CSTNode, plan: Plan, found: _Found) -> None:
    wish, suggestion, name = found
    by = ", ".join(dict.fromkeys(wish.by))
    why = _REASONS.get(name) or plan.reasons.get("openai", "only scripts of which all is seen are")
    message = f"{name} is asked for logprobs by {by}; not rewritten: {why}"
    plan.say(node, Outcome.BY_HAND, message, suggestion.code(plan.names, wish))


_Found = tuple[Wish, Suggestion, str]
_REASONS = {
    "LangChain": "the model is an object that chains and agents of LangChain take",
    "LiteLLM": "nxlog calls through a client, which has to be made and closed somewhere",
    "nxuskit": "its client is another; import ChatRequest and Client from nxlog, and run this again",
    "pydantic-ai": "the settings are part of an agent, which runs more than one request",
}


def wish_of(bag: Bag, names: Names, *, prefixed: bool = False) -> Wish | None:
    """What the arguments of a call ask for; None where it is nothing."""
    wish = Wish()
    for pair in bags.pairs(bag):
        key = pair.key
        if prefixed and key is not None and key not in _BAGS:
            key = without_prefix(key) or ""
        if key is None:
            # Only a dict that is spread into the call can name arguments.
            if any(traces(pair.value, names)):
                wish.by.append(f"**{names.code(pair.value)}")
                wish.unclear = True
        elif key in _BAGS:
            _look_into(key, pair.value, wish, names)
        elif (ask := _ask(key, pair.value, names)) is not None:
            wish.asks.append(ask)
            wish.by.append(pair.key or key)
    return wish if wish.by else None


def _ask(key: str, value: cst.BaseExpression, names: Names) -> Ask | None:
    if (meaning := meaning_of(key)) is not None:
        known = names.constant(value)
        return None if known is None or known is False else Ask(key, meaning, value, Remarks())
    return Ask(key, Meaning.FLAG, TRUE, Remarks()) if key == "include" and holds_include(value) else None


def _look_into(key: str, value: cst.BaseExpression, wish: Wish, names: Names) -> None:
    bag = names.sole_bag(value) if isinstance(value, cst.Name) else bags.as_bag(value, names)
    if bag is not None:
        try:
            taken = take(bag, names)
        except Refusal:
            taken = Taken()
            wish.unclear = True
        if taken.asks:
            wish.asks += taken.asks
            wish.by.append(key)
            wish.rest = wish.rest or taken.rest
            return
    if any(traces(value, names)):
        wish.by.append(key)
        wish.unclear = True


# -- libraries -------------------------------------------------------------------------------------------------------


def path_of(node: cst.BaseExpression) -> tuple[cst.BaseExpression, list[str]]:
    """``client.chat.completions.create`` as ``client`` and the attributes."""
    attributes: list[str] = []
    while isinstance(node, cst.Attribute):
        attributes.insert(0, node.attr.value)
        node = node.value
    return node, attributes


def _openai(call: cst.Call, names: Names) -> _Found | None:
    """The OpenAI SDK, and those made in its image."""
    root, path = path_of(call.func)
    kinds = {"completions", "responses"} & set(path)
    if not kinds or path[-1] not in _ENDS:
        return None
    wish = wish_of(call, names)
    if wish is None:
        return None
    kind = names.type_of(root) or names.type_of(_base(call.func)) or names.imported(root) or ""
    suggestion = Suggestion.of(call, provider=_sdk_provider(kind, names, root))
    suggestion.stream = suggestion.stream or path[-1] == "stream"
    name = "the OpenAI SDK" if kind.startswith("openai") or not kind else kind
    return wish, suggestion, name


def _base(func: cst.BaseExpression) -> cst.BaseExpression:
    """``self.client`` of ``self.client.chat.completions.create``."""
    while isinstance(func, cst.Attribute) and isinstance(func.value, cst.Attribute):
        if func.attr.value in {"chat", "completions", "responses", "beta"}:
            return func.value
        func = func.value
    return func


def _sdk_provider(kind: str, names: Names, root: cst.BaseExpression) -> str | None:
    """Whose API it is; None where the client was given an address of its own."""
    made = names.sole_value(root) if isinstance(root, cst.Name) else None
    if isinstance(made, cst.Call) and bags.find(made, "base_url") is not None:
        return None
    package, _, name = kind.partition(".")
    if "Azure" in name:
        return "azure-openai"
    return {"groq": "groq", "together": "together", "fireworks": "fireworks"}.get(package, "openai")


def _litellm(call: cst.Call, names: Names) -> _Found | None:
    imported = names.imported(call.func) or ""
    named = imported.startswith("litellm.") and imported.rpartition(".")[2] in _LITELLM
    func = call.func
    if not named and isinstance(func, cst.Attribute) and func.attr.value in _LITELLM:
        named = (names.type_of(func.value) or "").endswith(".Router")
    wish = wish_of(call, names) if named else None
    if wish is None:
        return None
    suggestion = Suggestion.of(call, litellm=True)
    for name, arg in zip(("model", "messages"), call.args, strict=False):
        if arg.keyword is None and not arg.star:
            suggestion.fields[name] = arg.value
    return wish, suggestion, "LiteLLM"


def _langchain(call: cst.Call, names: Names) -> _Found | None:
    imported = names.imported(call.func) or ""
    if imported.startswith("langchain"):
        wish = wish_of(call, names)
        return None if wish is None else (wish, _langchain_model(call, names), "LangChain")
    func = call.func
    if not isinstance(func, cst.Attribute) or func.attr.value not in _RUNS or not names.imports_any("langchain"):
        return None
    wish = wish_of(call, names)
    if wish is None:
        return None
    suggestion = _langchain_model(func.value, names)
    suggestion.stream = func.attr.value in {"stream", "astream"}
    return wish, suggestion, "LangChain"


def _langchain_model(node: cst.BaseExpression, names: Names, depth: int = 5) -> Suggestion:
    """What is known of the model that something is called on."""
    made = names.sole_value(node) if isinstance(node, cst.Name) else node
    if not isinstance(made, cst.Call) or not depth:
        return Suggestion({})
    imported = names.imported(made.func) or ""
    if imported.startswith("langchain"):
        suggestion = Suggestion.of(made, provider=model_of(imported))
        model = text_of(made.args[0].value) if made.args and made.args[0].keyword is None else None
        if model is not None:
            suggestion.fields["model"] = '"' + model.replace(":", "/", 1) + '"'
        return suggestion
    if not isinstance(made.func, cst.Attribute):
        return Suggestion({})
    return _langchain_model(made.func.value, names, depth - 1)


def visit_settings(node: cst.Dict, plan: Plan) -> None:
    """Look at a dict that is settings of pydantic-ai by its keys."""
    if plan.settled(node) or not plan.names.imports_any("pydantic_ai"):
        return
    if not any(pair.key and without_prefix(pair.key) for pair in bags.pairs(node)):
        return
    wish = wish_of(node, plan.names, prefixed=True)
    if wish is not None:
        _say(node, plan, (wish, Suggestion({}), "pydantic-ai"))


def _pydantic_ai(call: cst.Call, names: Names) -> _Found | None:
    if not names.imports_any("pydantic_ai"):
        return None
    wish = wish_of(call, names, prefixed=True)
    settings = bags.find(call, "model_settings")
    inner = settings.value if settings else None
    if isinstance(inner, cst.Name):
        inner = names.sole_value(inner)
    bag = bags.as_bag(inner, names) if inner is not None else None
    if wish is None and bag is not None:
        wish = wish_of(bag, names, prefixed=True)
    if wish is None:
        return None
    google = any(by.startswith("google_") for by in wish.by)
    suggestion = Suggestion.of(call, provider="vertex" if google else "openai")
    suggestion.fields.pop("model", None)
    model = next((text_of(arg.value) for arg in call.args if arg.keyword is None), None)
    if model and ":" in model:
        suggestion.fields["model"] = '"' + model.rpartition(":")[2] + '"'
    return wish, suggestion, "pydantic-ai"


def _nxuskit(call: cst.Call, names: Names) -> _Found | None:
    if not (names.imported(call.func) or "").startswith("nxuskit"):
        return None
    wish = wish_of(call, names) or Wish()
    options = bags.find(call, "provider_options")
    if options is not None:
        _look_into("provider_options", options.value, wish, names)
    return (wish, Suggestion.of(call), "nxuskit") if wish.by else None
