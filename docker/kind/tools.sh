# Sourced by the scripts in this folder: shared functions and checks of the required tools.
# shellcheck shell=bash

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CLUSTER=petalflow
# shellcheck disable=SC2034  # used by the scripts
KUBECTL=(kubectl --context "kind-$CLUSTER" --namespace kubeflow)

fail() {
  echo "$(basename "$0"): error: $*" >&2
  exit 2
}

# need TOOL MINIMUM REMEDY COMMAND...: fails unless TOOL is installed and COMMAND prints a version of at least MINIMUM.
need() {
  local tool=$1 minimum=$2 remedy=$3 output found
  shift 3
  command -v "$tool" >/dev/null || fail "$tool is not installed; $remedy"
  output=$("$@" 2>&1) || fail "$tool does not run (${output##*$'\n'}); $remedy"
  [[ $output =~ [0-9]+\.[0-9]+(\.[0-9]+)? ]] || fail "cannot read the version of $tool; $remedy"
  found=${BASH_REMATCH[0]}
  [[ $(printf '%s\n' "$minimum" "$found" | sort -V | head -n 1) == "$minimum" ]] ||
    fail "$tool $found is too old, need $minimum or later; $remedy"
}

need_docker() {
  need docker 20.10 "install Docker and start it, or join the group docker" docker version --format '{{.Server.Version}}'
}

need_kind() {
  need kind 0.27 "see https://kind.sigs.k8s.io/docs/user/quick-start" kind version
}

# 1.27 is the first version whose kustomize (5.0) can build the manifests of Kubeflow Pipelines 2.17.
need_kubectl() {
  need kubectl 1.27 "see https://kubernetes.io/docs/tasks/tools" kubectl version --client
}

# kubectl uses it to fetch the manifests.
need_git() {
  need git 2.0 "install it" git --version
}

cluster_is_up() {
  [[ $'\n'$(kind get clusters 2>/dev/null)$'\n' == *$'\n'"$CLUSTER"$'\n'* ]]
}

need_cluster() {
  cluster_is_up || fail "cluster $CLUSTER not found; create it with docker/kind/up FOLDER"
}

# for_folder FILE FOLDER: prints a YAML file with the folder inserted.
for_folder() {
  sed "s|FOLDER|$2|g" "$HERE/$1"
}
