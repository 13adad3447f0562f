"""A bucket on the loopback interface."""

from buckets import s3_bucket, s3_server  # noqa: F401
