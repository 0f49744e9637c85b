"""Types of declared values: each carries its range. Settings and definitions are made of them."""

from typing import Annotated, Final

from msgspec import Meta

SECOND_MS: Final = 1000
HOUR_MS: Final = 3600 * SECOND_MS
DAY_MS: Final = 24 * HOUR_MS
MIB: Final = 1 << 20
GIB: Final = 1 << 30

Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]*$")]
Name = Annotated[str, Meta(max_length=255)]
Token = Annotated[str, Meta(max_length=255, pattern=r"^[A-Za-z0-9_.~+/=-]*$")]
Secret = Annotated[str, Meta(min_length=16, max_length=255)]
Host = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[^\s/:@*.]+(\.[^\s/:@*.]+)*$")]
HostName = Annotated[str, Meta(max_length=253, pattern=r"^[^\s/:@]*$")]
Address = Annotated[str, Meta(min_length=1, max_length=255)]
Port = Annotated[int, Meta(ge=0, le=65535)]
GapMs = Annotated[int, Meta(ge=1, le=DAY_MS)]
GraceMs = Annotated[int, Meta(ge=0, le=HOUR_MS)]
MaxSessionMs = Annotated[int, Meta(ge=1, le=30 * DAY_MS)]
LiveWindowMs = Annotated[int, Meta(ge=1, le=HOUR_MS)]
ActivityChars = Annotated[int, Meta(ge=500, le=1_000_000)]
Days = Annotated[int, Meta(ge=1, le=3660)]
Bytes = Annotated[int, Meta(ge=64 * 1024, le=1 << 46)]
Seconds = Annotated[float, Meta(ge=0.1, le=3600)]
Number = Annotated[int, Meta(ge=1, le=1_000_000)]
