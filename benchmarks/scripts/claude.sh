#!/bin/sh
# One repository, by Claude Code in bubblewrap and nothing around it: no gateway, no ledger, no pipeline.
# Its flags and environment are those of bot/engines/claude_code.py, but that it asks the model over the host's loopback.
set -eu
place=$PWD/trees/$1
mkdir -p "$place/tree" "$place/home"
git --git-dir="$HOST/$1.git" archive main | tar -x -C "$place/tree"
"$BWRAP" --unshare-user --unshare-ipc --unshare-pid --unshare-uts --unshare-cgroup-try --uid 1000 --gid 1000 \
  --die-with-parent --new-session --cap-drop ALL \
  --ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/sbin /sbin \
  --ro-bind-try /etc/ld.so.cache /etc/ld.so.cache --ro-bind-try /etc/alternatives /etc/alternatives \
  --proc /proc --dev /dev --tmpfs /tmp --bind "$place/home" /home/agent --bind "$place/tree" /workspace \
  --ro-bind "$CLAUDE" /opt/claude --chdir /workspace --clearenv \
  --setenv PATH /usr/local/bin:/usr/bin:/bin --setenv HOME /home/agent --setenv IS_SANDBOX 1 \
  --setenv ANTHROPIC_BASE_URL "$MODEL_URL" --setenv ANTHROPIC_API_KEY placeholder \
  --setenv ANTHROPIC_SMALL_FAST_MODEL "$MODEL" --setenv CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD 1 \
  --setenv CLAUDE_CODE_DISABLE_AUTO_MEMORY 1 --setenv CLAUDE_CODE_DISABLE_BACKGROUND_TASKS 1 \
  --setenv CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC 1 --setenv CLAUDE_CODE_MAX_OUTPUT_TOKENS 16000 \
  --setenv CLAUDE_CODE_MAX_RETRIES 3 --setenv DISABLE_AUTOUPDATER 1 --setenv DISABLE_ERROR_REPORTING 1 \
  --setenv DISABLE_TELEMETRY 1 \
  -- /opt/claude -p --output-format stream-json --verbose --model "$MODEL" --max-turns 40 --setting-sources "" \
  --strict-mcp-config --disable-slash-commands --no-session-persistence --add-dir /workspace \
  --tools Bash,Edit,Read,Write,Glob,Grep --permission-mode bypassPermissions "$PROMPT" </dev/null
test -s "$place/tree/NOTES.md"
rm -rf "$place"
