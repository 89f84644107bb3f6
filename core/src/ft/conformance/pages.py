"""The documentation of checks: a page for each, made from its docstring.

``python -m ft.conformance.pages docs/checks`` writes the pages anew.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from ft.conformance.check import LEVELS, Check, checks

PARTS = ("Why", "Passes", "Fails", "Example")
"""What each docstring says after its title, in this order."""


def parts_of(check: Check) -> dict[str, str]:
    """The paragraphs of a check's docstring by their leading word."""
    found: dict[str, str] = {}
    for paragraph in check.text.split("\n\n")[1:]:
        word, colon, rest = paragraph.partition(":")
        if colon and word in PARTS:
            found[word] = rest.strip()
        elif found:
            found[list(found)[-1]] += f"\n\n{paragraph}"
    return found


def pages() -> Mapping[str, str]:
    """File name → text, an index among them."""
    return {"index.md": _index(), **{f"{id}.md": _page(check) for id, check in checks().items()}}


def _page(check: Check) -> str:
    kind = "Plugins of every kind" if check.kind == "every" else f"Kind `{check.kind}`"
    facts = [f"{kind}, level {check.level} ({LEVELS[check.level]}), since kit {check.since}."]
    if check.needs:
        facts.append(f"Needs `{check.needs}`.")
        if check.refuses:
            facts.append("A plugin without it must refuse clearly when asked for it.")
    body = "".join(f"\n## {word}\n\n{_marked(text)}\n" for word, text in parts_of(check).items())
    return f"# {check.id}\n\n{check.title}.\n\n{' '.join(facts)}\n{body}"


def _index() -> str:
    lines = [
        "# Checks of the conformance kit",
        "",
        "Made from the docstrings of `ft.conformance.checks`; `ft plugins checks` prints the same.",
    ]
    for kind in dict.fromkeys(sorted(check.kind for check in checks().values())):
        lines += ["", f"## {kind}", "", "| check | level | what holds |", "|---|---|---|"]
        lines += [
            f"| [{check.id}]({check.id}.md) | {check.level} | {check.title} |"
            for check in checks().values()
            if check.kind == kind
        ]
    return "\n".join(lines) + "\n"


def _marked(text: str) -> str:
    return text.replace("``", "`")


def main(folder: Path) -> None:
    """Write all pages, and remove those of checks that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for file in folder.glob("*.md"):
        if file.name not in wanted:
            file.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
