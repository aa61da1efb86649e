"""A session folder: what was written is read, a kill at any byte loses nothing whole, bad files say why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.extract import to_table, write_parquet
from perception.fusion import Second
from perception.session_features import PARQUET, STREAM
from perception.session_folder import LABELS, QUESTIONNAIRES, SessionFolder, find_sessions
from perception.session_metadata import FILE, SessionMetadata
from perception.session_rows import LABEL_COLUMNS, QUESTIONNAIRE_COLUMNS, QuestionnaireResult, SessionLabel
from perception.session_writer import SessionWriter, new_session_id
from sentry_proto.errors import InputError, LabelFileError, SentryError
from tests.conftest import REPOSITORY
from tests.perception.seconds import second

BEGIN = 1_800_000_000
SECONDS = [second(BEGIN + i, 0.1 * (i + 1), 0.0 if i == 2 else 0.9) for i in range(6)]
LABEL_ROWS = [
    SessionLabel(BEGIN, BEGIN + 60, "stress", "mildly stressed", "self-report", "P07", 1.0, BEGIN + 61.25),
    SessionLabel(BEGIN, BEGIN + 60, "focus", "4", "observer", 'Rater "A", Zürich', 0.5, BEGIN + 70),
    SessionLabel(BEGIN + 60, BEGIN + 120, "stress", "calm", "self-report", "P07", 1.0, BEGIN + 121),
]
LEVEL = SessionLabel(BEGIN, BEGIN + 6, "depression", "mild", "self-report", "P07", 1.0, BEGIN - 60.5)
RESULT = QuestionnaireResult(BEGIN - 60.5, "phq8", (0, 1, 2, 3, 0, 0, 0, 0), 6, "mild")


def begun(root: Path) -> SessionWriter:
    """A session that is being recorded."""
    writer = SessionWriter(root, SessionMetadata(new_session_id(BEGIN), "P07", started=BEGIN, purpose="research"))
    writer.add_seconds(SECONDS)
    for label in LABEL_ROWS:
        writer.add_label(label)
    writer.add_questionnaire(RESULT)
    return writer


def check_seconds(folder: SessionFolder, expected: list[Second]) -> None:
    found = list(folder.seconds())
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.start, ours.camera_state, ours.frames) == (theirs.start, theirs.camera_state, theirs.frames)
        np.testing.assert_array_equal(ours.values, theirs.values)
        np.testing.assert_array_equal(ours.coverage, theirs.coverage)


@pytest.mark.parametrize("closed", [True, False])
def test_what_was_written_is_read(tmp_path: Path, closed: bool) -> None:
    writer = begun(tmp_path)
    if closed:
        writer.close()
    assert find_sessions(tmp_path) == [writer.path]
    folder = SessionFolder.open(writer.path)
    assert folder.interrupted is not closed
    assert folder.metadata == writer.metadata
    assert folder.metadata.ended == (BEGIN + 6 if closed else None)
    assert len(folder.metadata.models) == 3
    check_seconds(folder, SECONDS)
    assert folder.labels() == (LABEL_ROWS if closed else [*LABEL_ROWS, LEVEL])
    assert folder.questionnaires() == [RESULT]
    assert folder.video is None


def test_a_closed_folder_holds_the_table_of_an_extraction(tmp_path: Path) -> None:
    writer = begun(tmp_path)
    writer.close()
    assert {path.name for path in writer.path.iterdir()} == {FILE, PARQUET, LABELS, QUESTIONNAIRES}
    assert pq.read_table(writer.path / PARQUET).equals(to_table(SECONDS), check_metadata=True)
    assert writer.path.stat().st_mode & 0o077 == 0, "others may not look inside"


def test_a_session_without_a_second_is_legal(tmp_path: Path) -> None:
    writer = SessionWriter(tmp_path, SessionMetadata(new_session_id(BEGIN), "P07", started=BEGIN))
    writer.close()
    folder = SessionFolder.open(writer.path)
    assert len(folder.seconds()) == 0
    assert (folder.labels(), folder.questionnaires(), folder.metadata.ended) == ([], [], BEGIN)


# ---- interruption


def whole_pieces(data: bytes, ends: list[int]) -> int:
    return sum(end <= len(data) for end in ends)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[SessionWriter, list[int]]:
    """A session that nobody closed, and where in the stream the schema and each second end."""
    root = tmp_path_factory.mktemp("sessions")
    writer = SessionWriter(root, SessionMetadata(new_session_id(BEGIN), "P07", started=BEGIN))
    stream = writer.path / STREAM
    ends = [stream.stat().st_size]
    for one in SECONDS:
        writer.add_seconds([one])
        ends.append(stream.stat().st_size)
    for label in LABEL_ROWS:
        writer.add_label(label)
    return writer, ends


def read_back(writer: SessionWriter, name: str, data: bytes, read: Callable[[SessionFolder], object]) -> object:
    """What is read of the folder while one of its files is this."""
    path = writer.path / name
    original = path.read_bytes()
    try:
        path.write_bytes(data)
        return read(SessionFolder.open(writer.path))
    finally:
        path.write_bytes(original)


@given(share=st.floats(0, 1), tail=st.binary(max_size=40))
def test_a_stream_cut_anywhere_keeps_every_whole_second(
    interrupted: tuple[SessionWriter, list[int]], share: float, tail: bytes
) -> None:
    """A tail of what the disk held before is no second either."""
    writer, ends = interrupted
    cut = round(share * ends[-1])
    data = (writer.path / STREAM).read_bytes()[:cut]
    whole = sum(end <= cut for end in ends) - 1
    if whole < 0:
        with pytest.raises(InputError, match="ruined"):
            read_back(writer, STREAM, data, lambda folder: folder.seconds())
        return
    read_back(writer, STREAM, data, lambda folder: check_seconds(folder, SECONDS[:whole]))
    if cut in ends:
        read_back(writer, STREAM, data + tail, lambda folder: check_seconds(folder, SECONDS[:whole]))


def test_a_stream_cut_around_each_boundary(interrupted: tuple[SessionWriter, list[int]]) -> None:
    writer, ends = interrupted
    data = (writer.path / STREAM).read_bytes()
    for whole, end in enumerate(ends):
        for cut in range(end, min(end + 20, len(data))):
            read_back(writer, STREAM, data[:cut], lambda folder, n=whole: check_seconds(folder, SECONDS[:n]))  # type: ignore[misc]


def test_labels_cut_at_every_byte_keep_every_whole_row(interrupted: tuple[SessionWriter, list[int]]) -> None:
    writer, _ = interrupted
    data = (writer.path / LABELS).read_bytes()
    for cut in range(len(data) + 1):
        whole = max(0, data[:cut].count(b"\n") - 1)
        assert read_back(writer, LABELS, data[:cut], lambda folder: folder.labels()) == LABEL_ROWS[:whole]


def test_a_last_line_written_by_hand_counts(tmp_path: Path) -> None:
    """Editors leave out the last line break; only an interrupted recording tears a row."""
    writer = begun(tmp_path)
    writer.close()
    path = writer.path / LABELS
    path.write_bytes(path.read_bytes().rstrip(b"\n").replace(b"\n", b"\r\n"))
    assert SessionFolder.open(writer.path).labels() == LABEL_ROWS


# ---- a disk that fails


def test_a_full_disk_keeps_what_was_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = begun(tmp_path)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("perception.session_writer.os.fsync", full)
        with pytest.raises(SentryError, match="No space left"):
            writer.add_seconds([second(BEGIN + 6)])
        with pytest.raises(SentryError, match="No space left"):
            writer.add_label(LABEL_ROWS[0])
        with pytest.raises(SentryError, match="No space left"):
            writer.close()
    folder = SessionFolder.open(writer.path)
    assert folder.interrupted
    check_seconds(folder, SECONDS)
    assert folder.labels() == [*LABEL_ROWS, LEVEL]


def test_a_level_that_was_written_before_the_kill_counts_once(tmp_path: Path) -> None:
    writer = begun(tmp_path)
    writer.add_label(LEVEL)
    assert SessionFolder.open(writer.path).labels() == [*LABEL_ROWS, LEVEL]


# ---- bad files

HEADER = "start,end,task,value,source,rater,confidence,created\n"

# name -> (file, its content, words of the error)
RUINED: dict[str, tuple[str, bytes, str]] = {
    "no JSON": (FILE, b"{", "is not JSON"),
    "not an object": (FILE, b"[]", "one JSON object"),
    "another format": (FILE, b'{"format": 2}', "format 2; this version reads format 1"),
    "no participant": (FILE, b'{"format": 1, "session_id": "a"}', "participant must be a name"),
    "a participant elsewhere": (FILE, b'{"format": 1, "session_id": "a", "participant": ".."}', "participant must be"),
    "a video elsewhere": (
        FILE,
        b'{"format": 1, "session_id": "a", "participant": "P", "video": "/etc/passwd"}',
        "video must be a name",
    ),
    "a start that is no number": (
        FILE,
        b'{"format": 1, "session_id": "a", "participant": "P", "started": "noon"}',
        "started must be a number",
    ),
    "a task that is none": (
        FILE,
        b'{"format": 1, "session_id": "a", "participant": "P", "tasks": [{"name": "x"}]}',
        "task x: kind must be",
    ),
    "no Parquet": (PARQUET, b"PAR1", "is no features file"),
    "no label columns": (LABELS, b"start,end\n1,2\n", "task is missing"),
    "nothing but separators of groups": (QUESTIONNAIRES, b"\n\x1d\n\x1d", "created is missing"),
    "no text": (LABELS, b"\xff\xfe\n", "not UTF-8"),
    "a label that ends before it starts": (LABELS, f"{HEADER}5,4,t,v,observer,r,1,0\n".encode(), "row 2: it ends at 4"),
    "a label without a number": (LABELS, f"{HEADER}x,4,t,v,observer,r,1,0\n".encode(), "row 2: start must be a number"),
    "a label at no time": (LABELS, f"{HEADER}nan,4,t,v,observer,r,1,0\n".encode(), "row 2: start must be a number"),
    "a label without a value": (LABELS, f"{HEADER}1,4,t,,observer,r,1,0\n".encode(), "names no task or no value"),
    "an unknown source": (LABELS, f"{HEADER}1,4,t,v,guess,r,1,0\n".encode(), "source must be one of"),
    "too sure": (LABELS, f"{HEADER}1,4,t,v,observer,r,2,0\n".encode(), "confidence must be in 0..1"),
    "a short row": (LABELS, f"{HEADER}1,4,t\n".encode(), "row 2: it has fewer than 8 fields"),
    "answers that are none": (
        QUESTIONNAIRES,
        b"created,instrument,answers,score,level\n1,phq8,a b,0,x\n",
        "answers must",
    ),
}


def read_all(path: Path) -> None:
    folder = SessionFolder.open(path)
    folder.seconds()
    folder.labels()
    folder.questionnaires()


@pytest.mark.parametrize("name", RUINED)
def test_a_ruined_file_is_named(tmp_path: Path, name: str) -> None:
    file, content, words = RUINED[name]
    writer = begun(tmp_path)
    writer.close()
    read_all(writer.path)
    (writer.path / file).write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        read_all(writer.path)
    assert file in str(error.value)


def test_problems_can_be_collected_instead(tmp_path: Path) -> None:
    writer = begun(tmp_path)
    writer.close()
    with (writer.path / LABELS).open("a") as file:
        file.write("9,1,stress,calm,observer,r,1,0\n1,9,stress,calm,observer,r,1,0\n")
    problems: list[str] = []
    assert len(SessionFolder.open(writer.path).labels(problems)) == 4
    assert len(problems) == 1
    assert "row 5: it ends at 1, not after its start 9" in problems[0]


def with_column(name: str, column: pa.Array) -> pa.Table:
    """The seconds of a session with another column, unchecked."""
    table = to_table(SECONDS)
    return table.set_column(table.schema.get_field_index(name), name, column)


def test_a_second_whose_text_is_ruined_ends_a_stream(tmp_path: Path) -> None:
    """As where a file's end came to the disk before what is in it: an offset that lies before the one before it."""
    writer = begun(tmp_path)
    offsets = pa.py_buffer(np.array([0, 2, 1, 2, 2, 2, 2], np.int32))
    ruined = pa.StringArray.from_buffers(len(SECONDS), offsets, pa.py_buffer(b"ok"))
    (batch,) = with_column("camera_state", ruined).to_batches()
    with (writer.path / STREAM).open("ab") as file:
        file.write(batch.serialize().to_pybytes())
    check_seconds(SessionFolder.open(writer.path), SECONDS)


@pytest.mark.parametrize(
    ("name", "column", "words"),
    [
        ("camera_state", pa.array([b"\xff"] * len(SECONDS)).view(pa.string()), "UTF8"),
        ("camera_state", pa.array([None] * len(SECONDS), pa.string()), "camera_state has empty cells"),
        ("start", pa.array([None] * len(SECONDS), pa.int64()), "start has empty cells"),
    ],
)
def test_cells_that_cannot_be_read_are_named(tmp_path: Path, name: str, column: pa.Array, words: str) -> None:
    writer = begun(tmp_path)
    writer.close()
    write_parquet(with_column(name, column), writer.path / PARQUET)
    with pytest.raises(InputError, match=words):
        read_all(writer.path)


def test_a_column_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    writer = begun(tmp_path)
    writer.close()
    path = writer.path / PARQUET
    pq.write_table(to_table(SECONDS).append_column("other", pa.array([1] * len(SECONDS))), path)
    path.write_bytes(path.read_bytes().replace(b"other", b"oth\xffr"))
    with pytest.raises(InputError, match="ruined"):
        read_all(writer.path)


def test_another_layout_is_refused(tmp_path: Path) -> None:
    writer = begun(tmp_path)
    writer.close()
    table = to_table(SECONDS)
    write_parquet(table.replace_schema_metadata({"sentry_layout": "older"}), writer.path / PARQUET)
    with pytest.raises(InputError, match="layout older"):
        read_all(writer.path)
    write_parquet(table.drop_columns(["coverage_pose"]), writer.path / PARQUET)
    with pytest.raises(InputError, match="one column coverage_pose"):
        read_all(writer.path)


def test_a_clip_of_a_lab_needs_two_names_only(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps({"format": 1, "session_id": "clip1", "participant": "A", "video": "a.mp4"}))
    (tmp_path / "a.mp4").touch()
    (tmp_path / LABELS).write_text(f"{HEADER}0,30,stress,calm,import,A,1,0")
    folder = SessionFolder.open(tmp_path)
    assert not folder.interrupted
    assert (folder.features, folder.video) == (None, tmp_path / "a.mp4")
    assert [label.end for label in folder.labels()] == [30]
    with pytest.raises(InputError, match="has no features"):
        folder.seconds()


def test_the_documentation_names_every_field() -> None:
    text = (REPOSITORY / "docs" / "session-format.md").read_text()
    named = (*(field.name for field in fields(SessionMetadata)), *LABEL_COLUMNS, *QUESTIONNAIRE_COLUMNS)
    assert [name for name in named if f"`{name}`" not in text] == []
    assert [name for name in (FILE, PARQUET, STREAM, LABELS, QUESTIONNAIRES) if name not in text] == []


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no session folder: it has no session\.json"):
        SessionFolder.open(tmp_path / "missing")


@pytest.mark.parametrize("participant", ["../P07", "a/b", "..", ""])
def test_a_participant_who_cannot_name_a_folder_is_refused(tmp_path: Path, participant: str) -> None:
    with pytest.raises(InputError, match="without slashes"):
        SessionWriter(tmp_path / "sessions", SessionMetadata("a", participant))
    assert list(tmp_path.iterdir()) == []


def test_a_field_that_would_tear_its_row_is_refused(tmp_path: Path) -> None:
    writer = begun(tmp_path)
    with pytest.raises(LabelFileError, match="one line"):
        writer.add_label(SessionLabel(1, 2, "stress", "calm", "observer", "a\nb", 1, 0))
    assert SessionFolder.open(writer.path).labels() == [*LABEL_ROWS, LEVEL]
