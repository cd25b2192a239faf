"""What a cloud says of its spot machines before it takes them back: HTTP, and no Ray."""
