#!/usr/bin/env bash
# The whole loop on one machine: a control plane, a git server, the daemon with
# two repositories from one HCL file; a commit, a deleted file, and cleaning up.
set -euo pipefail
cd "$(dirname "$0")/.."

bold=''; dim=''; off=''
[ -t 1 ] && bold=$'\e[1m' dim=$'\e[2m' off=$'\e[0m'
say() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }
run() { printf '%s$ %s%s\n' "$dim" "$*" "$off"; "$@"; }
# What is typed often is shown as one would type it with a configuration and a
# PATH of one's own.
sluice() { "$bin/sluice" --config "$example/sluice.hcl" --var "git=$url" --var "data_dir=$work/data" "$@"; }
kubectl() { "$kubectl" "$@"; }

bin=$PWD/bin
example=$PWD/examples/two-repositories
work=$(mktemp -d)
cluster="demo-$$"
pids=()

cleanup() {
  status=$?
  say "Cleaning up"
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  "$bin/devcluster" down "$cluster" || true
  if [ $status -ne 0 ] && [ -f "$work/sluice.log" ]; then
    echo "the daemon's log:"; tail -n 40 "$work/sluice.log"
  fi
  rm -rf "$work"
  exit $status
}
trap cleanup EXIT

export GIT_AUTHOR_NAME=Demo GIT_AUTHOR_EMAIL=demo@example.com
export GIT_COMMITTER_NAME=Demo GIT_COMMITTER_EMAIL=demo@example.com
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null

say "1. A control plane: kube-apiserver, controller-manager, scheduler, etcd, kwok"
echo "(built from source into the user's cache the first time: some ten minutes)"
run "$bin/devcluster" up "$cluster"
KUBECONFIG=$("$bin/devcluster" kubeconfig "$cluster")
export KUBECONFIG
kubectl=$("$bin/devcluster" path kubectl)

say "2. A git server over HTTP with two repositories"
(cd examples && GOWORK=off go build -o "$work/gitserver" ./gitserver)
for repo in platform shop; do
  git init -q --bare -b main "$work/git/$repo.git"
  git init -q -b main "$work/$repo"
  cp -r "$example/$repo/." "$work/$repo/"
  git -C "$work/$repo" add -A
  git -C "$work/$repo" commit -q -m "$repo: first manifests"
  git -C "$work/$repo" push -q "$work/git/$repo.git" main
done
"$work/gitserver" -root "$work/git" -url-file "$work/url" >/dev/null &
pids+=($!)
for _ in $(seq 100); do [ -s "$work/url" ] && break; sleep 0.1; done
url=$(cat "$work/url")
for repo in platform shop; do git -C "$work/$repo" remote add origin "$url/$repo.git"; done
echo "$url/platform.git and $url/shop.git"

say "3. One HCL file for both"
run cat "$example/sluice.hcl"
run sluice validate
echo "sluice run &"
"$bin/sluice" --config "$example/sluice.hcl" --var "git=$url" --var "data_dir=$work/data" run >"$work/sluice.log" 2>&1 &
pids+=($!)
run sluice sync platform shop --wait --timeout 3m --connect-timeout 30s
run sluice status
run kubectl -n shop get deployments,services,configmaps,resourcequotas

say "4. A commit: three replicas and a new image"
sed -i 's/replicas: 2/replicas: 3/; s/web:1.0.0/web:1.1.0/' "$work/shop/web.yaml"
git -C "$work/shop" commit -q -am "web: three replicas of 1.1.0"
git -C "$work/shop" push -q origin main
git -C "$work/shop" --no-pager diff --stat HEAD~1
run sluice sync shop --wait --timeout 3m
run kubectl -n shop get deployment web -o wide

say "5. A deleted file: its objects are pruned"
git -C "$work/shop" rm -q worker.yaml
git -C "$work/shop" commit -q -m "worker: retired"
git -C "$work/shop" push -q origin main
run sluice sync shop --wait --timeout 3m
run kubectl -n shop get deployments
if kubectl -n shop get deployment worker >/dev/null 2>&1; then
  echo "the worker is still there"; exit 1
fi

say "6. What happened, and why"
run sluice events
run sluice why -n shop deployment/web
say "That was the loop."
