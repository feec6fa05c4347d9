"""The documentation: its links lead somewhere, and the README stays short."""

import pathlib
import re

import pytest

from tests.conftest import ROOT

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "data" / "README.md"],
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
MOST_README_LINES = 250
# [text](target), ![text](target) and <img src="target">.
LINK = re.compile(r"\]\(([^)\s]+)\)|<img\s[^>]*?src=\"([^\"]+)\"", re.DOTALL)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def links(text: str) -> list[str]:
    """Targets of all links and pictures outside of code."""
    found = LINK.findall(FENCED.sub("", text))
    return [link or picture for link, picture in found]


def anchor(heading: str) -> str:
    """GitHub's anchor of a heading: lower case, hyphens for spaces, punctuation left out."""
    text = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return text.replace(" ", "-")


def anchors(page: pathlib.Path) -> set[str]:
    text = FENCED.sub("", page.read_text())
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def broken(page: pathlib.Path, text: str) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading."""
    found = []
    for link in links(text):
        if link.startswith(("http://", "https://", "mailto:")):
            continue

        # Look for the file, then for the heading.
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (heading and heading not in anchors(target)):
            found.append(link)
    return found


def test_checks_find_what_is_broken(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# The demo's 2 ways\n```\n# no heading\n```\n")
    text = '[a](page.md#the-demos-2-ways) [b](#no-heading) [c](gone.md)\n<img\n  src="no.png">'
    assert broken(page, text) == ["#no-heading", "gone.md", "no.png"]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    assert not broken(page, page.read_text())


def test_readme_is_short():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= MOST_README_LINES


def test_every_page_is_in_the_readme():
    listed = {link.partition("#")[0] for link in links((ROOT / "README.md").read_text())}
    pages = {str(page.relative_to(ROOT)) for page in PAGES if page.parent == ROOT / "docs"}
    assert pages <= listed


def test_make_installs_what_the_readme_says():
    """The commands of the README, and those of the Makefile in its own environment."""
    readme = (ROOT / "README.md").read_text()
    said = re.findall(r"(?:^|`)pip (install (?:-c|--upgrade)[^`\n]*)", readme, re.MULTILINE)
    made = re.findall(r"-m pip (install .*)", (ROOT / "Makefile").read_text())
    assert said == made
    assert made[1:] == [
        "install -c constraints.txt -e .",
        'install -c constraints.txt -e ".[test]"',
    ]
