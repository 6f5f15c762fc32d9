"""What changes of responses do to rewards."""
