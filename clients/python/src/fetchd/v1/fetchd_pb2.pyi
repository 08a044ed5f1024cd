from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import Any as _Any, ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BodyOverflow(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BODY_OVERFLOW_UNSPECIFIED: _ClassVar[BodyOverflow]
    BODY_OVERFLOW_FAIL: _ClassVar[BodyOverflow]
    BODY_OVERFLOW_TRUNCATE: _ClassVar[BodyOverflow]

class HttpVersion(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HTTP_VERSION_UNSPECIFIED: _ClassVar[HttpVersion]
    HTTP_VERSION_HTTP_1_0: _ClassVar[HttpVersion]
    HTTP_VERSION_HTTP_1_1: _ClassVar[HttpVersion]
    HTTP_VERSION_HTTP_2: _ClassVar[HttpVersion]
    HTTP_VERSION_HTTP_3: _ClassVar[HttpVersion]

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    REASON_INVALID_REQUEST: _ClassVar[Reason]
    REASON_BLOCKED: _ClassVar[Reason]
    REASON_DNS: _ClassVar[Reason]
    REASON_CONNECT: _ClassVar[Reason]
    REASON_TLS: _ClassVar[Reason]
    REASON_TIMEOUT: _ClassVar[Reason]
    REASON_TOO_MANY_REDIRECTS: _ClassVar[Reason]
    REASON_PROTOCOL: _ClassVar[Reason]
    REASON_DISCONNECTED: _ClassVar[Reason]
    REASON_DECODE: _ClassVar[Reason]
    REASON_BODY_TOO_LARGE: _ClassVar[Reason]
    REASON_BATCH_DEADLINE: _ClassVar[Reason]
    REASON_SHUTTING_DOWN: _ClassVar[Reason]
    REASON_INTERNAL: _ClassVar[Reason]
BODY_OVERFLOW_UNSPECIFIED: BodyOverflow
BODY_OVERFLOW_FAIL: BodyOverflow
BODY_OVERFLOW_TRUNCATE: BodyOverflow
HTTP_VERSION_UNSPECIFIED: HttpVersion
HTTP_VERSION_HTTP_1_0: HttpVersion
HTTP_VERSION_HTTP_1_1: HttpVersion
HTTP_VERSION_HTTP_2: HttpVersion
HTTP_VERSION_HTTP_3: HttpVersion
REASON_UNSPECIFIED: Reason
REASON_INVALID_REQUEST: Reason
REASON_BLOCKED: Reason
REASON_DNS: Reason
REASON_CONNECT: Reason
REASON_TLS: Reason
REASON_TIMEOUT: Reason
REASON_TOO_MANY_REDIRECTS: Reason
REASON_PROTOCOL: Reason
REASON_DISCONNECTED: Reason
REASON_DECODE: Reason
REASON_BODY_TOO_LARGE: Reason
REASON_BATCH_DEADLINE: Reason
REASON_SHUTTING_DOWN: Reason
REASON_INTERNAL: Reason

class FetchBatchRequest(_message.Message):
    __slots__ = ("requests", "options", "concurrency", "timeout")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[FetchRequest]
    options: FetchOptions
    concurrency: int
    timeout: _duration_pb2.Duration
    def __init__(self, requests: _Optional[_Iterable[_Union[FetchRequest, _Mapping[str, _Any]]]] = ..., options: _Optional[_Union[FetchOptions, _Mapping[str, _Any]]] = ..., concurrency: _Optional[int] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping[str, _Any]]] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("url", "method", "headers", "body", "options")
    URL_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    url: str
    method: str
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    body: bytes
    options: FetchOptions
    def __init__(self, url: _Optional[str] = ..., method: _Optional[str] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping[str, _Any]]]] = ..., body: _Optional[bytes] = ..., options: _Optional[_Union[FetchOptions, _Mapping[str, _Any]]] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: bytes
    def __init__(self, name: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class FetchOptions(_message.Message):
    __slots__ = ("timeout", "idle_timeout", "connect_timeout", "max_redirects", "max_body_bytes", "body_overflow", "max_attempts")
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    CONNECT_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_REDIRECTS_FIELD_NUMBER: _ClassVar[int]
    MAX_BODY_BYTES_FIELD_NUMBER: _ClassVar[int]
    BODY_OVERFLOW_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    timeout: _duration_pb2.Duration
    idle_timeout: _duration_pb2.Duration
    connect_timeout: _duration_pb2.Duration
    max_redirects: int
    max_body_bytes: int
    body_overflow: BodyOverflow
    max_attempts: int
    def __init__(self, timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping[str, _Any]]] = ..., idle_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping[str, _Any]]] = ..., connect_timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping[str, _Any]]] = ..., max_redirects: _Optional[int] = ..., max_body_bytes: _Optional[int] = ..., body_overflow: _Optional[_Union[BodyOverflow, str]] = ..., max_attempts: _Optional[int] = ...) -> None: ...

class FetchBatchResponse(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[ResultPart]
    def __init__(self, parts: _Optional[_Iterable[_Union[ResultPart, _Mapping[str, _Any]]]] = ...) -> None: ...

class ResultPart(_message.Message):
    __slots__ = ("index", "head", "body", "end")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    index: int
    head: ResponseHead
    body: bytes
    end: FetchEnd
    def __init__(self, index: _Optional[int] = ..., head: _Optional[_Union[ResponseHead, _Mapping[str, _Any]]] = ..., body: _Optional[bytes] = ..., end: _Optional[_Union[FetchEnd, _Mapping[str, _Any]]] = ...) -> None: ...

class ResponseHead(_message.Message):
    __slots__ = ("status", "headers", "url", "version")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    status: int
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    url: str
    version: HttpVersion
    def __init__(self, status: _Optional[int] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping[str, _Any]]]] = ..., url: _Optional[str] = ..., version: _Optional[_Union[HttpVersion, str]] = ...) -> None: ...

class FetchEnd(_message.Message):
    __slots__ = ("error", "attempts", "redirects", "body_bytes", "truncated", "timing")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    REDIRECTS_FIELD_NUMBER: _ClassVar[int]
    BODY_BYTES_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    error: FetchError
    attempts: int
    redirects: int
    body_bytes: int
    truncated: bool
    timing: Timing
    def __init__(self, error: _Optional[_Union[FetchError, _Mapping[str, _Any]]] = ..., attempts: _Optional[int] = ..., redirects: _Optional[int] = ..., body_bytes: _Optional[int] = ..., truncated: bool = ..., timing: _Optional[_Union[Timing, _Mapping[str, _Any]]] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("queued", "first_byte", "total", "dns", "connect", "tls", "connection_reused", "earlier")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    FIRST_BYTE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    DNS_FIELD_NUMBER: _ClassVar[int]
    CONNECT_FIELD_NUMBER: _ClassVar[int]
    TLS_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_REUSED_FIELD_NUMBER: _ClassVar[int]
    EARLIER_FIELD_NUMBER: _ClassVar[int]
    queued: _duration_pb2.Duration
    first_byte: _duration_pb2.Duration
    total: _duration_pb2.Duration
    dns: _duration_pb2.Duration
    connect: _duration_pb2.Duration
    tls: _duration_pb2.Duration
    connection_reused: bool
    earlier: _duration_pb2.Duration
    def __init__(self, queued: _Optional[_Union[_duration_pb2.Duration, _Mapping[str, _Any]]] = ..., first_byte: _Optional[_Union[_duration_pb2.Duration, _Mapping[str, _Any]]] = ..., total: _Optional[_Union[_duration_pb2.Duration, _Mapping[str, _Any]]] = ..., dns: _Optional[_Union[_duration_pb2.Duration, _Mapping[str, _Any]]] = ..., connect: _Optional[_Union[_duration_pb2.Duration, _Mapping[str, _Any]]] = ..., tls: _Optional[_Union[_duration_pb2.Duration, _Mapping[str, _Any]]] = ..., connection_reused: bool = ..., earlier: _Optional[_Union[_duration_pb2.Duration, _Mapping[str, _Any]]] = ...) -> None: ...

class FetchError(_message.Message):
    __slots__ = ("reason", "message", "retryable")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    reason: Reason
    message: str
    retryable: bool
    def __init__(self, reason: _Optional[_Union[Reason, str]] = ..., message: _Optional[str] = ..., retryable: bool = ...) -> None: ...
