"""Write the next migration: `python -m trainer_service.migrations.new "what changes"`."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from trainer_service import schema
from trainer_service.database import engine_of, writing
from trainer_service.migrations import HERE, upgrade


def main() -> None:
    """Compare the tables of `schema` with those that the migrations make; to be read over and completed by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", help="what changes")
    with tempfile.TemporaryDirectory() as folder, writing(engine_of(Path(folder) / "store.sqlite")) as connection:
        config = Config()
        config.set_main_option("script_location", str(HERE))
        config.attributes["connection"] = connection
        upgrade(connection)
        number = 1 + max(int(path.name[:4]) for path in (HERE / "versions").glob("[0-9]*.py"))
        command.revision(config, parser.parse_args().words, autogenerate=True, rev_id=f"{number:04}")
    print(f"now set REVISION in {schema.__name__} to {number:04}")


if __name__ == "__main__":
    main()
