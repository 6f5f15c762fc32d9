"""What a prompt is about, as 0/1 features."""
