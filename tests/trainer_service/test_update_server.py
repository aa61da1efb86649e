from __future__ import annotations

from pathlib import Path

import pytest

from sentry_proto import limits
from sentry_proto import sentry_pb2 as pb
from trainer_service.update_server import Updates


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    for name in ("metadata/timestamp.json", "targets/heads/abc.current.onnx", "metadata/.half.json", "secret.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (tmp_path / "trainer.key").write_text("secret")
    return folder


@pytest.mark.parametrize("path", ["metadata/timestamp.json", "targets/heads/abc.current.onnx"])
def test_serves_the_repository(repository: Path, path: str) -> None:
    reply = Updates(repository).fetch(path, 0)
    assert (reply.path, reply.data, reply.total, reply.missing) == (path, path.encode(), len(path), False)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "secret.json",
        "../trainer.key",
        "metadata/../secret.json",
        "metadata/../../trainer.key",
        "targets/../secret.json",
        "targets/heads/../../secret.json",
        "targets//../secret.json",
        "/etc/passwd",
        "metadata/.half.json",
        "metadata",
        "targets/heads",
        "metadata/timestamp.json\n",
        "metadata/timestamp.json\0",
        "targets/" + "a/" * 200,
        "metadata/9.heads.json",
    ],
)
def test_serves_nothing_else(repository: Path, path: str) -> None:
    reply = Updates(repository).fetch(path, 0)
    assert (reply.missing, reply.data) == (True, b"")


def test_chunks_make_up_the_file(repository: Path) -> None:
    content = bytes(range(256)) * (2 * limits.FETCH_CHUNK_BYTES // 256) + b"end"
    (repository / "targets" / "big").write_bytes(content)
    received = b""
    while len(received) < len(content):
        request = pb.FetchRequest(path="targets/big", offset=len(received))
        answer = Updates(repository).answer(request.SerializeToString())
        assert answer is not None
        reply = pb.FetchReply.FromString(answer)
        assert (reply.offset, reply.total) == (len(received), len(content))
        assert 0 < len(reply.data) <= limits.FETCH_CHUNK_BYTES
        received += reply.data
    assert received == content
    assert Updates(repository).fetch("targets/big", 2**63).data == b""


def test_bytes_that_are_no_request_get_no_answer(repository: Path) -> None:
    assert Updates(repository).answer(b"\xff" * 40) is None
