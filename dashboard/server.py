"""The dashboard's process: Streamlit's server with all pages imported before the first visitor comes.

Streamlit collects garbage after every run of a page, while its answer waits to be sent. What the imports left behind,
most of it Altair's schema, never becomes garbage, so the collector is told to pass it over.
"""

from __future__ import annotations

import gc
import pkgutil
import sys
from importlib import import_module

from streamlit.web.cli import main

import dashboard
from dashboard.cli import SCRIPT
from dashboard.runs import let_runs_end


def import_pages() -> None:
    """All of the package but the script, which draws as soon as it is imported."""
    for module in pkgutil.iter_modules(dashboard.__path__, "dashboard."):
        if module.name not in {__spec__.name, f"dashboard.{SCRIPT.stem}"}:
            import_module(module.name)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    import_pages()
    let_runs_end()
    sys.exit(main())
