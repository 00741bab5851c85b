"""Which images are wanted."""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Globs:
    """Globs over `repository:tag`: without `include` all are wanted, and `exclude` has the last word."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def is_partial(self) -> bool:
        """Whether something may be left out."""
        return bool(self.include or self.exclude)

    def admits(self, image: object) -> bool:
        """Whether the image that is written so is wanted."""
        name = str(image)
        included = not self.include or any(fnmatchcase(name, glob) for glob in self.include)
        return included and not any(fnmatchcase(name, glob) for glob in self.exclude)
