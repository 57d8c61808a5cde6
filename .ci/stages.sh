# What .ci/run and .ci/full have in common; sourced by both.

export CI=1 TFJS_PEFT_REQUIRE=all
log=$(mktemp)

# Ends without a figure: nothing was measured.
failed() { echo '0 passed, 1 failed, 0 skipped'; exit 1; }

# Runs a command under a name, and says how long it took and how it ended.
stage() {
  local name=$1 start=$SECONDS status=0
  shift
  echo "== $name: $*"
  "$@" || status=$?
  echo "== $name: $((SECONDS - start)) s, exit $status"
  return "$status"
}

system_parts() { apt-get update -qq && apt-get install -y -qq --no-install-recommends libvulkan1 chromium; }

# The system parts that some tests need (a Vulkan driver and Chromium, from
# Debian), and npm's, with the build.
prepare() {
  stage system system_parts || failed
  stage install npm ci --no-audit --no-fund || failed
}

# The last line of what jest said, as jest-summary.mjs writes it.
summary() { grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1; }
