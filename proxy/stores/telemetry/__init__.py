"""Spans on their way to a collector, in OpenTelemetry's words and in OpenInference's."""
