"""A printable character for each of the 256 bytes, as GPT-2's files write them.

Tokens of byte-level BPE are strings of bytes, often no valid UTF-8. To write them into
a text file, GPT-2 shows each byte as one character: printable Latin-1 characters as
themselves, the 68 others as the characters from U+0100 on. A space becomes "Ġ", a line
feed "Ċ". (Radford et al. 2019, the released ``encoder.py``.)
"""

PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
BYTE_ORDER = PRINTABLE + OTHERS  # the order of the first 256 ids in GPT-2

CHAR_OF = {byte: chr(byte) for byte in PRINTABLE}
CHAR_OF |= {byte: chr(256 + i) for i, byte in enumerate(OTHERS)}
BYTE_OF = {char: byte for byte, char in CHAR_OF.items()}


def show(token: bytes) -> str:
    """Write a token with one printable character per byte.

    Example:
        >>> show(" é".encode())
        'ĠÃ©'
    """
    return "".join([CHAR_OF[byte] for byte in token])


def unshow(text: str) -> bytes:
    """The bytes of a token that ``show`` wrote.

    Raises:
        ValueError: If a character is none of the 256.
    """
    try:
        return bytes([BYTE_OF[char] for char in text])
    except KeyError as error:
        raise ValueError(
            f"token={text!r}: must hold only the 256 characters that stand for bytes, "
            f"not {error.args[0]!r}"
        ) from None
