"""What a report is about, and how its numbers and names are written."""
