"""`pip install` for this Python's environment, by uv where the environment has it: several times as fast.

    python requirements/install.py --require-hashes -r requirements/runtime.txt

The arguments go to `uv pip install` unchanged. uv does not read pip's configuration, so its settings of the index go to
uv as environment variables. If uv fails, pip installs: whatever works with pip works here.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

# By option of pip: the environment variable of uv, and what stands between its values.
VARIABLES = {
    "cert": ("SSL_CERT_FILE", None),
    "client-cert": ("SSL_CLIENT_CERT", None),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "index-url": ("UV_DEFAULT_INDEX", None),
    "proxy": ("ALL_PROXY", None),
    "trusted-host": ("UV_INSECURE_HOST", " "),
}
SECTIONS = ["global", "install", ":env:"]  # the later one wins, as in pip
PIP = [sys.executable, "-m", "pip"]


def pip_settings() -> dict[str, str]:
    """What pip's files and environment variables set, by option."""
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=False).stdout
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        if section in found:
            found[section][option] = str(ast.literal_eval(value))
    return {option: value for section in SECTIONS for option, value in found[section].items()}


def uv_environment() -> dict[str, str]:
    """This process's environment, with pip's settings as variables of uv; a variable that is set already stays.

    All indexes count alike and the system's certificates are trusted, as with pip.
    """
    settings = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_SYSTEM_CERTS": "true"}
    for option, value in pip_settings().items():
        if option in VARIABLES:
            variable, separator = VARIABLES[option]
            settings[variable] = separator.join(value.split()) if separator else value
    return settings | os.environ


def main(arguments: list[str]) -> int:
    """Installs by uv, else by pip; the exit code is that of the last one tried."""
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    if uv.exists():
        command = [str(uv), "pip", "install", "--quiet", "--python", sys.executable, *arguments]
        if subprocess.run(command, env=uv_environment(), check=False).returncode == 0:
            return 0
        print("uv could not install it, so pip does: this takes a minute longer.", file=sys.stderr)
    return subprocess.run([*PIP, "install", "--quiet", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
