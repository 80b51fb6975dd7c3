"""What a repository's own script can do to the machine that runs it; each bomb carries a marker, and bounds itself.

A bomb is a bash script. On a sandbox that does not hold, it ends by itself with status 99: after 2 GB of memory, 512 processes,
1 GB or 200,000 files on disk, or a minute.
"""

from __future__ import annotations

from collections.abc import Mapping

_MEMORY = """
import sys, time
held = []
for _ in range(256):
    held.append(bytearray(8 << 20))
    time.sleep(0.005)
sys.exit(99)
"""
_COUNT = """
import os, sys
for folder in range(200):
    os.mkdir(f"f{folder}")
    for name in range(1000):
        open(f"f{folder}/{name}", "w").close()
sys.exit(99)
"""
_BOTTOMLESS = """
import os, sys
for _ in range(3000):
    os.mkdir("d" * 40)
    os.chdir("d" * 40)
"""

BOMBS: Mapping[str, str] = {
    "memory": f"python3 -c '{_MEMORY}'",
    # 2 to the 8th leaves, 511 processes.
    "forks": "bomb() { (($1)) && { bomb $(($1 - 1)) & bomb $(($1 - 1)) & }; sleep 60; }; bomb 8; exit 99",
    "disk": "for each in {1..256}; do head -c 4M /dev/zero > $each; done; exit 99",
    "files": f"python3 -c '{_COUNT}'",
    "bottomless": f"python3 -c '{_BOTTOMLESS}'; sleep 60; exit 99",
    "line": "head -c 100M /dev/zero | tr '\\0' x",
    "daemon": """(trap '' TERM INT HUP; exec setsid bash -c 'trap "" TERM INT HUP; exec -a "$0" sleep 3600' "$MARKER") &""",
    "sleep": "exec -a $MARKER sleep 3600",
}


def script(bomb: str, marker: str) -> bytes:
    """The bomb's script, in whose command line, or that of what it starts, `marker` is."""
    return f"MARKER={marker}\n{BOMBS[bomb]}\n".encode()
