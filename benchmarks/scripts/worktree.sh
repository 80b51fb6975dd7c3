#!/bin/sh
# One repository, by git alone: fetch into a bare mirror that is kept, make a worktree, change, commit, push.
set -eu
url=$HOST/$1.git mirror=mirrors/$1.git tree=$PWD/trees/$1
if [ -d "$mirror" ]; then
  git -C "$mirror" fetch -q --no-tags "$url" +refs/heads/main:refs/heads/main
else
  git clone -q --bare --single-branch --no-tags "$url" "$mirror"
fi
git -C "$mirror" worktree add -q --detach "$tree" main
sed -i "s/@v3/@$VERSION/" "$tree/.github/workflows/ci.yml"
git -C "$tree" commit -q --no-verify -a -m "Check out with $VERSION"
git -C "$tree" push -q --no-verify --force "$url" "HEAD:refs/heads/$BRANCH"
git -C "$mirror" worktree remove --force "$tree"
