"""What Vagus serves over HTTP, on loopback: its own metrics, its health, and what it sees."""
