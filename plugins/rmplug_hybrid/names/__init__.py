"""What features are called, and what tags can say."""
