// The participant's page: what is shown, the camera, and one WebSocket to the agent, by which the video stream is made
// too. What the two say to one another is listed in messages.py, what follows from it in visit.py.

const SILENT_MS = 6000; // the agent speaks once a second; longer than this means that the connection is gone
const RETRY_MS = [500, 1000, 2000, 4000];
const GATHER_MS = 2000;
const CAMERA = { video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30, max: 30 } }, audio: false };
const MOST_BITS = 1_500_000;

const OVER = {
  unknown: ["This link opens nothing", "Perhaps it was not copied whole. Otherwise ask the people who run the study for a new one."],
  used: ["This link was used already", "Each link lets one person in, once. If that was not you, please tell the people who run the study; they can give you a new one."],
  expired: ["This link has expired", "Ask the people who run the study for a new one."],
  over: ["This session is over", "To take part once more, ask the people who run the study for a new link."],
  busy: ["You are taking part already", "A session under your pseudonym is running, perhaps in another window. Stop it there first; this link is still good."],
  full: ["There is no room at the moment", "As many people as the study's computer can serve are taking part. Please try again later; this link is still good."],
  elsewhere: ["This session goes on in another window", "You opened it there. You can close this one."],
  stopped: ["You have stopped", "Recording has ended and your camera is off. Thank you for taking part. You can close this page."],
  withdrawn: ["Your consent has ended", "Recording has stopped and your camera is off. What had not been handed on yet was deleted. For what the study has already received, ask the people who run it."],
  left: ["This session has ended", "You were away for some minutes, so recording was ended. To go on, ask for a new link."],
  failed: ["This session has ended", "The study's computer had a fault, and recording has stopped. Please tell the people who run the study."],
};
const FACES = {
  "ok": ["good", "You are seen well.", "You need not do anything."],
  "several faces": ["warn", "Several people are in the picture.", "Only you should be seen."],
  "no face": ["warn", "Your face is not seen.", "Please sit in front of the camera."],
  "dark": ["warn", "It is too dark.", "Please switch a light on, or look whether the camera is covered."],
  "frozen": ["warn", "Your picture stands still.", "It may come back by itself; otherwise reload this page."],
  "unplugged": ["warn", "Your picture does not arrive.", "This may take some seconds."],
};
const ASKED = {
  stop: ["Stop for today?", "Recording ends, and your link lets nobody in any more. If you only need a break, pause instead.", "Stop"],
  withdraw: ["Withdraw your consent?", "Recording stops at once, and what has not been handed on yet is deleted.", "Withdraw"],
};

const $ = (id) => document.getElementById(id);
const views = [...document.querySelectorAll("[data-view]")];

let state = "", over = false, wish = "", began = 0, version = "", ice = [];
let socket = null, peer = null, camera = null;
let releases = 0; // a camera that was asked for before the last of them comes too late
let heard = 0, tries = 0, retry = 0;
let token = location.hash.slice(1);
let secret = remembered();

// ---- what is shown --------------------------------------------------------------------------------------------------

function show(name) {
  const before = views.find((view) => !view.hidden);
  for (const view of views) view.hidden = view.dataset.view !== name;
  const now = views.find((view) => !view.hidden);
  if (now !== before) { now.querySelector("h1").focus(); scrollTo(0, 0); }
}

function note(tone, first, second) {
  const box = $("note");
  if (box.dataset.words === first + second) return; // a screen reader reads it whenever it is written
  box.dataset.words = first + second;
  box.dataset.tone = tone;
  box.children[0].textContent = first;
  box.children[1].textContent = second;
}

function sign(tone, words, veil) {
  $("sign").dataset.tone = tone;
  $("sign-words").textContent = words;
  document.title = tone === "recording" ? `● ${words}` : words;
  $("veil").hidden = !veil;
  $("veil").textContent = veil;
  $("elapsed").hidden = tone === "lost";
}

function drawSession(status) {
  show("session");
  $("pause").textContent = state === "paused" ? "Go on" : "Pause";
  for (const id of ["pause", "stop", "withdraw"]) $(id).disabled = false;
  if (state === "paused") {
    sign("paused", "Paused", "Your camera is off.");
    note("", "Nothing is recorded.", "Go on whenever you like.");
  } else if (status && status.frames > 0) {
    sign("recording", "Recording", "");
    note(...(FACES[status.camera] ?? FACES.ok));
  } else {
    sign("waiting", "Starting", "");
    note("", "Recording begins in a moment.", "The study's computer is getting ready.");
  }
}

function drawLost() {
  show("session");
  sign("lost", "Not recording", wish ? "Your camera is off." : "");
  note("bad", "The connection is lost.", wish
    ? "Nothing is recorded. Please leave this page open: the study's computer is told of your wish when it can be reached."
    : "Nothing is recorded now. This page goes on trying, and begins again by itself.");
  $("pause").disabled = true;
  for (const id of ["stop", "withdraw"]) $(id).disabled = Boolean(wish);
}

function finish(reason) {
  over = true;
  forget();
  release();
  socket?.close();
  const [title, words] = OVER[reason] ?? OVER.over;
  $("over-title").textContent = title;
  $("over-words").textContent = words;
  document.title = title;
  if ($("sure").open) $("sure").close("no");
  show("over");
}

function drawInformation(message) {
  version = message.version;
  introduce(message.participant);
  $("hours").textContent = message.hours === 1 ? "an hour" : `${message.hours} hours`;
  $("text").replaceChildren(...message.text.split(/\n(?=# )/).map(part));
  if (views.some((view) => !view.hidden && view.dataset.view === "camera")) return;
  show("information");
}

function part(text) { // paragraphs, a line each, under a heading if the first begins with #
  const made = document.createElement("div");
  for (const line of text.split("\n").filter((line) => line.trim())) {
    const heading = line.startsWith("# ");
    const element = made.appendChild(document.createElement(heading ? "h2" : "p"));
    element.textContent = heading ? line.slice(2) : line;
  }
  return made;
}

function introduce(participant) {
  $("participant").textContent = participant;
  $("who").hidden = false;
}

// ---- what this window remembers, so that a reload goes on -----------------------------------------------------------

function remembered() {
  try {
    const kept = JSON.parse(sessionStorage.getItem("visit") ?? "null");
    if (!kept || (token && kept.token !== token)) return "";
    token = kept.token;
    began = kept.began;
    introduce(kept.participant);
    return kept.secret;
  } catch { return ""; }
}

function remember(words) {
  secret = words;
  began = Date.now();
  sessionStorage.setItem("visit", JSON.stringify({ token, secret, began, participant: $("participant").textContent }));
}

function forget() { secret = ""; sessionStorage.removeItem("visit"); }

// ---- the camera -----------------------------------------------------------------------------------------------------

async function acquire() {
  if (camera?.getVideoTracks()[0]?.readyState === "live") return;
  if (!navigator.mediaDevices) throw new DOMException("", "InsecureError");
  const before = releases;
  const given = await navigator.mediaDevices.getUserMedia(CAMERA);
  if (before !== releases) { // stopped, paused or withdrawn meanwhile
    for (const track of given.getTracks()) track.stop();
    throw new DOMException("", "AbortError");
  }
  camera = given;
  camera.getVideoTracks()[0].onended = () => recapture();
  $("own").srcObject = camera;
}

function release() {
  releases++;
  peer?.close();
  peer = null;
  for (const track of camera?.getTracks() ?? []) track.stop();
  camera = null;
  $("own").srcObject = null;
}

function trouble(error) {
  return {
    NotAllowedError: "This page was not allowed to use it. Look for a camera sign beside the address, allow the camera there, and try again.",
    NotFoundError: "No camera was found. Please connect one, and try again.",
    NotReadableError: "Another program seems to be using it. Please close that, and try again.",
    InsecureError: "Your browser gives this page no camera, because its address does not begin with https. Please tell the people who run the study.",
  }[error.name] ?? `Your browser says: ${error.message || error.name}.`;
}

async function recapture() { // the camera was unplugged, or taken away
  while (!over && !wish && state === "live") {
    try { await acquire(); await stream(); return; } catch { await new Promise((done) => setTimeout(done, 2000)); }
  }
}

// ---- the stream -----------------------------------------------------------------------------------------------------

async function stream() {
  peer?.close();
  const made = peer = new RTCPeerConnection({ iceServers: ice });
  const [track] = camera.getVideoTracks();
  track.contentHint = "motion";
  made.addTransceiver(track, { direction: "sendonly", sendEncodings: [{ maxBitrate: MOST_BITS, maxFramerate: 30 }] });
  made.onconnectionstatechange = () => { if (made === peer && made.connectionState === "failed") lost(); };
  await made.setLocalDescription(await made.createOffer());
  await gathered(made);
  if (made === peer) say("offer", { sdp: made.localDescription.sdp });
}

function gathered(made) {
  if (made.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((done) => {
    made.onicegatheringstatechange = () => { if (made.iceGatheringState === "complete") done(); };
    setTimeout(done, GATHER_MS);
  });
}

// ---- the conversation -----------------------------------------------------------------------------------------------

function say(type, fields = {}) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type, ...fields }));
}

function connect() {
  if (over) return;
  clearTimeout(retry);
  const made = socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket`);
  heard = Date.now();
  made.onopen = () => say("hello", secret ? { secret } : { token });
  made.onmessage = (event) => { if (made === socket) { heard = Date.now(); take(JSON.parse(event.data)); } };
  made.onclose = () => { if (made === socket) lost(); };
}

function lost() {
  if (over) return;
  const old = socket;
  socket = null;
  old?.close();
  peer?.close();
  peer = null;
  if (state) drawLost();
  clearTimeout(retry);
  retry = setTimeout(connect, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
}

async function take(message) {
  switch (message.type) {
    case "information": tries = 0; drawInformation(message); break;
    case "welcome": await welcome(message); break;
    case "answer": await peer?.setRemoteDescription({ type: "answer", sdp: message.sdp }).catch(lost); break;
    case "status": state = message.state; if (!wish) drawSession(message); break;
    case "again": if (state === "live") await stream().catch(lost); break;
    case "refused": finish(message.reason); break;
    case "ended": if (message.reason === "closed") lost(); else finish(message.reason); break;
  }
}

async function welcome(message) {
  tries = 0;
  ice = message.ice;
  if (message.secret) remember(message.secret);
  state = message.state === "paused" ? "paused" : "live";
  if (wish) { say(wish); return; }
  drawSession();
  if (state === "paused") return;
  try {
    await acquire();
    await stream();
  } catch (error) {
    if (error.name === "AbortError") return;
    note("bad", "Your camera cannot be used.", trouble(error));
    recapture();
  }
}

// ---- what the participant does ----------------------------------------------------------------------------------------

async function begin() {
  try { await acquire(); } catch (error) {
    if (error.name === "AbortError") return;
    $("camera-trouble").textContent = trouble(error);
    show("camera");
    return;
  }
  say("consent", { version });
}

$("agree").onsubmit = (event) => { event.preventDefault(); begin(); };
$("try-camera").onclick = begin;

$("pause").onclick = async () => {
  if (state === "paused") {
    try { await acquire(); } catch (error) {
      if (error.name !== "AbortError") note("bad", "Your camera cannot be used.", trouble(error));
      return;
    }
    state = "live";
    say("resume");
    drawSession();
    await stream().catch(lost);
  } else {
    state = "paused";
    say("pause");
    release();
    drawSession();
  }
};

function leave(how) { // the camera is off at once, whether the agent can be told now or not
  wish = how;
  release();
  if (socket?.readyState === WebSocket.OPEN) say(how); else drawLost();
}

for (const id of ["stop", "withdraw"]) {
  $(id).onclick = () => {
    const [title, words, yes] = ASKED[id];
    $("sure-title").textContent = title;
    $("sure-words").textContent = words;
    $("sure-yes").textContent = yes;
    $("sure").onclose = () => { if ($("sure").returnValue === "yes") leave(id); };
    $("sure").returnValue = "";
    $("sure").showModal();
  };
}

setInterval(() => {
  if (socket && state && Date.now() - heard > SILENT_MS) lost();
  if (began) {
    const s = Math.floor((Date.now() - began) / 1000);
    $("elapsed").textContent = `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
  }
}, 1000);

show("connecting");
if (token || secret) connect(); else finish("unknown");
