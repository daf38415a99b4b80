#!/usr/bin/env bash
# Installs what the tests need beside Go, git, make and a C compiler. Only on
# Debian and its relatives; elsewhere the tests that miss something skip and
# say what they miss.
set -euo pipefail

need=()
[ -x /usr/sbin/sshd ] || need+=(openssh-server)
command -v ssh >/dev/null || need+=(openssh-client)
[ ${#need[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "not installed: ${need[*]}; the tests that need it will skip"
  exit 0
fi
sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo -n)
echo "installing ${need[*]}"
export DEBIAN_FRONTEND=noninteractive
# policy-rc.d: a test machine wants the program, not a running service.
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
