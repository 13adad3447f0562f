"""Who visits which users."""
