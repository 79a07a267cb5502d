"""Write the parts of the documentation that are made from the code; ``--check`` only says what is out of date."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from math import nan
from pathlib import Path
from typing import Any, get_args

from figures import benchmarks_markdown, families_markdown, scale_markdown
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from reference import api_markdown, cli_markdown, code_markdown, errors_markdown

from features.catalogue import Unit, features_markdown
from features.programme import Programme
from features.schemas import contract_markdown
from features.settings import Settings
from features.settings_members import Windows
from serving.wording import Wording, sentences, vocabulary

FOLDER = Path(__file__).parent
INTRODUCTION = """# The programme file

One TOML file describes a programme: where its tables are, how their columns map to ours, how far to look ahead,
what may be sent and what it costs. Unknown keys are errors. Paths are relative to the file. `programme.toml` is a
complete example.
"""


def programme_markdown() -> str:
    """Describe every section and key of the programme file."""
    return "\n".join([INTRODUCTION, *_section(Programme, "")]).rstrip() + "\n"


def _section(model: type[Settings], prefix: str) -> Iterator[str]:
    yield f"## {f'`[{prefix}]`' if prefix else 'Top level'}\n"
    yield f"{(model.__doc__ or '').strip()}\n"
    plain = {name: info for name, info in model.model_fields.items() if not info.exclude and not _nested(info)}
    if plain:
        yield "| key | type | default | meaning |\n|---|---|---|---|"
        yield from (_row(name, info) for name, info in plain.items())
        yield ""
    described = set()
    for info in model.model_fields.values():
        for nested in _nested(info):
            if nested not in described:
                described.add(nested)
                siblings = [n for n, i in model.model_fields.items() if nested in _nested(i)]
                yield from _section(nested, ".".join(part for part in (prefix, " / ".join(siblings)) if part))


def _row(name: str, info: FieldInfo) -> str:
    default = "required" if info.default is PydanticUndefined and info.default_factory is None else _shown(info)
    return f"| `{name}` | {_type(info.annotation)} | {default} | {(info.description or '').replace('|', '/')} |"


def _shown(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    return (
        "" if value is None or value == () or value == {} else f"`{list(value) if isinstance(value, tuple) else value}`"
    )


def _type(annotation: Any) -> str:
    text = str(annotation if get_args(annotation) else getattr(annotation, "__name__", annotation))
    for long, short in (
        ("typing.", ""),
        ("Literal", "one of "),
        (" | None", ""),
        ("annotated_types.", ""),
        (", ...", ""),
    ):
        text = text.replace(long, short)
    return text.split("Annotated[")[-1].split(", FieldInfo")[0].split(", Field")[0].replace("|", "or")


def _nested(info: FieldInfo) -> list[type[Settings]]:
    candidates = [info.annotation, *get_args(info.annotation)]
    return [item for item in candidates if isinstance(item, type) and issubclass(item, Settings)]


REASONS_INTRODUCTION = """# 原因句清单

由 `serving/wording.py` 与 `features/catalogue.py` 生成，测试保证与代码一致。

每条流失风险的原因都是“事实 + 方向”：先说看到了什么，再说模型因此把风险判高还是判低。下表逐一列出默认窗口下的全部句子，
数值为示例。请像给会员运营同事看一样通读：不通顺、有歧义或像机器翻译的，直接改标签或句式，再运行 `make docs`。

| 特征 | 风险上升时 | 风险下降时 | 没有数据时 |
|---|---|---|---|"""

EXAMPLES: dict[Unit, tuple[float, float]] = {
    "days": (63, 5),
    "hours": (36, 2),
    "gaps": (2.5, 0.4),
    "count": (0, 3),
    "per_week": (6.5, 0.5),
    "money": (12.5, 3480),
    "points": (0, 300),
    "share": (0.125, 0.4),
    "change": (-0.5, 0.2),
    "ratio": (0.3, 1.8),
    "flag": (0, 1),
}
"""Of each unit a value to show where the risk rises and one where it falls."""


def reasons_markdown() -> str:
    """List every Chinese sentence a reason can say, with values by way of example."""
    words = vocabulary(Windows(), value_days=91).values()
    return "\n".join([REASONS_INTRODUCTION, *(_sentences(wording) for wording in words), ""])


def _sentences(wording: Wording) -> str:
    raising, lowering = EXAMPLES[wording.unit]
    said = [
        sentences(wording, value, raises=raises, currency="CNY")[1]
        for value, raises in ((raising, True), (lowering, False), (nan, True))
    ]
    facts = [*said[:2], said[2].split("，流失风险")[0]]
    return f"| `{wording.name}` | {' | '.join(facts)} |"


GENERATED = {
    "api.md": api_markdown,
    "cli.md": cli_markdown,
    "code-map.md": code_markdown,
    "errors.md": errors_markdown,
    "benchmarks.md": benchmarks_markdown,
    "input-contract.md": contract_markdown,
    "features.md": lambda: features_markdown() + families_markdown(),
    "programme-file.md": programme_markdown,
    "reasons-zh.md": reasons_markdown,
    "scale.md": lambda: scale_markdown((FOLDER / "scale.md").read_text(encoding="utf-8")),
}


def main() -> int:
    """Write the pages, or with ``--check`` list those that differ."""
    stale = [name for name, make in GENERATED.items() if _differs(FOLDER / name, make())]
    if "--check" in sys.argv[1:]:
        print("\n".join(f"docs/{name} is out of date: run make docs" for name in stale))
        return 1 if stale else 0
    for name in stale:
        (FOLDER / name).write_text(GENERATED[name](), encoding="utf-8")
        print(f"wrote docs/{name}")
    return 0


def _differs(file: Path, content: str) -> bool:
    return not file.exists() or file.read_text(encoding="utf-8") != content


if __name__ == "__main__":
    sys.exit(main())
