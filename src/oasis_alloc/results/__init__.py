"""What is read from an answer: reports, shadow prices, whole slates, sweeps."""
