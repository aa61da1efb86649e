"""A participant's page in a real browser with an invented camera, before a real agent."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aioice.ice import StunProtocol
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from benchmarks.webrtc import CHROMIUM, FLAGS, puppet_pictures, write_camera
from edge_agent.consent import ConsentBook
from edge_agent.state import RunOptions
from edge_agent.webrtc.app import SOURCE, ServeOptions, invites, serve
from tests.e2e.study import command, eventually, free_port, run

PATIENCE_MS = 60_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs Debian's chromium at /usr/bin/chromium"),
]


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the puppet, which the browser shows again and again."""
    path = tmp_path_factory.mktemp("camera") / "puppet.mjpeg"
    write_camera(path, puppet_pictures(2))
    return path


@contextmanager
def chromium(camera: Path, *flags: str) -> Iterator[BrowserContext]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        shown = [*FLAGS, f"--use-file-for-fake-video-capture={camera}", *flags]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=shown)
        context = browser.new_context(viewport={"width": 1280, "height": 720})
        context.set_default_timeout(PATIENCE_MS)
        yield context
        browser.close()


@pytest.fixture
def browser(camera: Path) -> Iterator[BrowserContext]:
    """A browser whose owner lets every page use the camera."""
    with chromium(camera, "--use-fake-ui-for-media-stream") as context:
        yield context


class Agent:
    """`sentry-agent webrtc` as a process, with a data folder of its own."""

    def __init__(self, folder: Path, *before: str) -> None:
        self.folder, self.port = folder, free_port(1)
        self.consents = ConsentBook(folder / "consent.json")
        self.start(*before)

    def start(self, *before: str) -> None:
        serve = command("sentry-agent", "webrtc", "--port", self.port, "--data-dir", self.folder, "--json")
        log = self.folder / "agent.log"
        started = log.exists() and self.log().count("waiting for participants")
        with log.open("a") as errors:
            self.process = subprocess.Popen([*before, *serve], stdout=subprocess.PIPE, stderr=errors, text=True)
        eventually(lambda: self.log().count("waiting for participants") > started or None, 60, "the agent waits")

    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    def link(self, participant: str = "P-01", *more: object) -> str:
        address = f"http://127.0.0.1:{self.port}"
        done = run(
            "sentry-agent", "webrtc", "invite", "--participant", participant, "--address", address,
            "--data-dir", self.folder, *more,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @property
    def pid(self) -> int:
        """Of the agent itself, whatever it was started under."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        under = Path(f"/proc/{self.process.pid}/comm").read_text().strip() == "strace"
        return int(children[0]) if under else self.process.pid

    def stop(self) -> Any:
        """End it politely; returns its report."""
        os.kill(self.pid, signal.SIGINT)
        output, _ = self.process.communicate(timeout=60)
        return json.loads(output)

    def close(self) -> None:
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    yield made
    made.close()


def agree(context: BrowserContext, link: str) -> Page:
    """Open a link, read, agree and wait for the recording sign."""
    page = context.new_page()
    page.goto(link)
    expect(page.get_by_role("heading", name="Before you begin")).to_be_focused()
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Agree and start my camera").click()
    recording(page)
    return page


def recording(page: Page) -> None:
    expect(page.get_by_role("heading", name="Recording", exact=True)).to_be_visible()


def camera_on(page: Page) -> bool:
    return bool(page.evaluate("document.getElementById('own').srcObject?.active ?? false"))


def sure(page: Page, what: str) -> None:
    page.get_by_role("button", name=what).click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("Stop|Withdraw")).click()


def test_a_participant_reads_agrees_pauses_and_stops(agent: Agent, browser: BrowserContext) -> None:
    link = agent.link()
    page = agree(browser, link)
    (record,) = agent.consents.records
    assert record.participant == "P-01"
    assert (agent.folder / "consent_texts" / f"{record.text_version}.txt").exists()
    expect(page.get_by_role("status").filter(has_text="You are seen well.")).to_be_visible()
    assert camera_on(page)

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("heading", name="Paused")).to_be_visible()
    assert not camera_on(page)
    page.get_by_role("button", name="Go on").click()
    recording(page)

    sure(page, "Stop")
    expect(page.get_by_role("heading", name="You have stopped")).to_be_visible()
    assert not camera_on(page)
    assert agent.consents.records[0].withdrawn is None
    page.goto("about:blank")
    page.goto(link)
    expect(page.get_by_role("heading", name="This link was used already")).to_be_visible()

    (visit,) = agent.stop()["visits"]
    assert (visit["participant"], visit["ended"]) == ("P-01", "stopped")
    assert visit["face_seconds"] >= 1


def test_withdrawing_stops_and_the_record_says_so(agent: Agent, browser: BrowserContext) -> None:
    page = agree(browser, agent.link())
    sure(page, "Withdraw my consent")
    expect(page.get_by_role("heading", name="Your consent has ended")).to_be_visible()
    assert agent.consents.records[0].withdrawn is not None
    assert not camera_on(page)


def test_a_withdrawal_at_the_agent_reaches_the_page(agent: Agent, browser: BrowserContext) -> None:
    page = agree(browser, agent.link())
    done = run("sentry-agent", "consent", "withdraw", "--participant", "P-01", "--data-dir", agent.folder)
    assert done.returncode == 0, done.stderr
    expect(page.get_by_role("heading", name="Your consent has ended")).to_be_visible()
    assert not camera_on(page)


@pytest.fixture
def media_cut(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """While it is set, an agent of this process gets and sends no datagram; its WebSockets live."""
    cut = threading.Event()
    take, stun, data = StunProtocol.datagram_received, StunProtocol.send_stun, StunProtocol.send_data

    async def send_data(self: StunProtocol, *arguments: Any) -> None:
        if not cut.is_set():
            await data(self, *arguments)

    monkeypatch.setattr(StunProtocol, "datagram_received", lambda *given: cut.is_set() or take(*given))
    monkeypatch.setattr(StunProtocol, "send_stun", lambda *given: cut.is_set() or stun(*given))
    monkeypatch.setattr(StunProtocol, "send_data", send_data)
    return cut


@contextmanager
def agent_here(folder: Path) -> Iterator[tuple[str, list[Any]]]:
    """An agent in this process: a participant's link, and its report once it has ended."""
    port, stop, reports = free_port(1), threading.Event(), list[Any]()
    options = ServeOptions(RunOptions(SOURCE, folder), port=port)
    server = threading.Thread(target=lambda: reports.append(serve(options, stop)))
    server.start()
    try:
        eventually(lambda: reachable(port) or None, 60, "the agent waits")
        yield f"http://127.0.0.1:{port}/#{invites(folder).issue('P-01', time.time(), 600)}", reports
    finally:
        stop.set()
        server.join()


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_media_that_is_cut_alone_is_shown_and_heals(
    tmp_path: Path, browser: BrowserContext, media_cut: threading.Event
) -> None:
    """As by a firewall that lets the page pass and no UDP: the page is told, gives the stream up, and tries again."""
    with agent_here(tmp_path) as (link, reports):
        page = agree(browser, link)
        well = page.get_by_role("status").filter(has_text="You are seen well.")
        expect(well).to_be_visible()
        media_cut.set()
        expect(page.get_by_role("status").filter(has_text="Your picture does not arrive.")).to_be_visible()
        expect(page.get_by_role("heading", name="Not recording")).to_be_visible()
        media_cut.clear()
        recording(page)
        expect(well).to_be_visible()
    (visit,) = reports[0]["visits"]
    assert visit["camera_states"].get("unplugged", 0) >= 2, "the break is no data"


@pytest.mark.parametrize("how", ["silent", "killed"])
def test_a_break_is_shown_and_heals_by_itself(agent: Agent, browser: BrowserContext, how: str) -> None:
    page = agree(browser, agent.link())
    if how == "silent":  # as when the network is cut: nothing comes, and nothing says so
        agent.process.send_signal(signal.SIGSTOP)
    else:
        agent.close()
    expect(page.get_by_role("heading", name="Not recording")).to_be_visible()
    expect(page.get_by_text("The connection is lost.")).to_be_visible()
    if how == "silent":
        agent.process.send_signal(signal.SIGCONT)
    else:
        agent.start()
    recording(page)
    assert len(agent.consents.records) == 1
    sure(page, "Stop")
    expect(page.get_by_role("heading", name="You have stopped")).to_be_visible()


def test_who_withdraws_during_a_break_is_heard_after_it(agent: Agent, browser: BrowserContext) -> None:
    page = agree(browser, agent.link())
    agent.process.send_signal(signal.SIGSTOP)
    expect(page.get_by_text("The connection is lost.")).to_be_visible()
    sure(page, "Withdraw my consent")
    eventually(lambda: not camera_on(page), 2, "the camera is off")
    assert agent.consents.records[0].withdrawn is None
    agent.process.send_signal(signal.SIGCONT)
    expect(page.get_by_role("heading", name="Your consent has ended")).to_be_visible()
    assert agent.consents.records[0].withdrawn is not None


def test_a_camera_that_comes_after_the_withdrawal_is_switched_off(agent: Agent, browser: BrowserContext) -> None:
    browser.add_init_script("""
        const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        window.cameras = [];
        navigator.mediaDevices.getUserMedia = async (wish) => {
            await new Promise((done) => setTimeout(done, window.slow ? 1500 : 0));
            const stream = await given(wish);
            window.cameras.push(stream);
            return stream;
        };
    """)
    page = agree(browser, agent.link())
    page.get_by_role("button", name="Pause").click()
    page.evaluate("window.slow = true")
    page.get_by_role("button", name="Go on").click()
    sure(page, "Withdraw my consent")
    expect(page.get_by_role("heading", name="Your consent has ended")).to_be_visible()
    eventually(lambda: page.evaluate("window.cameras.length") == 2, 5, "the browser gives the camera")
    eventually(lambda: not page.evaluate("window.cameras.some((one) => one.active)"), 2, "it is off")
    assert not camera_on(page)


def test_a_reload_goes_on_and_a_second_window_does_not_get_in(agent: Agent, browser: BrowserContext) -> None:
    link = agent.link()
    page = agree(browser, link)
    page.reload()
    recording(page)
    other = browser.new_page()
    other.goto(link)
    expect(other.get_by_role("heading", name="This link was used already")).to_be_visible()
    recording(page)


def test_two_participants_are_kept_apart(agent: Agent, browser: BrowserContext) -> None:
    first, second = agree(browser, agent.link("P-01")), agree(browser, agent.link("P-02"))
    sure(first, "Withdraw my consent")
    expect(first.get_by_role("heading", name="Your consent has ended")).to_be_visible()
    recording(second)
    assert [(r.participant, r.withdrawn is not None) for r in agent.consents.records] == [
        ("P-01", True),
        ("P-02", False),
    ]
    visits = {visit["participant"]: visit for visit in agent.stop()["visits"]}
    assert visits["P-02"]["frames_scored"] > 0


def test_a_camera_that_is_refused_uses_nothing_up(agent: Agent, camera: Path) -> None:
    link = agent.link()
    with chromium(camera, "--deny-permission-prompts") as context:
        page = context.new_page()
        page.goto(link)
        page.get_by_role("checkbox").check()
        page.get_by_role("button", name="Agree and start my camera").click()
        expect(page.get_by_role("heading", name="Your camera cannot be used")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("not allowed")
    assert agent.consents.records == ()
    with chromium(camera, "--use-fake-ui-for-media-stream") as context:
        agree(context, link)


@pytest.mark.parametrize(
    ("make", "title"),
    [
        (lambda agent: agent.link("P-01", "--valid-hours", 1e-6), "This link has expired"),
        (lambda agent: agent.link()[:-3] + "abc", "This link opens nothing"),
        (lambda agent: agent.link().split("#")[0], "This link opens nothing"),
    ],
)
def test_a_link_that_opens_nothing_says_why(
    agent: Agent, browser: BrowserContext, make: Callable[[Agent], str], title: str
) -> None:
    page = browser.new_page()
    page.goto(make(agent))
    expect(page.get_by_role("heading", name=title)).to_be_visible()


# ---- P1 on this path -----------------------------------------------------------------------------------------------

WATCHED = "trace=connect,openat,write,pwrite64,writev,sendto,sendmsg,sendmmsg"


@pytest.mark.promise("P1")
def test_no_picture_is_written_or_passed_on(tmp_path: Path, browser: BrowserContext) -> None:
    strace = shutil.which("strace")
    if not strace:
        pytest.skip("needs strace to watch the agent's system calls")
    trace = tmp_path / "trace.txt"
    agent = Agent(tmp_path, strace, "-f", "-qq", "-s", "65536", "-xx", "-e", WATCHED, "-o", str(trace))
    try:
        watch_writes(agent, browser, trace)
    finally:
        agent.close()


def watch_writes(agent: Agent, browser: BrowserContext, trace: Path) -> None:
    page = agree(browser, agent.link())
    begun = len(trace.read_bytes())
    time.sleep(10)
    recording(page)
    ten_seconds = trace.read_bytes()[begun:].decode()
    (visit,) = agent.stop()["visits"]
    assert visit["frames_scored"] > 20, "there was something to leak"

    calls = re.findall(r"^\d+ +(\w+)\((.*)\) += (\d+)", ten_seconds, re.M)
    sent = sum(int(size) for name, _, size in calls if name != "openat")
    assert 0 < sent < 10 * 10_000, "feedback to the browser only: far less than the smallest pictures would take"
    made = {
        bytes.fromhex(p.replace("\\x", "")).decode()
        for p in re.findall(r'openat\([^"]*"([^"]*)", [^)]*O_CREAT', ten_seconds)
    }
    assert not made, "no file is made while a participant is recorded"
    whole = bytes.fromhex("".join(re.findall(r"\\x([0-9a-f]{2})", trace.read_text())))
    for name, signature in {"JPEG": b"\xff\xd8\xff\xe0", "PNG": b"\x89PNG", "MP4": b"ftypisom"}.items():
        assert signature not in whole, name
    ports = re.findall(r"(?:connect|sendto)\(.*?sin6?_port=htons\((\d+)\)", trace.read_text())
    assert ports, "the stream's own packets were seen"
    assert not {"53", "3478", "5349", "19302"} & set(ports), "no name is looked up, and no STUN or TURN server asked"
