"""What the tree promises, whoever changes it next. The words that no file may hold are put together here from pieces,
since this file is searched like all others.
"""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import APIRouter

from proxy.protocols import refusal
from proxy.routes import web
from proxy.routes.strict import StrictRoute
from tests.faults.plugin import Figure

ROOT = Path(__file__).parents[1]
IGNORED = {"__pycache__", "build", "data", "dist", "node_modules"}
KEPT = {".ci", ".gitignore"}
REGISTRIES = (
    ("py", "pi.", "org"),
    ("python", "hosted.", "org"),
    ("registry.npm", "js.", "org"),
    ("conda.", "anaconda.", "org"),
    ("crates.", "io"),
    ("proxy.go", "lang.", "org"),
    ("ghcr.", "io"),
    ("docker.", "io"),
)
FOLDERS = ("work", "root", "home", "Users", "tmp/x", "var/folders")
LITELLM = "1.109.1"
PTH = {
    # starts coverage in a process whose environment asks for it
    "a1_coverage.pth": r"import sys; exec\('import os\\n.*coverage\.process_startup\(.*\)'\)",
    # setuptools' own distutils, where a tool has installed setuptools
    "distutils-precedence.pth": r"import os; var = 'SETUPTOOLS_USE_DISTUTILS'; .*__import__\('_distutils_hack'\).*",
    # what virtualenv and uv put into an environment they make
    "_virtualenv.pth": r"import _virtualenv",
    # this project: one line, a folder
    "_parea_proxy.pth": r"/[^;\n]+|[A-Z]:\\[^;\n]+",
    "_editable_impl_parea_proxy.pth": r"/[^;\n]+|[A-Z]:\\[^;\n]+",
}
"""Every file that runs code when Python starts, and what it may hold: the stolen LiteLLM came in this way."""


def files(folder: Path = ROOT) -> Iterator[Path]:
    """The files of the repository."""
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name not in KEPT
        if hidden or path.name in IGNORED:
            continue
        if path.is_dir():
            yield from files(path)
        elif path.suffix != ".pyc":
            yield path


FILES = list(files())
MODULES = [path for path in FILES if path.is_relative_to(ROOT / "proxy") and path.suffix == ".py"]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imported(node: ast.AST) -> list[str]:
    """The top-level packages that an import names."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [(node.module or "").partition(".")[0]]
    return []


def holding(pattern: str, paths: list[Path] = FILES) -> list[str]:
    """Where the pattern stands: `file:line`."""
    sought = re.compile(pattern)
    return [
        f"{name(path)}:{number}"
        for path in paths
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if sought.search(line)
    ]


def test_the_tree_is_seen() -> None:
    seen = {name(path) for path in FILES}
    assert {"Makefile", "README.md", ".ci/run", "proxy/app.py", "tests/test_repo.py", "locks/requirements.lock"} <= seen
    assert len(MODULES) > 40


def test_no_module_has_more_than_300_lines() -> None:
    sizes = {name(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {path: size for path, size in sizes.items() if size > 300} == {}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_is_named_by_one_noun(path: Path) -> None:
    words = set(path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "_").split("_"))
    assert not words & {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc", "base", "core"}


def test_litellm_is_imported_by_one_file_and_never_at_its_head() -> None:
    importing = {name(path) for path in MODULES for node in ast.walk(tree(path)) if "litellm" in imported(node)}
    assert importing == {"proxy/providers/engine/__init__.py"}
    heads = [path for path in MODULES for node in tree(path).body if "litellm" in imported(node)]
    assert heads == []


def test_no_registry_and_no_machine_is_named() -> None:
    assert holding("|".join(re.escape("".join(parts)) for parts in REGISTRIES)) == []
    assert holding(rf"(?<![\w.~])/(?:{'|'.join(FOLDERS)})/") == []


def test_nothing_is_left_to_do() -> None:
    assert holding(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b") == []


@pytest.mark.fault("S13")
@pytest.mark.parametrize("lock", ["requirements.lock", "development.lock"])
def test_a_lock_pins_one_litellm_with_hashes_and_names_no_address(lock: str) -> None:
    text = (ROOT / "locks" / lock).read_text("utf-8")
    assert re.findall(r"^litellm==(\S+)", text, re.M) == [LITELLM]
    assert "://" not in text
    assert len(re.findall(r"^[a-z0-9]\S*==", text, re.M)) == len(
        re.findall(r"(?:\\\n {4}--hash=sha256:\w{64} ?)+", text)
    )


@pytest.mark.fault("S13")
def test_the_stolen_versions_are_named_nowhere_but_in_tests() -> None:
    assert holding(r"1\.82\.[78]\b", [path for path in FILES if not path.is_relative_to(ROOT / "tests")]) == []


@pytest.mark.fault("S13")
def test_nothing_unknown_runs_when_python_starts() -> None:
    packages = Path(sysconfig.get_path("purelib"))
    for path in packages.glob("*.pth"):
        assert path.name in PTH
        assert re.fullmatch(PTH[path.name], path.read_text("utf-8").strip()), path.name


def test_no_layer_of_starlette_is_in_use() -> None:
    assert web.build([("", APIRouter(route_class=StrictRoute))], prefix="", refuse=refusal([])).user_middleware == []
    assert holding(r"BaseHTTP" + r"Middleware|add_" + r"middleware|\.middle" + r"ware\(", MODULES) == []


SECRETS = re.compile(
    r"(?:.*_)?(?:secrets?|digest|password|credentials?|token|mac|hmac|signature|authorization|bearer|sealed|get_secret_value)"
    r"|(?:api|master|provider|vendor|gateway)_keys?"
)
"""Variables and attributes that hold a secret, or what is made of one. Constants hold names of such, at most."""


def named(node: ast.AST) -> set[str]:
    """The variables and attributes in an expression, but for what `len` is asked of."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "len":
        return set()
    own = {node.id} if isinstance(node, ast.Name) else {node.attr} if isinstance(node, ast.Attribute) else set()
    return own.union(*map(named, ast.iter_child_nodes(node)))


def compared(module: ast.Module, secret: re.Pattern[str]) -> list[str]:
    """Comparisons by content, of which the time tells how much is equal, that have to do with a secret."""
    by_content = ast.Eq | ast.NotEq | ast.In | ast.NotIn
    return [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(module)
        if isinstance(node, ast.Compare) and any(isinstance(op, by_content) for op in node.ops)
        if any(secret.fullmatch(word) for word in named(node))
    ]


@pytest.mark.fault("S2")
def test_s2_keys_are_compared_in_constant_time_only(figure: Figure) -> None:
    assert {name(path): found for path in MODULES if (found := compared(tree(path), SECRETS))} == {}
    # where every key is the gateway's own, whatever it is called
    assert compared(tree(ROOT / "proxy" / "http" / "guard.py"), re.compile(r"(?:.*_)?keys?|given|value|token")) == []
    calls = {
        name(path)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "hmac.compare_digest"
    }
    assert calls == {"proxy/http/guard.py", "proxy/stores/cache/seal.py"}
    figure("comparisons of secrets by content", f"0 in {len(MODULES)} modules")


@pytest.mark.fault("S2")
@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("if given == self.digest: pass", True),
        ("if x.api_key.get_secret_value() != y: pass", True),
        ("if master_key in keys: pass", True),
        ("found = secret not in (a, b)", True),
        ("if len(secret) == 32: pass", False),
        ("if master_key is None: pass", False),
        ("if max_tokens == 1: pass", False),
    ],
)
def test_s2_such_a_comparison_would_be_seen(line: str, seen: bool) -> None:
    assert bool(compared(ast.parse(line), SECRETS)) is seen
