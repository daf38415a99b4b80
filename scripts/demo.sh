#!/usr/bin/env bash
# The whole loop on one machine: a control plane, a git server, a registry, the
# daemon with two repositories from one HCL file; a commit, a new image that is
# written back to git, a deleted file, and cleaning up.
set -euo pipefail
cd "$(dirname "$0")/.."

bold=''; dim=''; off=''
[ -t 1 ] && bold=$'\e[1m' dim=$'\e[2m' off=$'\e[0m'
say() { printf '\n%s%s%s\n' "$bold" "$*" "$off"; }
run() { printf '%s$ %s%s\n' "$dim" "$*" "$off"; "$@"; }
# What is typed often is shown as one would type it with a configuration and a
# PATH of one's own.
sluice() { "$bin/sluice" --config "$example/sluice.hcl" --var "git=$url" --var "registry=http://$registry" --var "data_dir=$work/data" "$@"; }
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

say "2. A git server over HTTP with two repositories, and an image registry"
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
mkfifo "$work/hold"
"$bin/devregistry" <"$work/hold" >"$work/registry.json" &
pids+=($!)
exec 9>"$work/hold" # the registry ends when this is closed
for _ in $(seq 100); do [ -s "$work/registry.json" ] && break; sleep 0.1; done
registry=$(sed -n 's/.*"registry":"\([^"]*\)".*/\1/p' "$work/registry.json")
"$bin/devregistry" push "$registry/shop/web:1.0.0" "$registry/shop/web:2.0.0-rc.1"
echo "$url/platform.git, $url/shop.git, and $registry"

say "3. One HCL file for both"
run cat "$example/sluice.hcl"
run sluice validate
echo "sluice run &"
"$bin/sluice" --config "$example/sluice.hcl" --var "git=$url" --var "registry=http://$registry" --var "data_dir=$work/data" run >"$work/sluice.log" 2>&1 &
pids+=($!)
run sluice sync platform shop --wait --timeout 3m --connect-timeout 30s
run sluice status
run kubectl -n shop get deployments,services,configmaps,resourcequotas

say "4. A commit: three replicas"
sed -i 's/replicas: 2/replicas: 3/' "$work/shop/web.yaml"
git -C "$work/shop" commit -q -am "web: three replicas"
git -C "$work/shop" push -q origin main
git -C "$work/shop" --no-pager diff --stat HEAD~1
run sluice sync shop --wait --timeout 3m
run kubectl -n shop get deployment web -o wide

say "5. A new image: found, written to git as one line, rolled out"
run "$bin/devregistry" push "$registry/shop/web:1.2.0"
for _ in $(seq 300); do
  image=$(kubectl -n shop get deployment web -o 'jsonpath={.spec.template.spec.containers[0].image}')
  [ "$image" = registry.example.com/shop/web:1.2.0 ] && break
  sleep 0.2
done
git -C "$work/shop" pull -q --rebase origin main
run git -C "$work/shop" --no-pager log -p -1
run sluice images why -n shop deployment/web
run kubectl -n shop rollout status deployment/web --timeout 1m

say "6. A deleted file: its objects are pruned"
git -C "$work/shop" rm -q worker.yaml
git -C "$work/shop" commit -q -m "worker: retired"
git -C "$work/shop" push -q origin main
run sluice sync shop --wait --timeout 3m
run kubectl -n shop get deployments
if kubectl -n shop get deployment worker >/dev/null 2>&1; then
  echo "the worker is still there"; exit 1
fi

say "7. A Helm release: upgraded by a commit, and what somebody deletes comes back"
run sluice helm list
sed -i 's/^version: .*/version: 1.1.0/' "$work/platform/charts/board/Chart.yaml"
sed -i 's/replicas: {{ .Values.replicas }}/&\n  revisionHistoryLimit: 3/' "$work/platform/charts/board/templates/board.yaml"
git -C "$work/platform" commit -q -am "board: keep three revisions"
git -C "$work/platform" push -q origin main
run sluice sync platform board --wait --timeout 3m
run sluice helm history board
run kubectl -n shop delete configmap board
run sluice sync board --wait --timeout 3m
run kubectl -n shop get configmap board

say "8. What happened, and why"
run sluice events
run sluice why -n shop deployment/web
say "That was the loop."
