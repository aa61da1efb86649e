"""The labelling page for an exported file, without a trainer: `python -m training.active_learning.labeling_ui FILE`.

FILE comes from `sentry-trainer queue export --format jsonl`. Answers are kept beside it as they are given, a page that
is opened again goes on where it stopped, and `sentry-trainer labels import` takes the answers file. The page is the
dashboard's (`training.active_learning.review`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sentry_proto.errors import SentryError
from training.active_learning.file_tray import FileTray
from training.active_learning.review.serve import become, server_arguments


def main(arguments: list[str] | None = None) -> int:
    """Check the file, then become the web server."""
    parser = argparse.ArgumentParser(
        prog="python -m training.active_learning.labeling_ui", description="Label the windows of an exported file."
    )
    parser.add_argument("file", type=Path, help="from: sentry-trainer queue export --format jsonl")
    parser.add_argument("--port", type=int, default=8502, help="of the web server (8502)")
    parser.add_argument("--address", default="127.0.0.1", help="to listen on (127.0.0.1: this machine only)")
    chosen = parser.parse_args(arguments)
    try:
        tray = FileTray(chosen.file)
        tray.answers()
    except SentryError as error:
        print(f"labeling_ui: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{len(tray)} windows to label at http://{chosen.address}:{chosen.port}", flush=True)
    print(f"answers go to {tray.answers_path}", flush=True)
    options = server_arguments(Path(__file__), chosen.address, chosen.port, [str(chosen.file.resolve())])
    return become([sys.executable, "-m", "streamlit", *options])


def page(path: Path) -> None:
    """Draw the page; Streamlit runs this file anew for every click."""
    import streamlit as st  # noqa: PLC0415 - only where a page is drawn

    from training.active_learning.review.desk import Desk  # noqa: PLC0415
    from training.active_learning.review.markup import STYLE, joined, muted, note, tag  # noqa: PLC0415
    from training.active_learning.review.page import review  # noqa: PLC0415
    from training.active_learning.review.words import plural  # noqa: PLC0415

    st.set_page_config(f"Labelling {path.name}", layout="wide")
    st.html(STYLE)
    st.html("<style>.stMainBlockContainer { padding-top: 1.6rem; }</style>")  # there is no row of pages above
    desk = st.session_state.setdefault("desk", Desk())
    try:
        tray = FileTray(path)
        kept = f"{plural(len(tray), 'window')}, {plural(len(tray.answers()), 'answer')} in {tray.answers_path.name}"
        st.html(tag("div", joined([tag("b", path.name), " ", muted(kept)]), "s-line"))
        done = f"Hand the answers to the trainer: sentry-trainer labels import {tray.answers_path.name}"
        review(tray, desk, done)
    except SentryError as error:
        note("bad", "This file cannot be labelled.", f"{error}.")


def _under_streamlit() -> bool:
    return "streamlit.runtime" in sys.modules and sys.modules["streamlit.runtime"].exists()


if __name__ == "__main__":
    if _under_streamlit():
        page(Path(sys.argv[1]))
    else:
        sys.exit(main())
