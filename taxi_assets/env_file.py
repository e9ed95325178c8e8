"""The committed `.env`: every setting as a comment, with its meaning and default.

No line of it is active, because Dagster's command line puts `./.env` over the shell. It is written by:

    python -m taxi_assets.env_file > .env
"""

from __future__ import annotations

import textwrap

from taxi_assets.settings import Settings

_HEAD = """\
# Every setting of taxi_assets with its default: written by `python -m taxi_assets.env_file > .env`.
#
# All of it is comments, and stays so: Dagster's command line puts the lines of this file over those of the shell.
# Set a setting in the shell, or in a file beside this one: .env.local (git-ignored, for credentials), or
# .env.{TAXI_PROFILE}. The first place that names a setting wins, in this order: the shell, .env.local,
# .env.{TAXI_PROFILE}, the default. An empty value means the default.
"""


def env_file() -> str:
    """The text of the file."""
    entries = []
    for name, field in Settings.model_fields.items():
        if not field.exclude:
            meaning = textwrap.fill(
                str(field.description), 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
            )
            default = "" if field.default is None else field.default
            entries.append(f"{meaning}\n# {name.upper()}={default}\n")
    return "\n".join([_HEAD, *entries])


if __name__ == "__main__":
    print(env_file(), end="")
