"""``ft plugins``: what each command prints, for plugins in every state."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

BAD = {
    "raises": "1 / 0\n",
    "exits": "import sys; sys.exit(1)\n",
    "syntax": "def (:\n",
    "nothing": "other = 1\n",
}
LORA = '''
from ft.api import Adapter, Field, PluginOptions
from typing import Literal

class Lora(Adapter):
    """W + B A, with ``W`` frozen."""
    class Options(PluginOptions):
        rank: int = Field(16, gt=0, description="inner width")
        bias: Literal["none", "all"] = Field("none", description="which biases train")
        alpha: float | None = Field(None, ge=0, description="scale")
        path: str = Field(description="where")
    needs = frozenset({"linear-layers"})
    paper = "arXiv:2106.09685"
    suggests = {"optimizer": "adamw"}

plugin = Lora()
'''


@pytest.fixture
def every_state(site):
    """One plugin in each state that there is."""
    site.adapter("fine", summary="Works, and has a summary that is longer than a line of text is")
    site.adapter("old", requires=["ft-core>=2"])
    site.adapter("lonely", requires=["nowhere"])
    site.adapter("cut")
    (site.path / "ft_adapter_cut-0.1.0.dist-info" / "METADATA").write_bytes(b"Metadata-Ver")
    site.adapter("gone")
    (site.path / "made_gone.py").unlink()
    site.adapter("forbidden")
    site.adapter("shared")
    works = "from ft.api import Adapter\nplugin = Adapter()\n"
    site.add("acme", {"adapter:shared": "acme:plugin", "adapter:chosen": "acme:plugin"}, works)
    site.adapter("chosen")
    for name, source in BAD.items():
        site.adapter(name, source)
    Path("ft.toml").write_text(
        '[plugins]\ndeny = ["adapter:forbidden"]\nprefer = {"adapter:chosen" = "acme"}\n'
    )
    return site


def listed(ft, *arguments: str) -> dict[str, dict]:
    rows = json.loads(ft("plugins", "list", "--json", *arguments).out)
    return {f"{row['distribution']}/{row['name']}": row for row in rows}


def test_list_shows_every_state(every_state, ft) -> None:
    result = ft("plugins", "list")
    assert result.code == 0
    states = {name: row["state"] for name, row in listed(ft).items()}
    assert states == {
        "ft-adapter-fine/fine": "ok",
        "ft-adapter-old/old": "incompatible",
        "ft-adapter-lonely/lonely": "missing-dependency",
        "ft-adapter-cut/cut": "broken",
        "ft-adapter-gone/gone": "broken",
        "ft-adapter-forbidden/forbidden": "denied",
        "ft-adapter-shared/shared": "conflict",
        "acme/shared": "conflict",
        "acme/chosen": "ok",
        "ft-adapter-chosen/chosen": "shadowed",
        **{f"ft-adapter-{name}/{name}": "ok" for name in BAD},
    }
    for row in listed(ft).values():
        assert row["state"] in result.out
        assert (row["reason"] == "") == (row["state"] == "ok")
    assert max(len(line) for line in result.out.splitlines()) <= 80
    assert "\n      denied by ft.toml:2\n" in result.out


def test_doctor_finds_what_a_list_cannot(every_state, ft) -> None:
    result = ft("plugins", "doctor", "--json")
    assert result.code == 1
    states = {r["name"]: r["state"] for r in json.loads(result.out)}
    assert all(states[name] == "broken" for name in BAD)
    assert states["forbidden"] == "denied"

    result = ft("plugins", "list")
    assert result.code == 0
    rows = listed(ft, "--state", "broken")
    assert {row["name"] for row in rows.values()} == {*BAD, "cut", "gone"}
    assert "ZeroDivisionError" in rows["ft-adapter-raises/raises"]["reason"]
    assert "sys.exit(1)" in rows["ft-adapter-exits/exits"]["reason"]
    assert "syntax error" in rows["ft-adapter-syntax/syntax"]["reason"]
    assert "has no 'plugin'" in rows["ft-adapter-nothing/nothing"]["reason"]


def test_doctor_of_one(every_state, ft) -> None:
    result = ft("plugins", "doctor", "adapter:fine")
    assert result.code == 0
    assert re.search(r"fine +ft-adapter-fine +\d+ ms +ok", result.out)
    assert "raises" not in result.out
    assert result.out.endswith("1 ok\n")


def test_list_of_a_kind(site, ft) -> None:
    site.adapter("lora")
    site.add("ft-reward-length", {"reward:length": "ft_reward_length:plugin"}, "")
    assert listed(ft, "--kind", "reward").keys() == {"ft-reward-length/length"}
    assert ft("plugins", "list", "--kind", "model").out == "No model plugin is installed.\n"
    result = ft("plugins", "list", "--kind", "rewrad")
    assert result.code == 2
    assert "did you mean reward?" in result.err


def test_info(site, ft) -> None:
    site.adapter("lora", LORA, summary="LoRA", match={"columns a+b": "made_lora:plugin"})
    out = ft("plugins", "info", "adapter:lora").out
    assert "adapter:lora  ft-adapter-lora 0.1.0  ok" in out
    assert "W + B A, with `W` frozen." in out
    assert re.search(r"rank +integer > 0, default 16\n +inner width", out)
    assert re.search(r'bias +none \| all, default "none"', out)
    assert re.search(r"alpha +number >= 0 \| null, default null", out)
    assert re.search(r"path +text \(required\)", out)
    assert "linear-layers  weight matrices that an adapter can wrap" in out
    assert "arXiv:2106.09685" in out
    assert re.search(r"columns +a\+b", out)
    assert ft("plugins", "info", "lora").out == out
    data = json.loads(ft("plugins", "info", "adapter:lora", "--json").out)
    assert data["options"][0]["default"] == 16
    assert data["suggests"] == {"optimizer": "adamw"}


def test_info_of_a_family_shows_checkpoints(site, ft) -> None:
    site.add(
        "ft-model-x",
        {"model:x": "ft_model_x:family"},
        "from ft.api import Checkpoint, ModelFamily\n"
        "family = ModelFamily('X', 'Y', checkpoints=(Checkpoint('y/x-1B', '1B', base=True),))\n",
    )
    out = ft("plugins", "info", "model:x").out
    assert re.search(r"y/x-1B +1B +base", out)
    assert "example" not in out


FAMILY = """
from ft.api import ModelFamily, Template

template = Template(
    "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}!{% endgeneration %}"
    "{% else %}{{ m.content }}{{ ' and more' * 10 }}{% endif %}{{ '\\n' }}{% endfor %}",
    stop=("!",),
    published=("y/x",),
)
family = ModelFamily(
    "X", "Y", templates=("x", "gone"), groups={"vision": "model.eye"}, accepts=("packing",)
)
"""


def test_info_of_a_family_shows_a_conversation_and_what_is_learnt_of_it(
    site, ft, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    points = {"model:x": "ft_model_x:family", "template:x": "ft_model_x:template"}
    site.add("ft-model-x", points, FAMILY)
    out = ft("plugins", "info", "model:x").out
    assert re.search(r"chat formats\n +x +as y/x\n +gone\n", out)
    assert re.search(r"parts\n +vision +model.eye", out)
    assert "\n    [system]Be brief. and more" in out
    assert "\n    [assistant]\n  + A small animal.!\n    ⏎\n" in out
    assert "example of x" in out
    assert "a call" not in out
    assert max(map(len, out.splitlines())) <= 80
    assert out.index("example of x") < out.index("accepts") < out.index("\noptions")
    family = json.loads(ft("plugins", "info", "model:x", "--json").out)["family"]
    learnt = [text for text, trained in family["example"]["lines"] if trained]
    assert learnt == ["A small animal.!", "Another one.!"]
    whole = "".join(text for text, _ in family["example"]["lines"])
    assert whole.count("⏎") == 5


def test_info_of_a_family_shows_a_call_of_a_tool(site, ft) -> None:
    calling = """
class Calling(Template):
    provides = Template.provides | {"tools"}

template = Calling(
    "{% for m in messages %}{{ m.role }} {% generation %}{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c.function.name }}({{ c.function.arguments.word }})"
    "{% endfor %}</s>{% endgeneration %}{% endfor %}"
)
family = ModelFamily("X", "Y", templates="x")
"""
    points = {"model:x": "ft_model_x:family", "template:x": "ft_model_x:template"}
    site.add("ft-model-x", points, f"from ft.api import ModelFamily, Template\n{calling}")
    assert "a call of a tool:\n  + find(cat)</s>\n" in ft("plugins", "info", "model:x").out


def test_info_of_what_cannot_be_loaded(every_state, ft) -> None:
    for name, state, reason in (
        ("old", "incompatible", "needs ft-core>=2"),
        ("forbidden", "denied", "denied by ft.toml:2"),
        ("raises", "broken", "ZeroDivisionError"),
        ("shared", "conflict", "claimed by acme and ft-adapter-shared"),
        ("cut", "broken", "cut off"),
    ):
        result = ft("plugins", "info", f"adapter:{name}")
        assert result.code == 0
        assert state in result.out
        assert reason in result.out


def test_info_of_the_unknown(site, ft) -> None:
    site.adapter("lora")
    result = ft("plugins", "info", "adapter:lroa")
    assert result.code == 2
    assert "did you mean lora?" in result.err
    result = ft("plugins", "info", "lroa")
    assert result.code == 2
    assert "KIND:NAME" in result.err


def test_a_bare_name_of_two_kinds(site, ft) -> None:
    site.add("acme", {"model:x": "acme:a", "template:x": "acme:b"}, "")
    result = ft("plugins", "info", "x")
    assert result.code == 2
    assert "model:x or template:x" in result.err


def test_long_names_give_way(site, ft) -> None:
    site.adapter("a_name_that_is_far_too_long_for_any_table_on_any_terminal", summary="s " * 80)
    out = ft("plugins", "list").out
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "…" in out
