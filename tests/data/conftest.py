"""Buckets on the loopback interface."""

from buckets import bucket, gcs_server, s3_server  # noqa: F401
