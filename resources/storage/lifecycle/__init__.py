"""Where versions live as they age: what was used when, which tier they belong to, the archive and the way back."""
