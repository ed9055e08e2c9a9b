"""Measuring how Slack behaves in a workspace: `attendant doctor --live`.

Reading order: probe_channel, scratch_thread, standing_text, finding, text_probes, stream_probes, surface_probes,
live_measurement.
"""
