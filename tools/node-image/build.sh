#!/usr/bin/env bash
# Builds a kind node image from Debian packages and Go modules alone: no image registry is asked for anything.
#
#   NODE_IMAGE_TAG    name of the image (local/kind-node:VERSION, of kube/go.mod)
#   NODE_IMAGE_CACHE  where finished steps are kept (node-image in the cache folder of kube-conformance)
#
# Every step's result lies in the cache under the hash of what it is made of, and gets its name only when it is whole:
# what did not change is not made again, and what was interrupted is never used. An image that was made of these very
# files is left as it is.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${KUBE_CONFORMANCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kube-conformance}
cache=${NODE_IMAGE_CACHE:-$home/node-image}
version=$(awk '$1 == "k8s.io/kubernetes" && $2 != "=>" {print $2; exit}' "$here/kube/go.mod")
tag=${NODE_IMAGE_TAG:-local/kind-node:$version}
pod_image=local/busybox:1 # what tests run in pods
suite=bookworm
label=io.kube-conformance.node-image
packages=systemd,systemd-sysv,dbus,iptables,nftables,iproute2,mount,ethtool,socat,conntrack,kmod,procps,util-linux,runc,containerd,containernetworking-plugins,busybox

begun=$SECONDS
step() { printf 'node-image: %4d s  %s\n' $((SECONDS - begun)) "$*"; }
fail() { printf 'node-image: %s\n' "$*" >&2; exit 1; }
hash_of() { (cd "$here" && find "$@" -type f -print0 | sort -z | xargs -0 sha256sum; echo "$suite $packages $version") | sha256sum | cut -c1-12; }

# --- what it takes --------------------------------------------------------------------------------------------------
command -v go > /dev/null || fail "there is no go on PATH; Go 1.26 or newer builds the programs"
docker info > /dev/null 2>&1 || fail "no Docker daemon answers; start one (.ci/docker does on Debian), or set DOCKER_HOST"
missing=()
for program in mmdebstrap:mmdebstrap gcc:gcc containerd:containerd; do
  command -v "${program%%:*}" > /dev/null || missing+=("${program##*:}")
done
if ((${#missing[@]})); then
  ((EUID == 0)) || fail "these Debian packages are missing: ${missing[*]}"
  step "installing ${missing[*]}"
  apt-get update -q > /dev/null && apt-get install -y -q --no-install-recommends "${missing[@]}" > /dev/null
fi
((EUID == 0)) || fail "building a root file system takes root; run it as root"

whole=$(hash_of build.sh kube coredns rootfs containerd.toml masked-units pause.c)
if [ "$(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$tag" 2> /dev/null)" = "$whole" ] &&
  docker image inspect "$pod_image" > /dev/null 2>&1; then
  step "$tag is there, made of these files ($whole)"
  exit 0
fi
mkdir -p "$cache"
exec 9> "$cache/lock"
flock -n 9 || { step "another build goes on; waiting for it"; flock 9; }

making=$cache/making
daemon=
undo() {
  [ -z "$daemon" ] || kill "$daemon" 2> /dev/null || true
  rm -rf --one-file-system "$making"
}
trap undo EXIT
trap 'exit 130' INT TERM
rm -rf --one-file-system "$making" && mkdir -p "$making"

# made NAME HASH: the place of a result; true when it is there, else whoever calls makes $making/NAME and keeps it
made() { place=$cache/$1-$2; [ -e "$place" ]; }
keep() {
  rm -rf "$cache/$1-"*
  mv "$making/$1" "$place"
}

# --- programs -------------------------------------------------------------------------------------------------------
# The same flags as those of the embedded control plane, so that both share Go's build cache.
built() {
  local name=$1 flags=$2
  if ! made "$name" "$(hash_of "$name" build.sh)"; then
    step "building $name (a first build of kube takes about 15 minutes on 2 cores)"
    (cd "$here/$name" && CGO_ENABLED=0 GOWORK=off go build -trimpath -ldflags "$flags" -o "$making/$name" .)
    keep "$name"
  fi
  printf -v "$name" %s "$place"
}
minor=${version#v1.} flags='-s -w'
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*} -X $package.gitTreeState=clean"
done
built kube "$flags"
built coredns '-s -w'
kubeadm() { (exec -a kubeadm "$kube" "$@"); }
step "Kubernetes $(kubeadm version -o short)"

# --- Debian's root file system ---------------------------------------------------------------------------------------
if ! made root "$(hash_of build.sh)"; then
  step "making a root file system of Debian $suite"
  mmdebstrap --quiet --variant=minbase --include="$packages" --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$making/root" > "$cache/mmdebstrap.log" 2>&1 ||
    fail "mmdebstrap failed: $(tail -n 3 "$cache/mmdebstrap.log")"
  keep root
fi
root=$place

# --- the images that kubeadm asks for, unpacked into a root directory of containerd ------------------------------------
# with_libs FOLDER FILE...: files of the root, with the libraries that they link to
with_libs() {
  local folder=$1 file
  shift
  for file in "$@"; do
    chroot "$root" ldd "$file" 2> /dev/null | grep -o '/[^ ]*' || true
    echo "$file"
  done | sort -u | while read -r file; do
    mkdir -p "$folder$(dirname "$file")"
    cp -L "$root$file" "$folder$file"
  done
}
users() {
  mkdir -p "$1"/{etc,tmp,var/run,run}
  echo root:x:0:0::/:/bin/false > "$1/etc/passwd"
  echo root:x:0: > "$1/etc/group"
}
import() {
  local folder=$1 name=$2
  shift 2
  tar -C "$folder" --owner=0 --group=0 --sort=name -c . | docker import \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$@" - "$name" > /dev/null
}
unpacked() {
  # A containerd of our own, for as long as it takes, unpacks them.
  local c=$making/images
  mkdir -p "$c"
  cat > "$making/containerd.toml" << TOML
version = 2
root = '$c'
state = '$making/state'
disabled_plugins = ['io.containerd.grpc.v1.cri']
[grpc]
  address = '$making/sock'
[ttrpc]
  address = '$making/sock.ttrpc'
TOML
  containerd --config "$making/containerd.toml" > "$cache/containerd.log" 2>&1 &
  daemon=$!
  local ctr=(ctr -a "$making/sock")
  for _ in $(seq 100); do "${ctr[@]}" version > /dev/null 2>&1 && break || sleep 0.1; done
  "${ctr[@]}" -n k8s.io images import --snapshotter overlayfs "$making/all.tar" > /dev/null ||
    fail "containerd did not take the images: $(tail -n 3 "$cache/containerd.log")"
  for name in "$@"; do
    "${ctr[@]}" -n k8s.io images label "$name" io.cri-containerd.image=managed io.cri-containerd.pinned=pinned > /dev/null
  done
  kill "$daemon" && wait "$daemon" || true
  daemon=
}
names=$(kubeadm config images list --kubernetes-version "$version" 2> /dev/null)
pause=${names##*pause:} pause=${pause%%[!0-9.]*}
folder=$making/busybox
users "$folder" && with_libs "$folder" /bin/busybox
for applet in $(chroot "$root" /bin/busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "$folder/bin/$applet"
done
import "$folder" "$pod_image" --change 'CMD ["sh"]'
if ! made images "$(hash_of kube coredns pause.c build.sh)"; then
  step "making the images of the control plane"
  folder=$making/images-kube
  users "$folder"
  with_libs "$folder" /bin/true /usr/sbin/xtables-nft-multi /usr/sbin/nft /usr/sbin/conntrack \
    $(cd "$root" && ls -d /usr/lib/*-linux-gnu/xtables/*.so)
  for name in iptables ip6tables; do
    for verb in '' -save -restore; do ln -s xtables-nft-multi "$folder/usr/sbin/$name$verb"; done
  done
  mkdir -p "$folder/usr/local/bin" && cp "$kube" "$folder/usr/local/bin/kube"
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubectl; do
    ln -s kube "$folder/usr/local/bin/$name"
  done
  mkdir -p "$making/images-coredns" "$making/images-pause"
  users "$making/images-coredns" && cp "$coredns" "$making/images-coredns/coredns"
  gcc -Os -static -s -o "$making/images-pause/pause" "$here/pause.c"
  for name in $names; do
    case $name in
      */coredns:*) import "$making/images-coredns" "$name" --change 'ENTRYPOINT ["/coredns"]' ;;
      */pause:*) import "$making/images-pause" "$name" --change 'ENTRYPOINT ["/pause"]' ;;
      */kube-apiserver:*) import "$making/images-kube" "$name" && first=$name ;; # comes first
      *) docker tag "$first" "$name" ;;
    esac
  done
  # shellcheck disable=SC2086  # one word a name
  docker save -o "$making/all.tar" $names
  # shellcheck disable=SC2086
  unpacked $names
  keep images
fi
images=$place

# --- the node image ---------------------------------------------------------------------------------------------------
step "putting the node image together"
node=$making/node
cp -a "$root" "$node"
rm -rf "$node"/usr/share/{doc,man,locale,info,i18n} "$node"/var/{cache,log,lib/apt/lists,lib/containerd}/*
mkdir -p "$node"/{kind,opt/cni,etc/containerd,etc/cni/net.d,etc/kubernetes/manifests,var/cache/apt,var/lib/containerd}
cp -a "$here/rootfs/." "$node/"
printf %s "$version" > "$node/kind/version"
install -m755 "$kube" "$node/usr/bin/kube"
for name in kubelet kubeadm kubectl crictl; do ln -s kube "$node/usr/bin/$name"; done
sed "s#pause:[0-9.]*#pause:$pause#" "$here/containerd.toml" > "$node/etc/containerd/config.toml"
(cd "$node/usr/lib/cni" && find . -type f ! -name ptp ! -name host-local ! -name portmap ! -name loopback ! -name bridge -delete)
ln -s /usr/lib/cni "$node/opt/cni/bin"
cp -a "$images/." "$node/var/lib/containerd/"
units=$node/etc/systemd/system
mkdir -p "$units/multi-user.target.wants" "$node/etc/systemd/journald.conf.d"
ln -sf /lib/systemd/system/multi-user.target "$units/default.target"
for unit in containerd kubelet node-podnet; do
  ln -sf "/etc/systemd/system/$unit.service" "$units/multi-user.target.wants/"
done
while read -r unit; do ln -sf /dev/null "$units/$unit"; done < "$here/masked-units"
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=64M\n' > "$node/etc/systemd/journald.conf.d/node.conf"
rm -f "$node"/etc/{machine-id,resolv.conf,hostname} && : > "$node/etc/machine-id"
tar -C "$node" -c . | docker import --change 'ENV container=docker' \
  --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
  --change 'ENTRYPOINT ["/usr/local/sbin/node-entrypoint"]' - "$tag-root" > /dev/null
# What `docker import` cannot set.
printf 'FROM %s\nSTOPSIGNAL SIGRTMIN+3\nLABEL %s=%s\n' "$tag-root" "$label" "$whole" |
  DOCKER_BUILDKIT=0 docker build -q -t "$tag" - > /dev/null
docker rmi "$tag-root" > /dev/null 2>&1 || true
step "$tag, $(docker image inspect -f '{{.Size}}' "$tag" | awk '{printf "%.0f", $1 / 1e6}') MB; pods of tests use $pod_image"
