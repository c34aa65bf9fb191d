"""A hook of MkDocs: what the pages point to outside of docs/ is part of the site, the README as its first page."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parent.parent.parent
_PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_LINK = re.compile(r"\]\((?!\w+:|#)(?P<target>[^)#]+)(?P<anchor>#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages, and the files that pages of docs/ have links to."""
    pages = [page for page in files if page.src_uri.endswith(".md")]
    for name, page in _PAGES.items():
        files.append(File.generated(config, page, content=(_ROOT / name).read_text("utf-8")))
    sources = [(_ROOT / "docs" / page.src_uri, page.src_uri) for page in pages] + [(_ROOT / n, n) for n in _PAGES]
    for source, _ in sources:
        for link in _LINK.finditer(source.read_text("utf-8")):
            target = (source.parent / link["target"]).resolve().relative_to(_ROOT)
            name = str(target)
            if target.parts[0] != "docs" and name not in _PAGES and files.get_file_from_path(f"{name}.txt") is None:
                files.append(File.generated(config, f"{name}.txt", content=(_ROOT / name).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Have links lead to where things are on the site."""
    source = next((name for name, uri in _PAGES.items() if uri == page.file.src_uri), f"docs/{page.file.src_uri}")

    def replace(link: re.Match[str]) -> str:
        target = str((_ROOT / source).parent.joinpath(link["target"]).resolve().relative_to(_ROOT))
        if target in _PAGES:
            target = _PAGES[target]
        elif target.startswith("docs/"):
            target = target.removeprefix("docs/")
        else:
            target += ".txt"
        up = "../" * page.file.src_uri.count("/")
        return f"]({up}{target}{link['anchor'] or ''})"

    return _LINK.sub(replace, markdown)
