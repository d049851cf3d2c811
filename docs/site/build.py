"""Build the site into build/docs: python docs/site/build.py."""

import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main

ROOT = Path(__file__).resolve().parents[2]
SITE, CACHE = ROOT / "build" / "docs", ROOT / "build" / "docs-cache"


def build() -> int:
    """Build what has changed; every warning is an error. Gives the exit code."""
    clean = CACHE / "clean"
    if (
        not clean.exists()
    ):  # what a stopped or faulty build has read would not be complained of again
        shutil.rmtree(CACHE, ignore_errors=True)
    clean.unlink(missing_ok=True)
    options = ["--fail-on-warning", "--keep-going", "--quiet", "--write-all"]
    places = ["--conf-dir", str(Path(__file__).parent), "--doctree-dir", str(CACHE)]
    code = main([*options, *places, str(ROOT), str(SITE)])
    if code == 0:
        clean.touch()
    return code


if __name__ == "__main__":
    sys.exit(build())
