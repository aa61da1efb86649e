"""MediaPipe's landmarkers with results as arrays, read where the C library left them.

MediaPipe's Python makes an object of every landmark and every coefficient, some 550 a face, and hands every call to a
thread of its own: together a tenth of the face model's time. Here the same functions of the same pinned release are
called directly. They are not safe to call from two threads at once, so an object of this module belongs to one thread.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from perception.runtime import create_task, mediapipe_internals
from sentry_proto.types import Float32

internals = mediapipe_internals()

FLOAT = ctypes.sizeof(ctypes.c_float)


class VideoTask:
    """A landmarker in video mode.

    Args:
        kind: such as `vision.FaceLandmarker`.
        options: of that kind, in video mode.
        result: the C structure that it fills.

    Raises:
        MissingDependency: the model cannot be loaded.
    """

    def __init__(self, kind: Any, options: Any, result: Any) -> None:
        self._task = create_task(kind, options)  # registers the signatures of its functions with the library
        self._result = result
        library = internals.library()
        self._call = getattr(library, f"Mp{kind.__name__}DetectForVideo")
        self._free = getattr(library, f"Mp{kind.__name__}CloseResult")
        self._free_message = library.MpErrorFree

    @contextmanager
    def detect(self, image: Any, stamp: int) -> Iterator[Any]:
        """The C structure with what a MediaPipe image shows; it is gone after the block.

        Args:
            image: from `runtime.mediapipe_image`.
            stamp: milliseconds, larger than the last one.

        Raises:
            RuntimeError, ValueError: MediaPipe refuses the image or the stamp.
        """
        result, message = self._result(), ctypes.c_char_p()
        place, words = ctypes.byref(result), ctypes.byref(message)
        status = self._call(self._task._handle, image._image_ptr, None, stamp, place, words)
        try:
            internals.check(status, message)
        finally:
            if message.value is not None:
                self._free_message(message)
        try:
            yield result
        finally:
            self._free(place)

    def close(self) -> None:
        """Free the native graph."""
        self._task.close()


def points(landmarks: Any, fields: tuple[str, ...]) -> Float32:
    """Named fields of all landmarks of one face or body: a copy, float32 [N, fields]."""
    table = _table(landmarks.landmarks, landmarks.landmarks_count)
    kind = landmarks.landmarks._type_
    return table[:, [getattr(kind, field).offset // FLOAT for field in fields]]


def scores(categories: Any) -> Float32:
    """The scores of all categories: a copy, float32 [N]."""
    table = _table(categories.categories, categories.categories_count)
    return table[:, categories.categories._type_.score.offset // FLOAT].copy()


def names(categories: Any) -> tuple[str, ...]:
    """The names of all categories, in the order of their scores."""
    return tuple(categories.categories[i].category_name.decode() for i in range(categories.categories_count))


def _table(first: Any, count: int) -> Float32:
    """An array of C structures as float32 [count, 4-byte cells]; valid for as long as the structures are."""
    cells = ctypes.sizeof(first._type_) // FLOAT
    return np.ctypeslib.as_array(ctypes.cast(first, ctypes.POINTER(ctypes.c_float)), (count, cells))
