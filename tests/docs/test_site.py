"""The documents hang together: all are in the site's navigation, links lead somewhere, the site fetches nothing."""

import html
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import shell
import yaml

import podium

ROOT, DOCS = shell.ROOT, shell.ROOT / "docs"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def without_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)


def anchors(text):
    """What GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def linked():
    """(where, target) of every link in the documents and the notebook."""
    for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]:
        for target in LINK.findall(without_code(path.read_text(encoding="utf-8"))):
            yield path, target
    notebook = ROOT / "notebooks" / "quickstart.ipynb"
    for cell in json.loads(notebook.read_text())["cells"]:
        if cell["cell_type"] == "markdown":
            for target in LINK.findall("".join(cell["source"])):
                yield notebook, target


def test_each_link_leads_somewhere():
    broken, num_links = [], 0
    for path, target in linked():
        num_links += 1
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.scheme in ("http", "https")
            continue
        there = path.parent / unquote(parts.path) if parts.path else path
        if not there.exists() or (parts.fragment and parts.fragment not in anchors(there.read_text(encoding="utf-8"))):
            broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert broken == []
    assert num_links > 100


class _Loader(yaml.SafeLoader):
    """mkdocs.yml may name Python objects."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


def pages(nav):
    for item in nav:
        if isinstance(item, str):
            yield item
        else:
            for inner in item.values():
                yield from pages([inner] if isinstance(inner, str) else inner)


def test_each_document_is_in_the_navigation_once():
    found = list(pages(yaml.load((ROOT / "mkdocs.yml").read_text(), _Loader)["nav"]))
    assert sorted(found) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    assert found[0] == "index.md"
    assert found[-1] == "LOG.md"


def test_each_public_name_is_in_the_reference():
    text = "".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
    shown = re.findall(r"^::: (\S+)$", text, re.M)
    assert {f"podium.{name}" for name in podium.__all__} - {"podium.PodiumError"} <= set(shown)
    assert "podium.errors" in shown
    for name in shown:  # each is there, and documented
        thing = podium
        for part in name.split(".")[1:]:
            thing = getattr(thing, part)
        assert thing.__doc__


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Built strictly: a broken link or anchor, or a docstring that can't be read, is an error."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


class Page(HTMLParser):
    """What a page fetches, and what it links to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        known = {name: value for name, value in attrs if value}
        if "src" in known:
            self.fetched.append(known["src"])
        if "href" in known:
            is_link = tag == "a" or known.get("rel") in ("prev", "next", "canonical")
            (self.links if is_link else self.fetched).append(known["href"])


def test_the_site_fetches_nothing_and_its_links_lead_somewhere(site):
    found = list(site.rglob("*.html"))
    assert len(found) > 20
    for path in found:
        page = Page(path)
        assert page.fetched
        for target in [*page.fetched, *page.links]:
            parts = urlsplit(target)
            if target in page.links and parts.scheme in ("http", "https"):
                continue
            assert (parts.scheme, parts.netloc) == ("", ""), f"{path.name} fetches {target}"
            if path.name != "404.html":  # which is shown at any address
                assert (path.parent / unquote(parts.path)).exists(), f"{path.name}: {target}"
    for path in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", path.read_text(encoding="utf-8"))


def test_the_reference_is_made_of_the_docstrings(site):
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    for name in set(podium.__all__) - {"PodiumError", "Recipe"}:
        assert f'id="podium.{name}"' in page
        assert getattr(podium, name).__doc__.splitlines()[0].replace("`", "") in text
    assert "module-attribute" not in page  # a function that the reference can't see into
    recipe = (site / "reference" / "recipe.html").read_text(encoding="utf-8")
    for key in podium.Recipe.__dataclass_fields__:
        assert f'id="podium.Recipe.{key}"' in recipe
