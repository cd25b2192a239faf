"""What a person should know of their data before training: findings, and a page to look at."""
