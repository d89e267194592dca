"""What every block of a job file is."""

from pydantic import BaseModel, ConfigDict


class Block(BaseModel):
    """A block of a job file: immutable, strict about keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)
