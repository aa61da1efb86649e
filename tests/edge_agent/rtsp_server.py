"""A network camera that speaks RTSP, by Debian's GStreamer and Python: its arguments are PORT, FPS and CODEC."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import gi

from tests.edge_agent.clock_pictures import HEIGHT, WIDTH, grey_clock

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - their versions are asked for first

CODECS = {
    "h264": "openh264enc gop-size=15 ! h264parse ! rtph264pay config-interval=1 name=pay0 pt=96",
    "jpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
}


def feed(source: Any, fps: int) -> None:
    """Give the pictures of now until nobody takes them."""
    begin, count = time.monotonic(), 0
    while source.emit("push-buffer", Gst.Buffer.new_wrapped(grey_clock(time.time()))) == Gst.FlowReturn.OK:
        count += 1
        time.sleep(max(0.0, begin + count / fps - time.monotonic()))


def main(port: str, fps: str, codec: str) -> None:
    Gst.init(None)
    server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
    server.set_service(port)
    caps = f"video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT},framerate={fps}/1"
    appsrc = f"appsrc name=eye is-live=true do-timestamp=true format=time caps={caps}"
    factory.set_launch(f"( {appsrc} ! videoconvert ! video/x-raw,format=I420 ! {CODECS[codec]} )")
    factory.set_shared(True)
    factory.connect("media-configure", lambda _, media: start(media.get_element(), int(fps)))
    server.get_mount_points().add_factory("/x", factory)
    server.attach(None)
    GLib.MainLoop().run()


def start(pipeline: Any, fps: int) -> None:
    eye = pipeline.get_by_name_recurse_up("eye")
    threading.Thread(target=feed, args=(eye, fps), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
