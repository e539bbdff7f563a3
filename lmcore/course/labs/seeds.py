"""One number from some words: seeds that differ from student to student."""

import hashlib


def seed_of(*words: str | int) -> int:
    """A seed below 2**31 that the words determine, the same on every machine."""
    text = "\x1f".join(str(word) for word in words)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
