"""The time that tests wait for a state that must come."""

GENEROUS_S = 120.0  # a test that passes never waits so long, even on an overloaded machine
