#!/usr/bin/env bash
# Installs what the tests need beside Go, git and make: an SSH server and
# client, and a C compiler for the race detector. Only on Debian and its
# relatives; elsewhere, or without the right to install, the tests that miss
# something skip and say what they miss.
set -euo pipefail

need=()
[ -x /usr/sbin/sshd ] || need+=(openssh-server)
command -v ssh >/dev/null || need+=(openssh-client)
command -v cc >/dev/null || need+=(gcc libc6-dev)
[ ${#need[@]} -eq 0 ] && exit 0

missing() {
  echo "not installed ($1): ${need[*]}; the tests that need it will skip"
  exit 0
}

command -v apt-get >/dev/null || missing "no apt-get"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  sudo -n true 2>/dev/null || missing "neither root nor sudo"
  sudo=(sudo -n)
fi
echo "installing ${need[*]}"
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
  apt-get install -y -qq --no-install-recommends "${need[@]}" >/dev/null
