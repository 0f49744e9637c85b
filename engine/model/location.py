"""The location of an activity (facts: mediarithmics 1.6): documented fields are checked, all is kept as sent."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

LOCATION_FIELDS = ("$source", "$country", "$region", "$iso_region", "$city", "$iso_city", "$zip_code", "$latlon")
"""Documented fields, in the order of the public JSON."""


class SentLocation(Struct, rename=lambda name: "$" + name, kw_only=True):
    """`$location` as it is sent; custom fields are kept beside these."""

    source: Literal["GPS", "IP", "OTHER"] | None = None
    country: str | None = None
    region: str | None = None
    iso_region: str | None = None
    city: str | None = None
    iso_city: str | None = None
    zip_code: str | None = None
    latlon: Annotated[list[float], Meta(min_length=2, max_length=2)] | None = None
