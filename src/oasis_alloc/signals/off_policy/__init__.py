"""What another policy would have earned, estimated from logged decisions; docs/off-policy.md."""
