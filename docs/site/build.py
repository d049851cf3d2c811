"""Build the site into build/docs: python docs/site/build.py."""

import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SITE, CACHE = ROOT / "build" / "docs", ROOT / "build" / "docs-cache"


def build() -> int:
    """Build what has changed; every warning is an error. Gives the exit code."""
    clean = CACHE / "clean"
    # What a stopped or faulty build has read would not be complained of again, and what this folder
    # does to a page is no part of the page.
    mine = max(path.stat().st_mtime for path in HERE.glob("*.py"))
    if not clean.exists() or clean.stat().st_mtime < mine:
        shutil.rmtree(CACHE, ignore_errors=True)
    clean.unlink(missing_ok=True)
    options = ["--fail-on-warning", "--keep-going", "--quiet", "--write-all"]
    places = ["--conf-dir", str(HERE), "--doctree-dir", str(CACHE)]
    code = main([*options, *places, str(ROOT), str(SITE)])
    if code == 0:
        clean.touch()
    return code


if __name__ == "__main__":
    sys.exit(build())
