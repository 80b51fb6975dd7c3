"""Git, host side: a mirror a repository, checkouts without a .git, changes as data, commits in process, pushes that compare.

Nothing that a repository or an agent wrote is run here: no hook, filter, fsmonitor, submodule or LFS.
"""

from bot.git.applying import apply_changeset
from bot.git.checkouts import Snapshot, checkout
from bot.git.collecting import Ceilings, check_paths, collect
from bot.git.commits import (
    CommitInfo,
    Signature,
    changed_lines,
    changes_between,
    commits_apart,
    commits_between,
    diff,
    has_path,
    merge_base,
    paths_at,
    read_blob,
    read_changeset,
    recent_subjects,
    same_at,
    write_commit,
)
from bot.git.files import read_file, write_file
from bot.git.folders import read_folder
from bot.git.importing import Imported, import_folder
from bot.git.merging import is_plain_merge, merged_tree, moved_tree, write_merge
from bot.git.mirrors import Mirror, forget_dead, move_mirror

__all__ = [
    "Ceilings",
    "CommitInfo",
    "Imported",
    "Mirror",
    "Signature",
    "Snapshot",
    "apply_changeset",
    "changed_lines",
    "changes_between",
    "check_paths",
    "checkout",
    "collect",
    "commits_apart",
    "commits_between",
    "diff",
    "forget_dead",
    "has_path",
    "import_folder",
    "merge_base",
    "is_plain_merge",
    "move_mirror",
    "merged_tree",
    "moved_tree",
    "paths_at",
    "read_blob",
    "read_changeset",
    "read_file",
    "read_folder",
    "recent_subjects",
    "same_at",
    "write_commit",
    "write_file",
    "write_merge",
]
