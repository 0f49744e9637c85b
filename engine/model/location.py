"""The location of an activity (facts: mediarithmics 1.6): kept as it was sent, checked to be an object."""

from engine.model.wire import Fields

LOCATION_FIELDS = ("$source", "$country", "$region", "$iso_region", "$city", "$iso_city", "$zip_code", "$latlon")
"""Documented fields, in the order of the public JSON."""

SentLocation = Fields
"""`$location` as it is sent: an object; its values stay encoded."""
