"""Each decision has its parts, its code and its place in the index, and every link of the documents leads somewhere."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/decisions"
INDEX = FOLDER / "README.md"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page != INDEX)
PARTS = ("**Decision.**", "**Why.**", "**Cost.**", "**Code:**", "**Status:**")
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *FOLDER.glob("*.md")])


def entries(page: Path) -> dict[str, str]:
    """number -> text of each entry of a page."""
    found = re.findall(r'<a id="d(\d{3})"></a>\n(## \1 .*?)(?=\n<a id="d|\Z)', page.read_text(), re.DOTALL)
    return dict(found)


ENTRIES = {(page.stem, number): text for page in PAGES for number, text in entries(page).items()}


def code_of(text: str) -> list[str]:
    """The files that an entry governs, from the root."""
    line = next(line for line in text.splitlines() if line.startswith("**Code:**"))
    return [target.removeprefix("../../") for target in re.findall(r"\]\(([^)]+)\)", line.partition("**Status")[0])]


@pytest.mark.parametrize(("page", "number"), ENTRIES)
def test_an_entry_has_all_its_parts_and_existing_code(page: str, number: str) -> None:
    text = ENTRIES[page, number]

    assert [part for part in PARTS if part not in text] == [], f"complete {number} in docs/decisions/{page}.md"
    assert code_of(text), f"name the code of {number} in docs/decisions/{page}.md"
    assert [path for path in code_of(text) if not (ROOT / path).is_file()] == [], f"docs/decisions/{page}.md: {number}"


def test_the_index_lists_exactly_the_entries_each_once() -> None:
    listed = re.findall(r"^- \[(\d{3}) [^\]]+\]\(([a-z-]+)\.md#d\1\)$", INDEX.read_text(), re.MULTILINE)

    assert sorted((page, number) for number, page in listed) == sorted(ENTRIES), "docs/decisions/README.md"
    assert len({number for _, number in ENTRIES}) == len(ENTRIES), "two decisions have one number"


def test_modules_name_their_decisions_and_decisions_their_modules() -> None:
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    named = set()
    for path in tracked.stdout.split():
        source = ROOT / path
        for page, numbers in _named(source) if source.is_file() and not path.startswith("tests/") else ():
            for number in re.findall(r"\d{3}", numbers):
                assert (page, number) in ENTRIES, f"{path} names decision {number} of {page}.md, which has none"
                named.add((page, number, path))
    governed = {(*key, path) for key, text in ENTRIES.items() for path in code_of(text) if path.endswith(".py")}
    assert governed <= named, f"add `Decisions: …` to the docstrings of {sorted(path for *_, path in governed - named)}"


def _named(source: Path) -> list[tuple[str, str]]:
    text = (ast.get_docstring(ast.parse(source.read_text())) or "").partition("Decisions: ")[2]
    return re.findall(r"docs/decisions/([a-z-]+)\.md \(([\d, ]+)\)", text.replace("\n", " "))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_within_the_documents_leads_somewhere(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\((?!https?://|mailto:)([^)\s]+)\)", document.read_text()):
        path, _, anchor = target.partition("#")
        found = (document.parent / path).resolve() if path else document
        if not found.exists() or (anchor and anchor not in _anchors(found)):
            broken.append(target)
    assert broken == []


def _anchors(document: Path) -> set[str]:
    """Explicit anchors, and those that a heading gets."""
    text = document.read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))
