#!/bin/sh
# One repository, by git alone: a shallow clone, change, commit, push. Nothing is kept.
set -eu
url=$HOST/$1.git tree=trees/$1
git clone -q --depth 1 --single-branch --no-tags "$url" "$tree"
sed -i "s/@v3/@$VERSION/" "$tree/.github/workflows/ci.yml"
git -C "$tree" commit -q --no-verify -a -m "Check out with $VERSION"
git -C "$tree" push -q --no-verify --force origin "HEAD:refs/heads/$BRANCH"
rm -rf "$tree"
