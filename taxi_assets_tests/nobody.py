"""Another user of the machine: `python -m taxi_assets_tests.nobody` becomes `nobody` and tries addresses.

Its arguments are ports of loopback and paths of Unix sockets; it prints what each of them answers.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

NOBODY = 65_534
_HTTP = b"POST /graphql?query={version} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_GRPC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


def listening(process: psutil.Process) -> dict[str, str]:
    """The ports and sockets on which a process and its descendants listen, each with the command of its process."""
    found: dict[str, str] = {}
    sockets = _listening_sockets()
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            command = " ".join(one.cmdline())
            for port in one.net_connections("inet"):
                if port.status == psutil.CONN_LISTEN:
                    assert port.laddr.ip in ("127.0.0.1", "::1"), command
                    found[str(port.laddr.port)] = command
            # A connection has its server's path, too: the first process that has it is the server.
            for opened in one.net_connections("unix"):
                if str(opened.laddr) in sockets:
                    found.setdefault(str(opened.laddr), command)
    return found


def _listening_sockets() -> set[str]:
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {line[7] for line in lines if len(line) == 8 and line[3] == "00010000"}


def answers(addresses: list[str]) -> dict[str, str]:
    """What each address answers to `nobody`: its first line, or why there is no answer."""
    done = subprocess.run(
        [sys.executable, "-m", "taxi_assets_tests.nobody", *addresses],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _ask(address: str) -> str:
    family = socket.AF_INET if address.isdecimal() else socket.AF_UNIX
    with socket.socket(family) as connection:
        connection.settimeout(5)
        try:
            connection.connect(("127.0.0.1", int(address)) if address.isdecimal() else address)
            connection.sendall(_HTTP if address.isdecimal() else _GRPC)
            return connection.recv(1000).decode("latin-1").partition("\r\n")[0]
        except OSError as error:
            return type(error).__name__


if __name__ == "__main__":
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    print(json.dumps({address: _ask(address) for address in sys.argv[1:]}))
