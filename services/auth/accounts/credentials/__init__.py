"""Check passwords, and bound guessing at them."""
