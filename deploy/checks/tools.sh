# shellcheck shell=bash
# The checkers, in a Python environment of their own under .tools/. Sourced after install.sh's lib.

TOOLS=${PORTAL_TOOLS:-$REPO/.tools}
PATH=$TOOLS/venv/bin:$PATH
export PATH

tools_python() {
  if ! have python3 || ! python3 -c 'import ensurepip' >/dev/null 2>&1; then
    apt_install python3-venv >&2
  fi
  # `python3` may have been looked up before it was installed.
  hash -r
}

# tools_install [REQUIREMENT]: everything in requirements.txt, or the one given.
tools_install() {
  local wanted="$REPO/deploy/checks/requirements.txt" stamp="$TOOLS/venv/.requirements"
  if [ $# = 0 ] && cmp -s "$wanted" "$stamp"; then return 0; fi
  tools_python || return 1
  # Not the environment's own python3: that one would vanish while it makes itself anew.
  [ -x "$TOOLS/venv/bin/pip" ] || PATH=${PATH#"$TOOLS/venv/bin:"} python3 -m venv "$TOOLS/venv" || return 1
  if [ $# -gt 0 ]; then
    "$TOOLS/venv/bin/pip" install -q --disable-pip-version-check "$1"
    return
  fi
  say "installing the checkers"
  "$TOOLS/venv/bin/pip" install -q --disable-pip-version-check -r "$wanted" || return 1
  cp "$wanted" "$stamp"
}
