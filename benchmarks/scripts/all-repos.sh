#!/bin/sh
# All repositories, by all-repos: its clones are made where they are missing; its sed fetches, changes, commits and pushes.
set -eu
[ -d clones ] || all-repos-clone -C all-repos.json -j "$PARALLEL"
exec all-repos-sed -C all-repos.json -j "$PARALLEL" --branch-name "$BRANCH" --commit-msg "Check out with $VERSION" \
  "s/@v3/@$VERSION/" .github/workflows/ci.yml
