"""The time that tests wait for a state that must come."""

GENEROUS_S = 60.0  # no test that passes waits so long, even on a machine with several times more work than cores
