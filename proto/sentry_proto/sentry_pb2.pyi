from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AgentFrame(_message.Message):
    __slots__ = ("hello", "item", "heartbeat")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    item: Item
    heartbeat: Heartbeat
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., item: _Optional[_Union[Item, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class TrainerFrame(_message.Message):
    __slots__ = ("welcome", "ack", "refusal", "pulse")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    PULSE_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    ack: Ack
    refusal: Refusal
    pulse: Pulse
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., pulse: _Optional[_Union[Pulse, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "stream", "layout_id", "software")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_ID_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    stream: str
    layout_id: str
    software: str
    def __init__(self, protocol: _Optional[int] = ..., stream: _Optional[str] = ..., layout_id: _Optional[str] = ..., software: _Optional[str] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol", "credit", "model_version")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    credit: int
    model_version: int
    def __init__(self, protocol: _Optional[int] = ..., credit: _Optional[int] = ..., model_version: _Optional[int] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("stream", "sequence", "record")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    stream: str
    sequence: int
    record: bytes
    def __init__(self, stream: _Optional[str] = ..., sequence: _Optional[int] = ..., record: _Optional[bytes] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("window", "alert")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    ALERT_FIELD_NUMBER: _ClassVar[int]
    window: Window
    alert: Alert
    def __init__(self, window: _Optional[_Union[Window, _Mapping]] = ..., alert: _Optional[_Union[Alert, _Mapping]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("sequences",)
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    sequences: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, sequences: _Optional[_Iterable[int]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("sequence", "reason", "stream")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    reason: str
    stream: str
    def __init__(self, sequence: _Optional[int] = ..., reason: _Optional[str] = ..., stream: _Optional[str] = ...) -> None: ...

class Pulse(_message.Message):
    __slots__ = ("time", "model_version", "audit_probability", "offsets", "wanted")
    TIME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    AUDIT_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    time: float
    model_version: int
    audit_probability: float
    offsets: _containers.RepeatedCompositeFieldContainer[PersonalOffset]
    wanted: _containers.RepeatedCompositeFieldContainer[WantedWindow]
    def __init__(self, time: _Optional[float] = ..., model_version: _Optional[int] = ..., audit_probability: _Optional[float] = ..., offsets: _Optional[_Iterable[_Union[PersonalOffset, _Mapping]]] = ..., wanted: _Optional[_Iterable[_Union[WantedWindow, _Mapping]]] = ...) -> None: ...

class WantedWindow(_message.Message):
    __slots__ = ("participant", "session", "start")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    participant: str
    session: str
    start: float
    def __init__(self, participant: _Optional[str] = ..., session: _Optional[str] = ..., start: _Optional[float] = ...) -> None: ...

class PersonalOffset(_message.Message):
    __slots__ = ("participant", "task", "logits")
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    LOGITS_FIELD_NUMBER: _ClassVar[int]
    participant: str
    task: str
    logits: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, participant: _Optional[str] = ..., task: _Optional[str] = ..., logits: _Optional[_Iterable[float]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("time", "stream", "model_version", "update_state", "camera_state", "fps", "participant", "session", "clock_rate", "event_time", "sent", "acked", "spooled", "dropped", "counts", "software", "error", "frames")
    TIME_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_STATE_FIELD_NUMBER: _ClassVar[int]
    CAMERA_STATE_FIELD_NUMBER: _ClassVar[int]
    FPS_FIELD_NUMBER: _ClassVar[int]
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CLOCK_RATE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    ACKED_FIELD_NUMBER: _ClassVar[int]
    SPOOLED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    time: float
    stream: str
    model_version: int
    update_state: str
    camera_state: str
    fps: float
    participant: str
    session: str
    clock_rate: float
    event_time: float
    sent: int
    acked: int
    spooled: int
    dropped: int
    counts: _containers.RepeatedCompositeFieldContainer[ScoredCount]
    software: str
    error: str
    frames: int
    def __init__(self, time: _Optional[float] = ..., stream: _Optional[str] = ..., model_version: _Optional[int] = ..., update_state: _Optional[str] = ..., camera_state: _Optional[str] = ..., fps: _Optional[float] = ..., participant: _Optional[str] = ..., session: _Optional[str] = ..., clock_rate: _Optional[float] = ..., event_time: _Optional[float] = ..., sent: _Optional[int] = ..., acked: _Optional[int] = ..., spooled: _Optional[int] = ..., dropped: _Optional[int] = ..., counts: _Optional[_Iterable[_Union[ScoredCount, _Mapping]]] = ..., software: _Optional[str] = ..., error: _Optional[str] = ..., frames: _Optional[int] = ...) -> None: ...

class ScoredCount(_message.Message):
    __slots__ = ("model_version", "task", "alerting", "windows", "participant")
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    ALERTING_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    model_version: int
    task: str
    alerting: bool
    windows: int
    participant: str
    def __init__(self, model_version: _Optional[int] = ..., task: _Optional[str] = ..., alerting: bool = ..., windows: _Optional[int] = ..., participant: _Optional[str] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("task", "probabilities", "entropy", "mutual_information", "alerting", "personal", "generic_alerting")
    TASK_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    MUTUAL_INFORMATION_FIELD_NUMBER: _ClassVar[int]
    ALERTING_FIELD_NUMBER: _ClassVar[int]
    PERSONAL_FIELD_NUMBER: _ClassVar[int]
    GENERIC_ALERTING_FIELD_NUMBER: _ClassVar[int]
    task: str
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    entropy: float
    mutual_information: float
    alerting: bool
    personal: _containers.RepeatedScalarFieldContainer[float]
    generic_alerting: bool
    def __init__(self, task: _Optional[str] = ..., probabilities: _Optional[_Iterable[float]] = ..., entropy: _Optional[float] = ..., mutual_information: _Optional[float] = ..., alerting: bool = ..., personal: _Optional[_Iterable[float]] = ..., generic_alerting: bool = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("window_id", "participant", "session", "start", "end", "layout_id", "seconds", "values", "coverage", "baseline", "baseline_seconds", "stratum", "inclusion_probability", "model_version", "predictions", "consent_id", "camera_states", "audit_probability", "expression", "stills")
    WINDOW_ID_FIELD_NUMBER: _ClassVar[int]
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_ID_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    BASELINE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    STRATUM_FIELD_NUMBER: _ClassVar[int]
    INCLUSION_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    CONSENT_ID_FIELD_NUMBER: _ClassVar[int]
    CAMERA_STATES_FIELD_NUMBER: _ClassVar[int]
    AUDIT_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    STILLS_FIELD_NUMBER: _ClassVar[int]
    window_id: str
    participant: str
    session: str
    start: float
    end: float
    layout_id: str
    seconds: int
    values: bytes
    coverage: bytes
    baseline: bytes
    baseline_seconds: int
    stratum: str
    inclusion_probability: float
    model_version: int
    predictions: _containers.RepeatedCompositeFieldContainer[Prediction]
    consent_id: str
    camera_states: str
    audit_probability: float
    expression: str
    stills: _containers.RepeatedCompositeFieldContainer[Still]
    def __init__(self, window_id: _Optional[str] = ..., participant: _Optional[str] = ..., session: _Optional[str] = ..., start: _Optional[float] = ..., end: _Optional[float] = ..., layout_id: _Optional[str] = ..., seconds: _Optional[int] = ..., values: _Optional[bytes] = ..., coverage: _Optional[bytes] = ..., baseline: _Optional[bytes] = ..., baseline_seconds: _Optional[int] = ..., stratum: _Optional[str] = ..., inclusion_probability: _Optional[float] = ..., model_version: _Optional[int] = ..., predictions: _Optional[_Iterable[_Union[Prediction, _Mapping]]] = ..., consent_id: _Optional[str] = ..., camera_states: _Optional[str] = ..., audit_probability: _Optional[float] = ..., expression: _Optional[str] = ..., stills: _Optional[_Iterable[_Union[Still, _Mapping]]] = ...) -> None: ...

class Still(_message.Message):
    __slots__ = ("time", "jpeg")
    TIME_FIELD_NUMBER: _ClassVar[int]
    JPEG_FIELD_NUMBER: _ClassVar[int]
    time: float
    jpeg: bytes
    def __init__(self, time: _Optional[float] = ..., jpeg: _Optional[bytes] = ...) -> None: ...

class Alert(_message.Message):
    __slots__ = ("alert_id", "participant", "session", "task", "start", "end", "probability", "threshold", "model_version", "window_id", "consent_id")
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    PARTICIPANT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    WINDOW_ID_FIELD_NUMBER: _ClassVar[int]
    CONSENT_ID_FIELD_NUMBER: _ClassVar[int]
    alert_id: str
    participant: str
    session: str
    task: str
    start: float
    end: float
    probability: float
    threshold: float
    model_version: int
    window_id: str
    consent_id: str
    def __init__(self, alert_id: _Optional[str] = ..., participant: _Optional[str] = ..., session: _Optional[str] = ..., task: _Optional[str] = ..., start: _Optional[float] = ..., end: _Optional[float] = ..., probability: _Optional[float] = ..., threshold: _Optional[float] = ..., model_version: _Optional[int] = ..., window_id: _Optional[str] = ..., consent_id: _Optional[str] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("path", "offset")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    path: str
    offset: int
    def __init__(self, path: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class FetchReply(_message.Message):
    __slots__ = ("path", "offset", "total", "data", "missing")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    path: str
    offset: int
    total: int
    data: bytes
    missing: bool
    def __init__(self, path: _Optional[str] = ..., offset: _Optional[int] = ..., total: _Optional[int] = ..., data: _Optional[bytes] = ..., missing: bool = ...) -> None: ...

class ControlRequest(_message.Message):
    __slots__ = ("request_id", "method", "params")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    method: str
    params: str
    def __init__(self, request_id: _Optional[str] = ..., method: _Optional[str] = ..., params: _Optional[str] = ...) -> None: ...

class ControlReply(_message.Message):
    __slots__ = ("request_id", "result", "error", "error_kind")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_KIND_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    result: str
    error: str
    error_kind: str
    def __init__(self, request_id: _Optional[str] = ..., result: _Optional[str] = ..., error: _Optional[str] = ..., error_kind: _Optional[str] = ...) -> None: ...
