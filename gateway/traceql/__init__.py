"""The part of TraceQL that finding spans needs, as text and as data."""
